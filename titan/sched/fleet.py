"""The workers, indexed by load for every shape of demand in use.

Owns every `Seat`. Finding the least loaded capable worker costs the logarithm of the fleet; a change
of one worker costs one index entry per shape it serves. Never decides who gets a job: `placement.py`.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable

from titan.fsm.state import Demand, Worker
from titan.ids import AttemptId, WorkerId
from titan.limits import POOLS_IDLE_MAX
from titan.sched import filters
from titan.sched.need import Need, Shape
from titan.sched.queue import Lane
from titan.sched.seat import FULL, OUT_OF_USE, Hold, JobKey, Seat

Veto = Callable[[Seat], bool]


class Pool:
    """The workers that offer one shape, least loaded first. Entries go stale instead of moving."""

    __slots__ = ("_aside", "_heap", "members", "parked", "shape")

    def __init__(self, shape: Shape) -> None:
        self.shape = shape
        self.members: dict[WorkerId, Seat] = {}
        self.parked: dict[int, Lane] = {}  # lanes that wait for room here, by number
        self._heap: list[tuple[int, WorkerId, Seat]] = []
        self._aside: list[tuple[int, WorkerId, Seat]] = []

    def admits(self, seat: Seat) -> bool:
        """Whether the worker offers the tags and has any of each resource."""
        requirement, names = self.shape
        if filters.lacks_tags(seat.capabilities, requirement):
            return False
        return all(seat.totals.get(name, 0) > 0 for name in names)

    def push(self, seat: Seat) -> None:
        """Index a worker under its present load."""
        heap = self._heap
        heapq.heappush(heap, (seat.load, seat.id, seat))
        if len(heap) > 2 * len(self.members) + 64:
            self.compact()

    def compact(self) -> None:
        """Index every member once."""
        live = [s for s in self.members.values() if s.load != OUT_OF_USE]
        self._heap = [(s.load, s.id, s) for s in live]
        heapq.heapify(self._heap)

    def pick(self, need: Need, *, below: int, queued: bool, veto: Veto | None) -> Seat | None:
        """The least loaded member with room, under the load `below`; ties go to the lower id.

        `queued` lets the job wait on the worker, so free slots do not matter. Members without room
        are set aside until `restore`: jobs of equal need that follow do not look at them again.
        """
        heap = self._heap
        while heap:
            load, _, seat = heap[0]
            if load != seat.load:
                heapq.heappop(heap)
                continue
            if load >= below:
                return None
            has_room = queued or not filters.lacks_slots(seat, need)
            if has_room and not filters.lacks_room(seat, need) and not (veto and veto(seat)):
                return seat
            self._aside.append(heapq.heappop(heap))
        return None

    def restore(self) -> None:
        """Bring back what `pick` set aside."""
        for entry in self._aside:
            heapq.heappush(self._heap, entry)
        self._aside.clear()


class Fleet:
    """Every known worker. Tells through `freed` whose room grew since the last plan."""

    def __init__(self) -> None:
        self.seats: dict[WorkerId, Seat] = {}
        self.sessions: dict[WorkerId, None] = {}
        self.freed: dict[WorkerId, None] = {}
        self.crowded: dict[WorkerId, None] = {}  # with attempts beyond their slots
        self.roomy: dict[WorkerId, None] = {}  # open, with a free slot
        self.resting: dict[WorkerId, None] = {}
        self._pools: dict[Shape, Pool] = {}
        self._serial = 0

    # --- workers come, change and go ----------------------------------------------------------

    def replace(self, worker: Worker, holds: dict[AttemptId, Hold]) -> Seat:
        """Count a worker afresh from its record and what it holds; proposals in flight stay."""
        old = self.remove(worker.id)
        self._serial += 1
        seat = Seat(worker, serial=self._serial, session=worker.id in self.sessions)
        for attempt, hold in holds.items():
            seat.held[attempt] = hold
            seat.take(hold)
        if old is not None:
            seat.started = {a: None for a in old.started if a in holds}
            if old.rests_until_ms:
                seat.rests_until_ms = old.rests_until_ms
                self.resting[worker.id] = None
            seat.waiting = old.waiting
            seat.reserved = old.reserved
            for hold in seat.reserved.values():
                seat.take(hold)
        self.seats[worker.id] = seat
        seat.pools = [pool for pool in self._pools.values() if pool.admits(seat)]
        for pool in seat.pools:
            pool.members[seat.id] = seat
        self._reindex(seat)
        self.freed[seat.id] = None
        return seat

    def remove(self, worker: WorkerId) -> Seat | None:
        """Forget a worker; answers what was known of it."""
        seat = self.seats.pop(worker, None)
        if seat is not None:
            seat.load = OUT_OF_USE
            for pool in seat.pools:
                del pool.members[worker]
            self.crowded.pop(worker, None)
            self.roomy.pop(worker, None)
            self.resting.pop(worker, None)
            self.freed.pop(worker, None)
        return seat

    def set_session(self, worker: WorkerId, *, is_up: bool) -> None:
        """A worker may have work only while it is connected to this leader."""
        if is_up:
            self.sessions[worker] = None
        else:
            self.sessions.pop(worker, None)
        seat = self.seats.get(worker)
        if seat is not None and seat.session is not is_up:
            seat.session = is_up
            self._reindex(seat)
            self.freed[worker] = None

    def rest(self, worker: WorkerId, *, until_ms: int) -> None:
        """Give a worker nothing until then."""
        seat = self.seats.get(worker)
        if seat is not None:
            seat.rests_until_ms = until_ms
            self.resting[worker] = None
            self._reindex(seat)
            self.freed[worker] = None

    def end_rests(self, now_ms: int) -> None:
        """Let those who have rested take work again."""
        for worker in list(self.resting):
            seat = self.seats[worker]
            if seat.rests_until_ms <= now_ms:
                del self.resting[worker]
                seat.rests_until_ms = 0
                self._reindex(seat)
                self.freed[worker] = None

    # --- capacity is taken and given back -----------------------------------------------------

    def reserve(self, seat: Seat, hold: Hold) -> None:
        """Take room for a proposal."""
        seat.reserved[hold.job] = hold
        seat.take(hold)
        self._reindex(seat)

    def unreserve(self, worker: WorkerId, job: JobKey) -> None:
        """The proposal came to nothing."""
        seat = self.seats.get(worker)
        hold = None if seat is None else seat.reserved.pop(job, None)
        if seat is not None and hold is not None:
            seat.give(hold)
            self._reindex(seat)
            self.freed[worker] = None

    def confirm(self, worker: WorkerId, attempt: AttemptId, job: JobKey, *, demand: Demand) -> bool:
        """Turn a proposal into the attempt that came of it; answers whether the attempt is counted.

        The job may have been changed since it was proposed: then the proposal is given back."""
        seat = self.seats.get(worker)
        if seat is None:
            return False
        if attempt in seat.held:
            return True  # its worker was counted afresh meanwhile; the proposal is to be given back
        hold = seat.reserved.get(job)
        if hold is None:
            return False
        if hold.need.demand is not demand and hold.need.demand != demand:
            self.unreserve(worker, job)
            return False
        del seat.reserved[job]
        seat.held[attempt] = hold
        return True

    def hold(self, worker: WorkerId, attempt: AttemptId, hold: Hold) -> None:
        """Count a live attempt that no proposal of this planner led to."""
        seat = self.seats.get(worker)
        if seat is not None and attempt not in seat.held:
            seat.held[attempt] = hold
            seat.take(hold)
            self._reindex(seat)

    def release(self, worker: WorkerId, attempt: AttemptId) -> None:
        """The attempt is not live any more."""
        seat = self.seats.get(worker)
        hold = None if seat is None else seat.held.pop(attempt, None)
        if seat is not None and hold is not None:
            seat.started.pop(attempt, None)
            seat.give(hold)
            self._reindex(seat)
            self.freed[worker] = None

    def free_machine(self, worker: WorkerId) -> None:
        """A port came free on the worker's machine, which all workers there share."""
        seat = self.seats.get(worker)
        if seat is not None:
            for other in self.seats.values():
                if other.machine == seat.machine:
                    self.freed[other.id] = None

    def try_on(self, seat: Seat, hold: Hold) -> None:
        """Take room for the length of one calculation; `take_off` must follow."""
        seat.take(hold)
        self._reindex(seat)

    def take_off(self, seat: Seat, hold: Hold) -> None:
        """Undo `try_on`."""
        seat.give(hold)
        self._reindex(seat)

    def _reindex(self, seat: Seat) -> None:
        load = OUT_OF_USE if filters.closed(seat) else seat.measure()
        if seat.session and seat.used > seat.slots:
            self.crowded[seat.id] = None
        else:
            self.crowded.pop(seat.id, None)
        if load == seat.load:
            return
        seat.load = load
        if OUT_OF_USE < load < FULL:
            self.roomy[seat.id] = None
        else:
            self.roomy.pop(seat.id, None)
        if load != OUT_OF_USE:
            for pool in seat.pools:
                pool.push(seat)

    # --- pools --------------------------------------------------------------------------------

    def pool(self, shape: Shape) -> Pool:
        """The index for a shape, made from all workers the first time it is asked for."""
        pool = self._pools.get(shape)
        if pool is None:
            pool = self._pools[shape] = Pool(shape)
            for seat in self.seats.values():
                if pool.admits(seat):
                    pool.members[seat.id] = seat
                    seat.pools.append(pool)
            pool.compact()
        return pool

    def prune(self, in_use: Callable[[Shape], bool]) -> None:
        """Drop indexes that no ready job needs once there are too many of them."""
        if len(self._pools) <= POOLS_IDLE_MAX:
            return
        for shape in [s for s in self._pools if not in_use(s)]:
            pool = self._pools.pop(shape)
            for seat in pool.members.values():
                seat.pools.remove(pool)

    def take_freed(self) -> list[Seat]:
        """Workers that changed or whose room grew since the last call."""
        freed, self.freed = self.freed, {}
        return [self.seats[worker] for worker in freed]
