"""Ready jobs: one lane per demand and preferred worker, ordered by priority, then by submission.

A lane whose head finds no worker is parked by the planner and costs nothing until room appears; lanes
that are not parked compete by their heads. Removal is lazy: an entry left in a line is stale unless
the queue still knows it. Order between runs is submission order within a priority, nothing else.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from typing import Final

from titan.fsm.state import Demand
from titan.ids import WorkerId
from titan.sched.line import Line, Ready
from titan.sched.need import Need, Shape, need_of

LaneKey = tuple[Demand, WorkerId, int]
NO_SERVICE: Final = -1  # in place of a port


class Lane:
    """Ready jobs that ask for exactly the same thing, so what one cannot have none can."""

    __slots__ = (
        "ahead", "behind", "entered", "key", "line", "need", "number", "parked_in", "parked_with",
        "port", "prefers", "size",
    )  # fmt: skip

    def __init__(self, key: LaneKey, *, need: Need, number: int) -> None:
        self.key = key
        self.need = need
        self.number = number
        self.prefers: WorkerId = key[1]
        self.port = key[2]  # that services must have; 0 when any will do
        self.line = Line()  # with stale entries
        self.entered: Ready | None = None  # the head it competes with
        self.size = 0  # live entries
        self.parked_in: dict[int, Lane] | None = None  # the waiting room, while parked
        self.parked_with: Ready | None = None  # the head that found no room
        self.ahead: dict[int, Lane] = {}  # parked lanes to which it left a place, by number
        self.behind: dict[int, Lane] = {}  # those that did so for this one

    @property
    def is_of_services(self) -> bool:
        """Services go where they were if there is room, else elsewhere; they never wait on a worker."""
        return self.port != NO_SERVICE

    def wake(self) -> bool:
        """Leave the waiting room; answers whether it was in one."""
        if self.parked_in is None:
            return False
        del self.parked_in[self.number]
        self.parked_in = None
        for other in self.ahead.values():
            del other.behind[self.number]
        self.ahead = {}
        return True

    def park(self, room: dict[int, Lane], *, head: Ready) -> None:
        """Wait in `room`, where there is none for `head`, until somebody wakes it."""
        self.parked_with = head
        self.parked_in = room
        room[self.number] = self

    def give_way(self, others: Iterable[Lane]) -> None:
        """While parked: wake as well when one of these, parked with more urgent heads, does."""
        for other in others:
            self.ahead[other.number] = other
            other.behind[self.number] = self


class ReadyQueue:
    """All lanes. The lane that `best` answers has a live job as `entered`."""

    def __init__(self) -> None:
        self.lanes: dict[LaneKey, Lane] = {}
        self._where: dict[int, tuple[Ready, Lane]] = {}  # seq → entry
        self._race: list[tuple[int, int, int, Lane]] = []  # heads of lanes that are not parked
        self._shapes: dict[Shape, int] = {}  # how many lanes have each
        self._lane_count = 0

    def __len__(self) -> int:
        return len(self._where)

    def find(self, seq: int) -> tuple[Ready, Lane] | None:
        """The queued job with this number and its lane."""
        return self._where.get(seq)

    def add(
        self, entry: Ready, *, demand: Demand, prefers: WorkerId, port: int = NO_SERVICE
    ) -> Lane:
        """Queue a job; one that is queued already moves when its place has changed. Answers its lane."""
        key = (demand, prefers, port)
        known = self._where.get(entry.seq)
        if known is not None:
            if known[0] == entry and known[1].key == key:
                return known[1]
            self.discard(entry.seq)
        lane = self.lanes.get(key) or self._open(key)
        is_first = lane.line.add(entry)
        lane.size += 1
        self._where[entry.seq] = (entry, lane)
        if lane.parked_in is None and is_first:
            self._enter(lane)
        return lane

    def discard(self, seq: int) -> None:
        """Take a job out; no effect when it is not queued."""
        known = self._where.pop(seq, None)
        if known is None:
            return
        lane = known[1]
        lane.size -= 1
        if lane.behind:
            self._let_go_on(lane)  # the job may have been the one to which they left a place
        if lane.size == 0:
            self._close(lane)
        elif lane.line.length > 2 * lane.size + 64:
            lane.line.keep(lambda entry: self._is_live(entry, lane))

    def best(self) -> Lane | None:
        """The lane that is not parked with the most urgent head; None when all wait."""
        race = self._race
        while race:
            urgency, seq, _, lane = race[0]
            entered = lane.entered
            if entered is None or entered.seq != seq or entered.urgency != urgency:
                heapq.heappop(race)  # the lane has entered again with another head
            elif lane.parked_in is not None or not lane.size:
                heapq.heappop(race)
                lane.entered = None
            elif self._is_live(entered, lane):
                return lane
            else:
                heapq.heappop(race)
                self._enter(lane)
        return None

    def head(self, lane: Lane) -> Ready:
        """The lane's most urgent job."""
        return self._first_live(lane)

    def count_ahead_of(self, entry: Ready) -> int:
        """How many queued jobs are more urgent. Looks at the whole queue."""
        return sum(other < entry for other, _ in self._where.values())

    def ahead_of(self, entry: Ready) -> list[tuple[Ready, LaneKey]]:
        """Every queued job that is more urgent, in no order. Looks at the whole queue."""
        return [(other, lane.key) for other, lane in self._where.values() if other < entry]

    def wake(self, lane: Lane) -> None:
        """Let a parked lane compete again, and those that gave way to it: each in its turn."""
        if lane.wake():
            self._enter(lane)
            if lane.behind:
                self._let_go_on(lane)

    def _let_go_on(self, lane: Lane) -> None:
        """Wake the lanes that gave way to this one, those that gave way to them, and so on."""
        woken = [lane]
        while woken:
            for other in list(woken.pop().behind.values()):
                if other.wake():
                    self._enter(other)
                    woken.append(other)

    def has_shape(self, shape: Shape) -> bool:
        """Whether any queued job has this shape."""
        return shape in self._shapes

    @property
    def is_settled(self) -> bool:
        """Whether every lane waits for room: planning on would change nothing."""
        return self.best() is None

    def _open(self, key: LaneKey) -> Lane:
        self._lane_count += 1
        lane = self.lanes[key] = Lane(key, need=need_of(key[0]), number=self._lane_count)
        shape = lane.need.shape
        self._shapes[shape] = self._shapes.get(shape, 0) + 1
        return lane

    def _close(self, lane: Lane) -> None:
        lane.wake()
        del self.lanes[lane.key]
        shape = lane.need.shape
        self._shapes[shape] -= 1
        if not self._shapes[shape]:
            del self._shapes[shape]

    def _enter(self, lane: Lane) -> None:
        head = self._first_live(lane)
        if head is not lane.entered:
            lane.entered = head
            heapq.heappush(self._race, (head.urgency, head.seq, lane.number, lane))
            if len(self._race) > 4 * len(self.lanes) + 64:
                self._sweep_race()

    def _sweep_race(self) -> None:
        entered = [(ln.entered, ln) for ln in self.lanes.values() if ln.parked_in is None]
        self._race = [(e.urgency, e.seq, lane.number, lane) for e, lane in entered if e]
        heapq.heapify(self._race)
        for lane in self.lanes.values():
            if lane.parked_in is not None:
                lane.entered = None

    def _first_live(self, lane: Lane) -> Ready:
        line = lane.line
        first = line.first()
        while not self._is_live(first, lane):
            line.drop(first)
            first = line.first()
        return first

    def _is_live(self, entry: Ready, lane: Lane) -> bool:
        known = self._where.get(entry.seq)
        return known is not None and known[0] is entry and known[1] is lane
