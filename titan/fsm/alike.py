"""Jobs that end alike or are reopened alike, counted and told together: a hundred thousand at a time.

Part of the life of jobs (`jobs.py`); like it, this carries out what others decide.
"""

from __future__ import annotations

from collections.abc import Mapping

from titan.fsm import artifacts, budgets, checkpoints, dead
from titan.fsm.events import JobWithdrawn
from titan.fsm.handling import Turn
from titan.fsm.records.services import Service
from titan.fsm.state import Job, JobState, Run, is_ready
from titan.fsm.telling import EVENTS_EACH_MAX, tell_changed
from titan.ids import JobId


class Endings:
    """Jobs that end alike, found one by one along edges or in a list, counted and told together.

    None may be settled before; any may be ready, held or running. The caller sees to the children.
    """

    __slots__ = ("_left", "_names", "_now_ms", "_reason", "_run", "_to", "_turn", "_withdrawn")

    def __init__(self, turn: Turn, run: Run, *, to: JobState, reason: str) -> None:
        self._turn = turn
        self._run = run
        self._to = to
        self._reason = reason
        self._now_ms = turn.at.now_ms
        self._names: list[JobId] = []
        self._withdrawn: list[JobId] = []
        self._left: dict[JobState, int] = {}

    def __len__(self) -> int:
        return len(self._names)

    def add(self, job: Job) -> None:
        """End the job. Its attempt, if it had one, has been revoked."""
        assert not job.live
        old = job.state
        if is_ready(job):
            self._withdrawn.append(job.id)
        self._left[old] = self._left.get(old, 0) + 1
        self._names.append(job.id)
        job.state = self._to
        job.reason = self._reason
        job.ended_ms = self._now_ms
        job.queue_due_ms = job.not_before_ms = 0
        if self._turn.state.checkpoints:
            checkpoints.job_is_over(self._turn, self._run, job)
        if job.unpaid:
            budgets.job_ended(self._run, job)
        if job.id in self._run.budget_gates:
            now_ms = self._turn.at.now_ms
            budgets.gate_is_gone(self._turn.state, self._run, job.id, now_ms=now_ms)

    def done(self) -> None:
        """Count and tell."""
        if not self._names:
            return
        _recount(self._run, left=self._left, to=self._to)
        if len(self._names) <= EVENTS_EACH_MAX:  # beyond, the event about all of them says it too
            events = [JobWithdrawn(self._run.id, name) for name in self._withdrawn]
            self._turn.events.extend(events)
        tell_changed(self._turn, self._run, self._names, to=self._to)


class Reopenings:
    """Ended jobs that become PENDING again, as if they had never run, but with their history."""

    __slots__ = ("_left", "_names", "_run", "_turn")

    def __init__(self, turn: Turn, run: Run) -> None:
        self._turn = turn
        self._run = run
        self._names: list[JobId] = []
        self._left: dict[JobState, int] = {}

    def __len__(self) -> int:
        return len(self._names)

    def add(self, job: Job, *, waiting_for: int) -> None:
        """Reopen the job. It is not yet unblocked."""
        self._left[job.state] = self._left.get(job.state, 0) + 1
        self._names.append(job.id)
        if job.state is JobState.DEAD:
            dead.leave(self._turn.state, self._run, job)
        job.state = JobState.PENDING
        job.waiting_for = waiting_for
        job.retries_used = 0
        job.exit_code = None
        job.reason = ""
        job.started_ms = job.ended_ms = 0
        job.output = b""
        services = self._run.services
        if job.id in services:
            services[job.id] = Service(port=services[job.id].port)
        if self._turn.state.artifacts:
            artifacts.drop_outputs(self._turn, self._run.id, job.id)
        if self._turn.state.checkpoints:
            checkpoints.job_runs_again(self._turn.state, self._run, job)
        if job.unpaid:
            now_ms = self._turn.at.now_ms
            budgets.job_reopened(self._turn.state, self._run, job, now_ms=now_ms)

    def done(self) -> None:
        """Count and tell."""
        if self._names:
            _recount(self._run, left=self._left, to=JobState.PENDING)
            tell_changed(self._turn, self._run, self._names, to=JobState.PENDING)


def _recount(run: Run, *, left: Mapping[JobState, int], to: JobState) -> None:
    counts = run.counts
    for old, many in left.items():
        counts[old] -= many
        if not counts[old]:
            del counts[old]
    counts[to] = counts.get(to, 0) + sum(left.values())
