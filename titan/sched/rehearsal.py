"""Would the planner assign this job, and would it if something were different? Asks the planner itself.

A rehearsal is a planner of its own over the same state: the real fleet's seats with what they hold, and
of the queue everything that goes before the job. What comes after it cannot take its place. The real
planner is never touched, so the answer costs time in proportion to workers and jobs ahead, and no more.
"""

from __future__ import annotations

import msgspec

from titan.fsm.state import State, Worker
from titan.ids import WorkerId
from titan.limits import (
    REHEARSALS_MAX,
    REHEARSED_MAX,
    SERVICE_PORTS_FIRST,
    SERVICE_PORTS_LAST,
)
from titan.sched.line import Ready
from titan.sched.planner import Planner
from titan.sched.queue import LaneKey
from titan.sched.verdicts import Change

NEWCOMER = WorkerId("~")  # after every real id, as the newest worker: no tie is won by its name


class Rehearsals:
    """Rehearsals of one job's turn. Made for one question, at one moment."""

    def __init__(
        self, state: State, planner: Planner, *, queued: tuple[Ready, LaneKey], now_ms: int
    ) -> None:
        self._state = state
        self._planner = planner
        self._entry, self._key = queued
        self._now_ms = now_ms
        self.ahead_count = planner.queue.count_ahead_of(self._entry)
        size = self.ahead_count + len(planner.fleet.seats) + 1
        self.tries_left = min(REHEARSALS_MAX, REHEARSED_MAX // size)
        self.ahead: list[tuple[Ready, LaneKey]] = []  # most urgent first, if anything can be tried
        if self.tries_left:
            self.ahead = sorted(planner.queue.ahead_of(self._entry), key=lambda pair: pair[0])

    def assigns(self, change: Change) -> bool:
        """Whether the next plan assigns the job once the change has happened; False when there were
        as many rehearsals as the leader can afford."""
        if self.tries_left <= 0:
            return False
        self.tries_left -= 1
        twin = self._twin()
        _apply(twin, change, self._state)
        entry = self._entry
        if change.kind == "priority":
            entry = entry._replace(urgency=-change.priority)
        demand, prefers, port = self._key
        twin.queue.add(entry, demand=demand, prefers=prefers, port=port)
        wait_ms = change.after_ms if change.kind == "rest" else 0
        now_ms = self._now_ms + wait_ms
        found = twin.plan(now_ms=now_ms, limit=len(self.ahead) + 1)
        return any((one.run, one.job) == (entry.run, entry.job) for one in found)

    def _twin(self) -> Planner:
        real = self._planner
        twin = Planner.twin(self._state, durations=real.durations)
        twin.fleet.sessions = dict(real.fleet.sessions)
        for seat in real.fleet.seats.values():
            copy = twin.fleet.replace(self._state.workers[seat.id], dict(seat.held))
            for hold in seat.reserved.values():
                twin.fleet.reserve(copy, hold)
            if seat.rests_until_ms:
                twin.fleet.rest(seat.id, until_ms=seat.rests_until_ms)
        for entry, (demand, prefers, port) in self.ahead:
            twin.queue.add(entry, demand=demand, prefers=prefers, port=port)
        return twin


def _apply(twin: Planner, change: Change, state: State) -> None:
    """Make the twin's fleet as it would be."""
    fleet = twin.fleet
    if change.kind == "free":
        for attempt in change.attempts:
            fleet.release(change.worker, attempt)
    elif change.kind in ("open", "connect"):
        seat = fleet.seats[change.worker]
        known = state.workers[change.worker]
        has_left = known.mode == "draining" and not known.online  # a new life of it is open
        mode = "open" if change.kind == "open" or has_left else known.mode
        record = msgspec.structs.replace(known, mode=mode, online=True)
        fleet.replace(record, dict(seat.held))
        fleet.set_session(change.worker, is_up=True)
    elif change.kind in ("worker", "raise_max", "launch"):
        fleet.replace(_newcomer(change), {})
        fleet.set_session(NEWCOMER, is_up=True)


def _newcomer(change: Change) -> Worker:
    return Worker(
        id=NEWCOMER,
        incarnation=0,
        name="",
        capabilities=change.capabilities,
        slots=change.slots,
        resources=dict(change.resources),
        machine=NEWCOMER,
        ports=(SERVICE_PORTS_FIRST, SERVICE_PORTS_LAST),
    )
