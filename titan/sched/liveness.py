"""Who is believed alive: a lease per worker, kept by the leader alone and never in the log.

Owns deadlines, knows no connection and no clock. The leader proposes `ExpireWorker` for what `expired`
answers; until that is applied and `forget` is called, the worker is answered again from time to time.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable

import msgspec

from titan.fsm.state import State
from titan.ids import WorkerId


class LeaseConfig(msgspec.Struct, frozen=True, kw_only=True):
    """How long a worker may be unheard of, in milliseconds."""

    silence_ms: int = 6000  # connected but silent: several heartbeats in a row are missing
    closed_ms: int = 2000  # connection ended: enough to reconnect, little to wait for the dead
    grace_ms: int = (
        12_000  # after an election: a worker notices a silent leader, then looks for the new
    )
    stall_ms: int = 2000  # not asked for so long: this leader stood still, nobody is to blame


class Leases:
    """The lease table of one leader's reign."""

    def __init__(
        self,
        workers: Iterable[WorkerId],
        *,
        now_ms: int,
        config: LeaseConfig | None = None,
    ) -> None:
        """Every worker named gets the grace period, whether it is connected or not."""
        self._config = config or LeaseConfig()
        self._deadline_ms: dict[WorkerId, int] = {}
        self._heap: list[tuple[int, WorkerId]] = []
        self._asked_ms = now_ms
        for worker in workers:
            self._extend(worker, until_ms=now_ms + self._config.grace_ms)

    def opened(self, worker: WorkerId, *, now_ms: int) -> None:
        """The worker registered on a connection to this leader."""
        self._set(worker, until_ms=now_ms + self._config.silence_ms)

    def heard(self, worker: WorkerId, *, now_ms: int) -> None:
        """A heartbeat, or anything else that the worker said. Ignored for a worker without a lease."""
        if worker in self._deadline_ms:
            self._extend(worker, until_ms=now_ms + self._config.silence_ms)

    def closed(self, worker: WorkerId, *, now_ms: int) -> None:
        """The worker's only connection ended."""
        deadline = self._deadline_ms.get(worker)
        if deadline is not None:
            self._set(worker, until_ms=min(deadline, now_ms + self._config.closed_ms))

    def forget(self, worker: WorkerId) -> None:
        """The worker has expired or left: it has no lease until it registers again."""
        self._deadline_ms.pop(worker, None)

    def expired(self, now_ms: int) -> list[WorkerId]:
        """Workers whose lease has run out, the longest overdue first.

        After a stall of the caller nobody is expired: what workers said meanwhile waits to be read.
        """
        stalled = now_ms - self._asked_ms > self._config.stall_ms
        self._asked_ms = now_ms
        if stalled:
            for worker in self._deadline_ms:
                self._extend(worker, until_ms=now_ms + self._config.closed_ms)
        overdue = []
        while self._heap and self._heap[0][0] <= now_ms:
            _, worker = heapq.heappop(self._heap)
            deadline = self._deadline_ms.get(worker)
            if deadline is None:
                continue
            if deadline > now_ms:
                heapq.heappush(self._heap, (deadline, worker))
                continue
            overdue.append(worker)
            self._set(worker, until_ms=now_ms + self._config.closed_ms)
        return overdue

    @property
    def next_due_ms(self) -> int | None:
        """No lease runs out before this; None without leases. May be early, is never late."""
        return self._heap[0][0] if self._heap else None

    def _extend(self, worker: WorkerId, *, until_ms: int) -> None:
        """Move a deadline back. Its heap entry stays and is corrected when it comes up."""
        known = self._deadline_ms.get(worker)
        if known is None:
            self._set(worker, until_ms=until_ms)
        elif until_ms > known:
            self._deadline_ms[worker] = until_ms

    def _set(self, worker: WorkerId, *, until_ms: int) -> None:
        self._deadline_ms[worker] = until_ms
        heapq.heappush(self._heap, (until_ms, worker))
        if len(self._heap) > 4 * len(self._deadline_ms) + 64:
            self._heap = [(due, w) for w, due in self._deadline_ms.items()]
            heapq.heapify(self._heap)


def online_workers(state: State) -> list[WorkerId]:
    """Who gets a grace period after an election."""
    return [worker.id for worker in state.workers.values() if worker.online]
