"""Which worker gets the job at the head of a lane: filters, then rankers, as four stages.

1. *Pinned*: a job with affinity waits for the worker that ran its parent as long as that one is usable.
2. *Near*: a worker that has the job's files, if it has room now.
3. *Free slot*: the least loaded worker that has room now.
4. *Pre-fill*: a job known to be short waits on a worker, so that a slot need not wait for a round trip.

Only looks; `planner.py` acts.
"""

from __future__ import annotations

from collections.abc import Sequence

from titan.ids import WorkerId
from titan.sched import filters
from titan.sched.durations import prefill_depth
from titan.sched.fleet import Fleet, Pool
from titan.sched.line import Ready
from titan.sched.queue import Lane, ReadyQueue
from titan.sched.seat import FULL, SATURATED, Seat


def pinned_seat(fleet: Fleet, lane: Lane) -> Seat | None:
    """The worker that the lane's jobs must wait for; None when any worker will do.

    The preferred worker counts while it is usable: open, capable, and large enough when idle.
    Services only like a worker; they wait for none.
    """
    if not lane.prefers or lane.is_of_services:
        return None
    seat = fleet.seats.get(lane.prefers)
    if seat is None or filters.closed(seat):
        return None
    if filters.lacks_tags(seat.capabilities, lane.need.requirement):
        return None
    return None if filters.too_small(seat, lane.need) else seat


def _is_free(seat: Seat, lane: Lane) -> bool:
    """Whether the worker can start the lane's jobs at once."""
    if filters.closed(seat) or filters.lacks_tags(seat.capabilities, lane.need.requirement):
        return False
    return not filters.lacks_room(seat, lane.need) and not filters.lacks_slots(seat, lane.need)


class Placement:
    """Chooses among the workers of a fleet for the lanes of a queue."""

    def __init__(self, fleet: Fleet, queue: ReadyQueue, *, ports: filters.Ports) -> None:
        self._fleet = fleet
        self._queue = queue
        self._ports = ports
        self._lane: Lane | None = None  # what the pool's members were set aside for
        self._pool: Pool | None = None
        self.gave_way: dict[int, Lane] = {}  # to which lanes the last look left a place, by number

    def choose(
        self, lane: Lane, head: Ready, *, typical_us: int | None, near: Sequence[WorkerId] = ()
    ) -> Seat | None:
        """The worker for the job, or None when no usable worker has room for it.

        One of `near` gets it when it has a free slot: the job's files are there.
        """
        self.gave_way = {}
        if lane.is_of_services:
            return self._choose_for_service(lane, head)
        if lane.prefers:
            pinned = pinned_seat(self._fleet, lane)
            if pinned is not None:
                return pinned if self.has_place(pinned, lane, head, typical_us=typical_us) else None
        need = lane.need
        for worker in near:
            seat = self._fleet.seats.get(worker)
            if seat is not None and _is_free(seat, lane):
                return seat
        pool = self._open(lane)
        below = FULL if need.slots else SATURATED + 1
        seat = pool.pick(need, below=below, queued=False, veto=None)
        depth = prefill_depth(typical_us)
        if seat is not None or not depth or need.slots != 1:
            return seat
        return pool.pick(
            need, below=FULL * (1 + depth), queued=True, veto=lambda s: self._is_awaited(s, head)
        )

    def _choose_for_service(self, lane: Lane, head: Ready) -> Seat | None:
        liked = self._fleet.seats.get(lane.prefers)
        if (
            liked is not None
            and not filters.closed(liked)
            and not filters.lacks_tags(liked.capabilities, lane.need.requirement)
            and not filters.too_small(liked, lane.need)
            and self.has_place(liked, lane, head, typical_us=None)
        ):
            return liked
        below = FULL if lane.need.slots else SATURATED + 1
        return self._open(lane).pick(
            lane.need,
            below=below,
            queued=False,
            veto=lambda seat: bool(filters.lacks_port(seat, lane.port, self._ports)),
        )

    def anyone(self, lane: Lane) -> Seat | None:
        """Some worker that takes work and is capable, whatever is free on it; by id."""
        members = self._fleet.pool(lane.need.shape).members
        return next((members[one] for one in sorted(members) if not members[one].is_closed), None)

    def has_place(self, seat: Seat, lane: Lane, head: Ready, *, typical_us: int | None) -> bool:
        """Whether this worker, known to be usable and capable, can have the job now."""
        self.gave_way = {}
        need = lane.need
        if filters.lacks_room(seat, need):
            return False
        if lane.is_of_services:
            lacks = filters.lacks_port(seat, lane.port, self._ports)
            return not lacks and not filters.lacks_slots(seat, need)
        if not filters.lacks_slots(seat, need):
            return True
        if need.slots != 1 or seat.load >= FULL * (1 + prefill_depth(typical_us)):
            return False
        return not self._is_awaited(seat, head)

    def done(self) -> None:
        """The batch is over: what was set aside counts again."""
        if self._pool is not None:
            self._pool.restore()
        self._pool = self._lane = None

    def waiting_room(self, lane: Lane) -> dict[int, Lane]:
        """Where a lane without a place waits: at the one worker it wants, or at its pool."""
        pinned = pinned_seat(self._fleet, lane)
        return self._fleet.pool(lane.need.shape).parked if pinned is None else pinned.waiting

    def _open(self, lane: Lane) -> Pool:
        if self._lane is not lane or self._pool is None:
            self.done()
            self._lane = lane
            self._pool = self._fleet.pool(lane.need.shape)
        return self._pool

    def _is_awaited(self, seat: Seat, head: Ready) -> bool:
        """Whether a more urgent job waits for a slot here: queueing before it would starve it."""
        rooms = [pool.parked for pool in seat.pools if pool.parked]
        if seat.waiting:
            rooms.append(seat.waiting)
        for room in rooms:
            for other in room.values():
                if self._queue.head(other) < head and not filters.too_small(seat, other.need):
                    self.gave_way[other.number] = other
                    return True
        return False
