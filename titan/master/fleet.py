"""What only the leader knows of the cluster: how its workers fare by their heartbeats, and what waits.

Heartbeats never enter the log, so a new leader knows of a worker what it has heard since its reign began.
Hints for people: nothing is decided by what stands here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from titan.fsm.state import State
from titan.ids import WorkerId
from titan.limits import FLEET_WORKERS_MAX
from titan.sched.depths import Queues, queues
from titan.sched.planner import Planner
from titan.wire.messages import Heartbeat

FRESH_MS: Final = 1000  # an answer is given again for so long, however many pages ask


class WorkerHealth(msgspec.Struct, frozen=True, kw_only=True):
    """A worker's last heartbeat: `load_milli` is the machine's one-minute load average × 1000."""

    worker: WorkerId
    last_seen_ms: int  # when it came, by the leader's clock
    load_milli: int
    memory_free_mb: int
    disk_free_mb: int


class Fleet(msgspec.Struct, frozen=True, kw_only=True):
    """As the leader saw it at `now_ms`. Workers of which it has heard nothing yet are not in `workers`."""

    leader: str
    now_ms: int
    workers: tuple[WorkerHealth, ...]
    queues: Queues


class FleetWatch:
    """The heartbeats of one reign, by worker, and the view of it all."""

    def __init__(self, *, address: str, now_ms: Callable[[], int]) -> None:
        self._address = address
        self._now_ms = now_ms
        self._heard: dict[WorkerId, WorkerHealth] = {}
        self._last: Fleet | None = None

    def heard(self, worker: WorkerId, message: Heartbeat) -> None:
        """A heartbeat came."""
        self._heard.pop(worker, None)  # the one heard longest ago comes first
        self._heard[worker] = WorkerHealth(
            worker=worker,
            last_seen_ms=self._now_ms(),
            load_milli=message.load_milli,
            memory_free_mb=message.memory_free_mb,
            disk_free_mb=message.disk_free_mb,
        )
        if len(self._heard) > FLEET_WORKERS_MAX:
            del self._heard[next(iter(self._heard))]

    def look(self, state: State, planner: Planner) -> Fleet:
        """The fleet now, or as it was a moment ago."""
        now_ms = self._now_ms()
        last = self._last
        if last is not None and 0 <= now_ms - last.now_ms < FRESH_MS:
            return last
        told = [self._heard[worker] for worker in sorted(self._heard) if worker in state.workers]
        self._last = Fleet(
            leader=self._address, now_ms=now_ms, workers=tuple(told), queues=queues(state, planner)
        )
        return self._last
