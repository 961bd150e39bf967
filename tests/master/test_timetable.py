"""The leader's timetable: every nominal time once, through elections, pauses and late starts."""

from __future__ import annotations

from typing import Any

import pytest

from tests.fsm.driver import START_MS, MachineDriver, chain
from titan.fsm.commands import (
    BackfillSchedule,
    CancelRun,
    FireSchedule,
    PauseSchedule,
    SavePipeline,
    SetSchedule,
)
from titan.limits import BACKFILLS_RUNNING_MAX
from titan.master.timetable import Timetable, choose
from titan.spec.model import ScheduleSpec

MINUTE = 60_000


class Leader:
    """A machine whose only leader applies what the timetable proposes."""

    def __init__(self, machine: MachineDriver) -> None:
        self.machine = machine
        self.current = self
        self.proposed: list[FireSchedule] = []
        self.timetable = self.elected()

    def elected(self) -> Timetable:
        """A leader that has nothing but the state."""
        self.timetable = Timetable(self, self, now_ms=lambda: self.machine.now_ms)  # type: ignore[arg-type]
        return self.timetable

    @property
    def state(self) -> Any:
        return self.machine.state

    def need(self) -> Leader:
        return self

    async def propose(self, command: FireSchedule) -> None:
        self.proposed.append(command)
        self.machine.apply(command)

    async def pass_time(self, ms: int, *, looks: int = 1) -> None:
        for _ in range(looks):
            self.machine.now_ms += ms // looks
            await self.timetable.fire_what_is_due()

    def fired(self) -> list[tuple[int, str]]:
        """Minutes after the start, and what became of them."""
        firings = self.state.schedules["s"].firings
        return [((one.nominal_ms - START_MS) // MINUTE, one.outcome) for one in firings]


@pytest.fixture
def leader() -> Leader:
    machine = MachineDriver()
    machine.now_ms = START_MS = 1_700_000_040_000  # noqa: N806, F841 - a whole minute
    machine.do(SavePipeline(name="p", jobs=chain("a")))
    return Leader(machine)


def declare(leader: Leader, **spec: Any) -> None:
    spec.setdefault("cron", "* * * * *")
    leader.machine.do(SetSchedule(name="s", spec=ScheduleSpec(**spec), pipeline="p"))


async def test_every_minute_fires_once_through_many_elections(leader: Leader) -> None:
    declare(leader)
    for step in range(600):
        if step % 7 == 0:
            leader.elected()
        await leader.pass_time(1000)
    nominal = [command.nominal_ms for command in leader.proposed]
    assert len(nominal) == len(set(nominal)) == 10
    assert len(leader.state.runs) == 10


@pytest.mark.parametrize(
    ("catchup", "started", "missed"), [("none", 2, 28), ("last", 3, 27), ("all", 30, 0)]
)
async def test_what_passed_while_nobody_led(  # the last two are at most a minute late
    leader: Leader, catchup: str, started: int, missed: int
) -> None:
    declare(leader, catchup=catchup)
    await leader.pass_time(30 * MINUTE)
    outcomes = [outcome for _, outcome in leader.fired()]
    assert outcomes.count("started") == started
    assert sum(one.missed for one in leader.state.schedules["s"].firings) == missed
    await leader.pass_time(MINUTE)
    assert [outcome for _, outcome in leader.fired()].count("started") == started + 1


async def test_a_pause_counts_as_missed(leader: Leader) -> None:
    declare(leader, cron="0 * * * *", catchup="none", paused=True)
    await leader.pass_time(600 * MINUTE, looks=20)
    assert leader.fired() == []
    leader.machine.do(PauseSchedule(name="s", is_paused=False))
    await leader.pass_time(2 * MINUTE, looks=2)
    assert [outcome for _, outcome in leader.fired()] == ["missed"]


async def test_a_year_of_missed_minutes_is_counted_in_small_steps(leader: Leader) -> None:
    declare(leader, catchup="last")
    leader.machine.now_ms += 7 * 24 * 60 * MINUTE
    for _ in range(40):
        await leader.timetable.fire_what_is_due()
    firings = leader.state.schedules["s"].firings
    assert [one.outcome for one in firings] == ["started"] * 3
    assert firings[0].missed == 7 * 24 * 60 - 3


async def test_a_backfill_runs_a_few_at_a_time_and_each_once(leader: Leader) -> None:
    declare(leader, cron="0 0 1 1 *")
    now = leader.machine.now_ms
    declare(leader, cron="* * * * *", paused=True)
    leader.machine.do(PauseSchedule(name="s", is_paused=True))
    leader.machine.do(BackfillSchedule(name="s", from_ms=now - 10 * MINUTE, until_ms=now))
    for _ in range(8):
        await leader.timetable.fire_what_is_due()
    assert len(leader.state.runs) == BACKFILLS_RUNNING_MAX
    for _ in range(20):
        for run in list(leader.state.runs):
            leader.machine.do(CancelRun(run=run))
        leader.elected()
        await leader.timetable.fire_what_is_due()
    assert len(leader.state.runs) == 10
    assert leader.state.schedules["s"].backfill is None


def test_a_little_late_is_not_missed() -> None:
    now = 1_000_000_000
    assert choose([now - 50_000, now - 5], catchup="none", now_ms=now) == (
        [now - 50_000, now - 5],
        0,
    )
    assert choose([now - 70_000, now - 5], catchup="none", now_ms=now) == ([now - 5], 1)
