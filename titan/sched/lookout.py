"""What a leader remembers to see how the fleet does: who has been idle and what has waited, since when.

Not in the state: a new leader begins to count anew, which only makes it slower to act. Pure; told of
events and asked for a `Situation` from time to time.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from titan.fsm.events import AnyEvent, AttemptAssigned
from titan.fsm.records.pools import AWAITED
from titan.fsm.state import Demand, State, Worker
from titan.ids import WorkerId
from titan.sched.autoscale import Member, Situation
from titan.sched.demand import Backlog, backlogs
from titan.sched.planner import Planner


class Lookout:
    """The memory of one reign."""

    def __init__(self) -> None:
        self._idle_since_ms: dict[WorkerId, int] = {}
        self._waiting_since_ms: dict[Demand, int] = {}

    def observe(self, events: Iterable[AnyEvent]) -> None:
        """Whoever was given work between two looks was not idle, however short it was."""
        for event in events:
            if isinstance(event, AttemptAssigned):
                self._idle_since_ms.pop(event.worker, None)

    def look(self, state: State, planner: Planner, *, now_ms: int) -> Situation:
        """The situation now."""
        online = [worker for worker in state.workers.values() if worker.online]
        pending: dict[str, int] = {}
        for launch in state.launches.values():
            if launch.state in AWAITED:
                pending[launch.pool] = pending.get(launch.pool, 0) + 1
        return Situation(
            now_ms=now_ms,
            pools=state.pools,
            members=self._members(online, now_ms=now_ms),
            pending=pending,
            backlogs=self._dated(backlogs(planner), now_ms=now_ms),
        )

    def _members(self, online: list[Worker], *, now_ms: int) -> list[Member]:
        idle = {
            worker.id: self._idle_since_ms.get(worker.id, now_ms)
            for worker in online
            if not worker.live
        }
        self._idle_since_ms = idle
        return [
            Member(
                worker=worker.id,
                pool=worker.pool,
                ephemeral=worker.ephemeral,
                idle_ms=worker.idle_ms,
                idle_since_ms=idle.get(worker.id),
                is_leaving=worker.mode == "draining",
            )
            for worker in online
            if worker.ephemeral or worker.pool
        ]

    def _dated(self, found: list[Backlog], *, now_ms: int) -> list[Backlog]:
        dates = {
            one.need.demand: self._waiting_since_ms.get(one.need.demand, now_ms) for one in found
        }
        self._waiting_since_ms = dates
        return [msgspec.structs.replace(one, since_ms=dates[one.need.demand]) for one in found]
