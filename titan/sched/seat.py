"""A worker as the planner counts it: what it offers, what it holds, how loaded it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from titan.fsm.state import Worker
from titan.ids import AttemptId, JobId, RunId, WorkerId
from titan.limits import PREFILL_PER_SLOT_MAX, PREFILL_PLENTY
from titan.sched.need import Need
from titan.sched.queue import Lane

if TYPE_CHECKING:
    from titan.sched.fleet import Pool

FULL: Final = 1 << 20  # load of a worker whose slots are all taken and that queues nothing
SATURATED: Final = 1 << 60  # load of a worker with every slot behind work not known to be short
OUT_OF_USE: Final = -1  # equal to no load, so every index entry of the worker is stale

JobKey = tuple[RunId, JobId]


class Hold(msgspec.Struct, frozen=True, eq=False):
    """Capacity taken on a worker by a live attempt, or by a proposal on its way."""

    job: JobKey
    need: Need
    is_short: bool  # known to end within `PREFILL_COVER_US`
    is_pinned: bool = False  # the job wants this very worker


class Seat:
    """Capacity of one worker. `Fleet` alone changes it."""

    __slots__ = (
        "capabilities", "count", "count_max", "free", "held", "id", "load", "machine", "mode",
        "offers_services", "online", "pools", "reserved", "rests_until_ms", "serial", "session", "slots",
        "slow", "started", "totals", "used", "waiting",
    )  # fmt: skip

    def __init__(self, worker: Worker, *, serial: int, session: bool) -> None:
        self.id: WorkerId = worker.id
        self.serial = serial
        self.capabilities: tuple[str, ...] = worker.capabilities
        self.slots = worker.slots
        self.totals: dict[str, int] = worker.resources
        self.free: dict[str, int] = dict(worker.resources)
        self.mode = worker.mode
        self.online = worker.online
        self.session = session
        self.machine = worker.machine
        self.offers_services = worker.ports[1] > 0
        self.rests_until_ms = 0
        self.count = 0  # attempts and proposals
        self.count_max = worker.slots * (1 + PREFILL_PER_SLOT_MAX)
        self.used = 0  # slots taken
        self.slow = 0  # slots taken by what is not known to be short
        self.held: dict[AttemptId, Hold] = {}  # in order of assignment
        self.reserved: dict[JobKey, Hold] = {}  # proposals in flight
        self.started: dict[AttemptId, None] = {}  # what the worker said it has started
        self.load = OUT_OF_USE
        self.pools: list[Pool] = []  # the indexes it is in
        self.waiting: dict[int, Lane] = {}  # lanes that want this worker and no other

    def __lt__(self, other: Seat) -> bool:
        """Breaks ties of index entries for two lives of one worker."""
        return self.serial < other.serial

    @property
    def is_closed(self) -> bool:
        """Whether it takes no work now; `filters.closed` says why."""
        return self.load == OUT_OF_USE

    @property
    def has_plenty(self) -> bool:
        """Whether so many short attempts wait there that no slot will be free for a while."""
        return not self.is_closed and self.used >= self.slots * (1 + PREFILL_PLENTY)

    def take(self, hold: Hold) -> None:
        """Count a hold."""
        self._count(hold, sign=1)

    def give(self, hold: Hold) -> None:
        """Stop counting a hold."""
        self._count(hold, sign=-1)

    def _count(self, hold: Hold, *, sign: int) -> None:
        slots = hold.need.slots * sign
        self.count += sign
        self.used += slots
        if not hold.is_short:
            self.slow += slots
        for name, amount in hold.need.others:
            self.free[name] = self.free.get(name, 0) - amount * sign

    def measure(self) -> int:
        """How loaded it is: below `FULL` the share of slots taken, above it the queue.

        The queue is counted per slot that short work goes through, because a slot behind long work
        does not come free: comparing loads then compares how long a queued job would wait.
        """
        if self.used < self.slots:
            return self.used * FULL // self.slots
        quick = self.slots - self.slow
        if quick <= 0:
            return SATURATED
        return FULL + (self.used - self.slots) * FULL // quick
