"""Schedules: each nominal time fires once, whoever proposes it how often, and overlaps as declared."""

from __future__ import annotations

from typing import Any

import pytest

from tests.fsm.driver import START_MS, MachineDriver, chain
from titan.errors import NotFound
from titan.fsm.commands import (
    BackfillSchedule,
    CancelRun,
    DeleteSchedule,
    FireSchedule,
    PauseSchedule,
    SavePipeline,
    SetSchedule,
    TriggerSchedule,
)
from titan.fsm.firings import jitter_of
from titan.fsm.queries import GetSchedule, ListSchedules, ScheduleView
from titan.fsm.views import read
from titan.ids import RunId
from titan.limits import SCHEDULE_QUEUE_MAX
from titan.spec.model import Input, ScheduleSpec

MINUTE = 60_000


@pytest.fixture
def machine() -> MachineDriver:
    made = MachineDriver()
    made.do(SavePipeline(name="p", jobs=chain("a"), inputs={"x": Input("int", default=1)}))
    return made


def declare(machine: MachineDriver, **spec: Any) -> int:
    spec.setdefault("cron", "* * * * *")
    revision: int = machine.do(
        SetSchedule(name="s", spec=ScheduleSpec(**spec), pipeline="p", owner="ann")
    )
    return revision


def fire(machine: MachineDriver, minute: int, **fields: Any) -> Any:
    return machine.apply(order(machine, minute, **fields))


def order(machine: MachineDriver, minute: int, **fields: Any) -> FireSchedule:
    fields.setdefault("revision", machine.state.schedules["s"].revision)
    return FireSchedule(name="s", nominal_ms=START_MS + minute * MINUTE, **fields)


def do_fire(machine: MachineDriver, minute: int, **fields: Any) -> list[str]:
    machine.now_ms = max(machine.now_ms, START_MS + minute * MINUTE)
    answer: list[str] = machine.do(order(machine, minute, **fields))
    return answer


def view(machine: MachineDriver) -> ScheduleView:
    found: ScheduleView = read(machine.state, GetSchedule(name="s"))
    return found


def test_a_nominal_time_fires_once_however_often_it_is_proposed(machine: MachineDriver) -> None:
    declare(machine)
    outcome, run = do_fire(machine, 1)
    assert outcome == "started"
    for _ in range(3):
        assert fire(machine, 1).code == "already_fired"
    assert list(machine.state.runs) == [run]
    made = machine.run_view(RunId(run))
    assert (made.name, made.schedule, made.owner) == ("p", "s", "ann")
    assert machine.run(RunId(run)).parameters == {
        "scheduled_time_ms": START_MS + MINUTE,
        "x": 1,
    }


def test_two_leaders_that_compute_the_same_time_start_one_run(machine: MachineDriver) -> None:
    declare(machine)
    machine.now_ms += MINUTE
    assert fire(machine, 1, revision=1).code == "stale_schedule"
    do_fire(machine, 1)
    machine.epoch = 2
    assert fire(machine, 1).code == "already_fired"
    assert len(machine.state.runs) == 1


def test_nothing_fires_before_its_time(machine: MachineDriver) -> None:
    declare(machine, jitter_ms=40_000)
    late = jitter_of(machine.state.schedules["s"], START_MS + MINUTE)
    assert 0 < late <= 40_000
    machine.now_ms = START_MS + MINUTE + late - 1
    assert fire(machine, 1).code == "too_early"
    machine.now_ms += 1
    assert do_fire(machine, 1)[0] == "started"


def test_a_time_before_the_declaration_never_fires(machine: MachineDriver) -> None:
    machine.now_ms += 10 * MINUTE
    declare(machine)
    assert fire(machine, 10).code == "already_fired"
    assert do_fire(machine, 11)[0] == "started"


@pytest.mark.parametrize(
    ("overlap", "outcomes", "first"),
    [
        ("allow", ["started", "started"], "PENDING"),
        ("skip", ["started", "skipped"], "PENDING"),
        ("queue", ["started", "queued"], "PENDING"),
        ("cancel_running", ["started", "started"], "CANCELLED"),
    ],
)
def test_overlap(machine: MachineDriver, overlap: str, outcomes: list[str], first: str) -> None:
    declare(machine, overlap=overlap)
    run = RunId(do_fire(machine, 1)[1])
    do_fire(machine, 2)
    assert [firing.outcome for firing in view(machine).firings] == outcomes
    assert machine.run_view(run).state == first
    machine.do(CancelRun(run=run))
    assert do_fire(machine, 3)[0] == ("queued" if overlap == "queue" else "started")


def test_what_is_queued_starts_in_order_once_the_run_before_is_over(machine: MachineDriver) -> None:
    declare(machine, overlap="queue")
    run = RunId(do_fire(machine, 1)[1])
    do_fire(machine, 2)
    do_fire(machine, 3)
    assert view(machine).queued == (START_MS + 2 * MINUTE, START_MS + 3 * MINUTE)
    assert do_fire(machine, 2, kind="queued") == ["none", ""]  # the leader was early
    machine.do(CancelRun(run=run))
    assert fire(machine, 3, kind="queued").code == "already_fired"
    assert do_fire(machine, 2, kind="queued")[0] == "started"
    assert view(machine).queued == (START_MS + 3 * MINUTE,)


def test_the_queue_is_bounded(machine: MachineDriver) -> None:
    declare(machine, overlap="queue")
    outcomes = [do_fire(machine, n)[0] for n in range(1, SCHEDULE_QUEUE_MAX + 3)]
    assert outcomes == ["started", *["queued"] * SCHEDULE_QUEUE_MAX, "skipped"]


def test_a_paused_schedule_rests_and_tells_what_it_missed(machine: MachineDriver) -> None:
    declare(machine)
    assert machine.do(PauseSchedule(name="s", is_paused=True)) is True
    assert machine.do(PauseSchedule(name="s", is_paused=True)) is False
    machine.now_ms += 9 * MINUTE
    assert fire(machine, 1).code == "schedule_paused"
    machine.do(PauseSchedule(name="s", is_paused=False))
    assert do_fire(machine, 8, kind="missed", missed=8)[0] == "missed"
    assert fire(machine, 8).code == "already_fired"
    do_fire(machine, 9)
    assert [(one.outcome, one.missed) for one in view(machine).firings] == [
        ("missed", 8),
        ("started", 0),
    ]


def test_run_now_starts_whatever_runs_and_moves_nothing(machine: MachineDriver) -> None:
    declare(machine, overlap="skip")
    first = machine.do(TriggerSchedule(name="s", owner="bob"))
    second = machine.do(TriggerSchedule(name="s"))
    assert (first[0], second[0]) == ("started", "started")
    assert first[1] != second[1]
    assert machine.run(RunId(first[1])).owner == "bob"
    assert do_fire(machine, 1)[0] == "skipped"


def test_a_range_is_made_up_for_once(machine: MachineDriver) -> None:
    declare(machine)
    day = BackfillSchedule(name="s", from_ms=START_MS - 3 * MINUTE, until_ms=START_MS)
    machine.do(day)
    assert machine.refuse(day) == "backfill_running"
    assert do_fire(machine, -3, kind="backfill")[0] == "started"
    assert fire(machine, -3, kind="backfill").code == "already_fired"
    assert fire(machine, 0, kind="backfill").code == "already_fired"
    do_fire(machine, -1, kind="backfill", is_last=True)
    assert fire(machine, -1, kind="backfill").code == "already_fired"
    machine.do(day)  # and again, as other runs
    do_fire(machine, -3, kind="backfill")
    assert len(machine.state.runs) == 3
    assert do_fire(machine, 1)[0] == "started"


def test_a_pipeline_that_is_gone_fails_the_firing_and_says_so(machine: MachineDriver) -> None:
    declare(machine)
    machine.do(SavePipeline(name="p", jobs=chain("a"), inputs={"y": Input("int", required=True)}))
    assert do_fire(machine, 1) == ["failed", ""]
    assert view(machine).firings[-1].why == "pipeline 'p': y is required"
    assert machine.do(TriggerSchedule(name="s"))[0] == "failed"


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"name": ""}, "invalid"),
        ({"pipeline": "nope"}, "unknown_pipeline"),
        ({"version": 9}, "unknown_pipeline"),
        ({"parameters": {"z": 1}}, "invalid_parameters"),
        ({"spec": ScheduleSpec(cron="")}, "invalid"),
        ({"spec": ScheduleSpec(cron="* * * * *", overlap="maybe")}, "invalid"),
        ({"spec": ScheduleSpec(cron="* * * * *", jitter_ms=-1)}, "invalid"),
    ],
)
def test_a_wrong_schedule_is_refused(
    machine: MachineDriver, fields: dict[str, Any], code: str
) -> None:
    good: dict[str, Any] = {"name": "s", "spec": ScheduleSpec(cron="* * * * *"), "pipeline": "p"}
    assert machine.refuse(SetSchedule(**{**good, **fields})) == code
    assert machine.state.schedules == {}


def test_a_schedule_of_the_same_name_again_has_other_runs(machine: MachineDriver) -> None:
    declare(machine)
    first = do_fire(machine, 1)[1]
    assert machine.do(DeleteSchedule(name="s")) is True
    assert machine.do(DeleteSchedule(name="s")) is False
    with pytest.raises(NotFound):
        view(machine)
    machine.now_ms = START_MS
    declare(machine)
    assert do_fire(machine, 2)[1] != first
    assert [one.name for one in read(machine.state, ListSchedules())] == ["s"]


def test_a_new_timetable_starts_from_now_and_other_changes_lose_nothing(
    machine: MachineDriver,
) -> None:
    declare(machine)
    machine.now_ms += 5 * MINUTE
    declare(machine, overlap="skip")
    assert do_fire(machine, 3)[0] == "started"
    declare(machine, cron="*/2 * * * *")
    assert fire(machine, 4).code == "already_fired"
