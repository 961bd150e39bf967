"""What schedules are due: the leader's clock and calendar, and nothing else.

Computes nominal times from the state and proposes them; the state machine takes each once. Forgetting
everything here costs nothing: the next leader computes the same from the same state. Runs as a side task
that acts on the leader only.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Final

from titan.errors import TitanError
from titan.fsm.commands import FireSchedule
from titan.fsm.firings import is_live, jitter_of
from titan.fsm.records.schedules import Schedule
from titan.fsm.state import State
from titan.limits import BACKFILLS_RUNNING_MAX, CATCHUP_FIRINGS_MAX, SCHEDULE_LATE_MS
from titan.master.reigns import Reigns
from titan.master.replica import Replica
from titan.spec.cron import Calendar

log = logging.getLogger(__name__)

LOOK_PERIOD_S: Final = 0.2  # how late a firing may be besides its own jitter
SCAN_STEPS: Final = 500  # times looked at in one go: ten milliseconds
_NEVER: Final = 2**62


class _Scan:
    """A walk over the times that have come; only the newest are kept."""

    def __init__(self, basis: tuple[int, int], times: Iterator[int]) -> None:
        self.basis = basis
        self.newest: deque[int] = deque(maxlen=CATCHUP_FIRINGS_MAX)
        self.count = 0
        self._times = times

    def advance(self, has_come: Callable[[int], bool]) -> bool:
        """Walk on for a moment; whether the present is reached."""
        for at_ms in islice(self._times, SCAN_STEPS):
            if not has_come(at_ms):
                return True
            self.newest.append(at_ms)
            self.count += 1
        return False


class Timetable:
    """Proposes the firings that are due. `now_ms` is the clock that stamps the log."""

    def __init__(self, replica: Replica, reigns: Reigns, *, now_ms: Callable[[], int]) -> None:
        self._replica = replica
        self._reigns = reigns
        self._now_ms = now_ms
        self._calendars: dict[tuple[str, str], Calendar | None] = {}
        self._scans: dict[str, _Scan] = {}
        self._next: dict[str, tuple[tuple[int, int], int]] = {}  # name → computed from, next time

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            if self._reigns.current is not None and self._replica.state.schedules:
                try:
                    await self.fire_what_is_due()
                except TitanError as error:
                    log.info("schedules wait: %s", error)
            await asyncio.sleep(LOOK_PERIOD_S)

    async def fire_what_is_due(self) -> None:
        """One look at every schedule. Raises when this master does not reign."""
        state, now_ms = self._replica.state, self._now_ms()
        for name in [name for name in self._next if name not in state.schedules]:
            del self._next[name]
            self._scans.pop(name, None)
        for schedule in tuple(state.schedules.values()):
            for command in self._due(state, schedule, now_ms=now_ms):
                await self._reigns.need().propose(command)

    def _due(self, state: State, schedule: Schedule, *, now_ms: int) -> Iterator[FireSchedule]:
        if schedule.queue and not any(is_live(state, run) for run in schedule.live):
            yield _fire(schedule, schedule.queue[0], kind="queued")
        if schedule.backfill is not None:
            yield from self._backfill(state, schedule)
        if not schedule.is_paused and self._next_ms(schedule) <= now_ms:
            yield from self._catch_up(schedule, now_ms=now_ms)

    def _next_ms(self, schedule: Schedule) -> int:
        """When it fires next, its jitter included; computed once for each firing."""
        basis = (schedule.revision, schedule.last_nominal_ms)
        known = self._next.get(schedule.name)
        if known is None or known[0] != basis:
            calendar = self._calendar(schedule)
            nominal_ms = calendar.next_after(schedule.last_nominal_ms) if calendar else None
            due_ms = _NEVER if nominal_ms is None else nominal_ms + jitter_of(schedule, nominal_ms)
            known = self._next[schedule.name] = (basis, due_ms)
        return known[1]

    def _catch_up(self, schedule: Schedule, *, now_ms: int) -> Iterator[FireSchedule]:
        """The nominal times that have come since the last one, as `catchup` says. A schedule by the minute
        that nobody fired for a year has half a million: they are counted over many looks."""
        basis = (schedule.revision, schedule.last_nominal_ms)
        scan = self._scans.get(schedule.name)
        if scan is None or scan.basis != basis:
            calendar = self._calendar(schedule)
            if calendar is None:
                return
            scan = self._scans[schedule.name] = _Scan(basis, calendar.firings(basis[1]))
        if not scan.advance(lambda at: at + jitter_of(schedule, at) <= now_ms):
            return
        del self._scans[schedule.name]
        due = list(scan.newest)
        if not due:
            return
        chosen, missed = choose(due, catchup=schedule.spec.catchup, now_ms=now_ms)
        missed += scan.count - len(due)
        if not chosen:
            yield _fire(schedule, due[-1], kind="missed", missed=missed)
        for place, nominal_ms in enumerate(chosen):
            yield _fire(schedule, nominal_ms, missed=missed if place == 0 else 0)

    def _backfill(self, state: State, schedule: Schedule) -> Iterator[FireSchedule]:
        asked = schedule.backfill
        calendar = self._calendar(schedule)
        if asked is None:
            return
        running = sum(is_live(state, run) for run in schedule.live)
        if running >= BACKFILLS_RUNNING_MAX:
            return
        times = calendar.firings(asked.done_ms) if calendar else iter(())
        nominal_ms = next(times, None)
        if nominal_ms is None or nominal_ms >= asked.until_ms:
            yield _fire(schedule, 0, kind="backfill", is_last=True)
            return
        after = next(times, None)
        is_last = after is None or after >= asked.until_ms
        yield _fire(schedule, nominal_ms, kind="backfill", is_last=is_last)

    def _calendar(self, schedule: Schedule) -> Calendar | None:
        """None when this machine cannot read the expression, which the one that set it could."""
        key = (schedule.spec.cron, schedule.spec.timezone)
        if key not in self._calendars:
            try:
                self._calendars[key] = Calendar(key[0], timezone=key[1])
            except ValueError as error:
                log.warning("schedule %s does not fire here: %s", schedule.name, error)
                self._calendars[key] = None
        return self._calendars[key]


def choose(due: list[int], *, catchup: str, now_ms: int) -> tuple[list[int], int]:
    """Which of the times that have come fire now, and how many before them are passed over.

    One that is at most `SCHEDULE_LATE_MS` late is on time: an election, or a busy leader, misses nothing.
    """
    on_time = [at for at in due if now_ms - at <= SCHEDULE_LATE_MS]
    missed = [at for at in due if now_ms - at > SCHEDULE_LATE_MS]
    if catchup == "all":
        kept = missed[-CATCHUP_FIRINGS_MAX:]
    elif catchup == "last":
        kept = missed[-1:]
    else:
        kept = []
    return kept + on_time, len(missed) - len(kept)


def _fire(
    schedule: Schedule,
    nominal_ms: int,
    *,
    kind: str = "due",
    missed: int = 0,
    is_last: bool = False,
) -> FireSchedule:
    return FireSchedule(
        name=schedule.name,
        revision=schedule.revision,
        nominal_ms=nominal_ms,
        kind=kind,
        missed=missed,
        is_last=is_last,
    )
