"""Pulling queued attempts back from busy workers when others have nothing to do.

Asks for the newest attempts beyond a worker's slots, and for no more than idle workers can take. Whether
one has started is the worker's knowledge alone: it gives back what has not, and ignores the rest.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from titan.ids import AttemptId, WorkerId
from titan.limits import RETRACTION_TIMEOUT_MS, RETRACTIONS_MAX
from titan.sched.fleet import Fleet
from titan.sched.seat import FULL, Hold, Seat


class Retraction(msgspec.Struct, frozen=True):
    """Ask `worker` to give `attempt` back unless it has started."""

    attempt: AttemptId
    worker: WorkerId


class _Asked(msgspec.Struct, frozen=True, eq=False):
    worker: WorkerId
    taker: WorkerId
    hold: Hold
    at_ms: int


class Retractions:
    """What has been asked for and not been answered."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._asked: dict[AttemptId, _Asked] = {}  # oldest first

    def __len__(self) -> int:
        return len(self._asked)

    def forget(self, attempt: AttemptId) -> None:
        """The attempt was given back, has started or has ended."""
        self._asked.pop(attempt, None)

    def propose(self, *, now_ms: int) -> list[Retraction]:
        """What to ask for now. The caller has planned and found no more work for idle workers."""
        self._give_up(now_ms)
        if not self._fleet.crowded or not self._fleet.roomy:
            return []
        on_trial = self._promised()
        found: list[Retraction] = []
        for donor, attempt in self._queued():
            if len(self._asked) >= RETRACTIONS_MAX or not self._fleet.roomy:
                break
            hold = donor.held[attempt]
            pool = self._fleet.pool(hold.need.shape)
            taker = pool.pick(hold.need, below=FULL, queued=False, veto=None)
            pool.restore()
            if taker is None:
                continue
            self._fleet.try_on(taker, hold)
            on_trial.append((taker, hold))
            self._asked[attempt] = _Asked(donor.id, taker.id, hold, now_ms)
            found.append(Retraction(attempt, donor.id))
        for taker, hold in on_trial:
            self._fleet.take_off(taker, hold)
        return found

    def _give_up(self, now_ms: int) -> None:
        """No answer means that the attempt runs: never ask for it again."""
        for attempt, asked in list(self._asked.items()):
            if now_ms - asked.at_ms < RETRACTION_TIMEOUT_MS:
                break
            del self._asked[attempt]
            seat = self._fleet.seats.get(asked.worker)
            if seat is not None and attempt in seat.held:
                seat.started[attempt] = None

    def _promised(self) -> list[tuple[Seat, Hold]]:
        """Room that answers still to come will use, taken for the length of this calculation."""
        taken = []
        for asked in self._asked.values():
            taker = self._fleet.seats.get(asked.taker)
            if taker is not None:
                self._fleet.try_on(taker, asked.hold)
                taken.append((taker, asked.hold))
        return taken

    def _queued(self) -> Iterator[tuple[Seat, AttemptId]]:
        """Attempts that have probably not started, of the most crowded worker first, newest first."""
        donors = [self._fleet.seats[worker] for worker in self._fleet.crowded]
        donors.sort(key=lambda seat: (seat.slots - seat.used, seat.id))
        for seat in donors:
            beyond = seat.used - seat.slots
            for attempt, hold in reversed(list(seat.held.items())):
                if attempt in seat.started or not hold.need.slots:
                    continue
                beyond -= hold.need.slots
                if beyond < 0:
                    break
                if attempt not in self._asked and not hold.is_pinned:
                    yield seat, attempt
