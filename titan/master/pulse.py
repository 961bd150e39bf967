"""How this master's cluster has fared lately: throughput and latencies, a beat every five seconds.

Counted from what is applied here, so any master can tell, and one that was restarted begins anew. Only a
leader knows how long its entries take from their stamp until they are applied. Never changes anything.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from titan.fsm.events import AnyEvent, AttemptAssigned, AttemptFinished, RunChanged, RunSubmitted
from titan.fsm.state import State
from titan.limits import PULSE_BEATS_KEPT, PULSE_SAMPLES_MAX
from titan.master.replica import Replica

BEAT_MS: Final = 5_000
_PARENTS_MAX: Final = 64  # a job with more is not looked at: that would cost what it has


class Beat(msgspec.Struct, frozen=True, kw_only=True):
    """What happened in the `BEAT_MS` before `at_ms`. Latencies are null when there was nothing to measure.

    `attempts` ended by themselves, `failed` of them with an exit code. `wait`: from the end of a job's last
    parent, or the beginning of its run, until a worker had it, of first attempts, as the log stamps them.
    `commit`: from the stamp of an entry until it was applied, at a master that led.
    """

    at_ms: int
    attempts: int
    failed: int
    runs_begun: int
    runs_ended: int
    wait_p50_ms: int | None
    wait_p95_ms: int | None
    commit_p50_ms: int | None
    commit_p95_ms: int | None


class _Count:
    """A beat that is not over."""

    def __init__(self) -> None:
        self.attempts = self.failed = self.runs_begun = self.runs_ended = 0
        self.waits_ms: list[int] = []
        self.commits_ms: list[int] = []

    def closed(self, *, at_ms: int) -> Beat:
        self.waits_ms.sort()
        self.commits_ms.sort()
        return Beat(
            at_ms=at_ms,
            attempts=self.attempts,
            failed=self.failed,
            runs_begun=self.runs_begun,
            runs_ended=self.runs_ended,
            wait_p50_ms=quantile(self.waits_ms, percent=50),
            wait_p95_ms=quantile(self.waits_ms, percent=95),
            commit_p50_ms=quantile(self.commits_ms, percent=50),
            commit_p95_ms=quantile(self.commits_ms, percent=95),
        )


def quantile(ordered: Sequence[int], *, percent: int) -> int | None:
    """The value that `percent` of these do not exceed (nearest rank); None of nothing."""
    if not ordered:
        return None
    return ordered[max(0, -(-len(ordered) * percent // 100) - 1)]


class Pulse:
    """The beats of this master, oldest first."""

    def __init__(
        self, replica: Replica, *, now_ms: Callable[[], int], leads: Callable[[], bool]
    ) -> None:
        self.beats: deque[Beat] = deque(maxlen=PULSE_BEATS_KEPT)
        self._replica = replica
        self._now_ms = now_ms
        self._leads = leads
        self._count = _Count()

    async def run(self) -> None:
        """Count until cancelled."""
        stop_listening = self._replica.listen(self.on_applied)
        try:
            while True:
                await asyncio.sleep(BEAT_MS / 1000)
                self.beat()
        finally:
            stop_listening()

    def beat(self) -> None:
        """What was counted so far becomes a beat."""
        count, self._count = self._count, _Count()
        self.beats.append(count.closed(at_ms=self._now_ms()))

    def on_applied(self, index: int, events: Sequence[AnyEvent]) -> None:
        """An entry was applied on this master."""
        count = self._count
        if len(count.commits_ms) < PULSE_SAMPLES_MAX and self._leads():
            count.commits_ms.append(max(0, self._now_ms() - self._replica.state.now_ms))
        for event in events:
            if isinstance(event, AttemptFinished):
                count.attempts += 1
                count.failed += event.exit_code != 0
            elif isinstance(event, AttemptAssigned):
                if len(count.waits_ms) < PULSE_SAMPLES_MAX:
                    wait_ms = waited_ms(self._replica.state, event)
                    if wait_ms is not None:
                        count.waits_ms.append(wait_ms)
            elif isinstance(event, RunSubmitted):
                count.runs_begun += 1
            elif isinstance(event, RunChanged):
                count.runs_ended += event.over


def waited_ms(state: State, event: AttemptAssigned) -> int | None:
    """How long the job waited for a worker; None where that cannot be told at little cost: of a retry, of a
    job with very many parents, and of one that may have been added to a live run."""
    attempt, run = state.attempts.get(event.attempt), state.runs.get(event.run)
    job = None if run is None else run.jobs.get(event.job)
    if attempt is None or run is None or job is None or attempt.number != 1:
        return None
    if len(job.parents) > _PARENTS_MAX or (not job.parents and run.id in state.histories):
        return None
    ready_ms = max((run.jobs[parent].ended_ms for parent in job.parents), default=run.created_ms)
    return max(0, attempt.assigned_ms - ready_ms)
