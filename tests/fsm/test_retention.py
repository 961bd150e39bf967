"""Finished runs are forgotten in time, a few at a time; live ones never."""

from __future__ import annotations

import pytest

from tests.fsm.driver import MachineDriver, job
from titan.fsm import retention
from titan.fsm.commands import AddJobs, RetryJob, SetRetention
from titan.fsm.events import RunForgotten
from titan.fsm.machine import Machine
from titan.fsm.records.retention import Retention
from titan.ids import JobId, RunId
from titan.limits import FINISHED_JOBS_MAX, FINISHED_KEEP_MS


def ended(machine: MachineDriver, *names: str) -> RunId:
    run = machine.submit([job(name) for name in names or ("a",)])
    for name in names or ("a",):
        machine.run_job(run, name)
    return run


def pass_time(machine: MachineDriver) -> list[RunId]:
    """Let due timers fire; the runs that were forgotten."""
    machine.wait(1)
    return [event.run for event in machine.told(RunForgotten)]


def test_a_finished_run_is_forgotten_after_its_time_and_a_live_one_never(
    machine: MachineDriver,
) -> None:
    live = machine.submit([job("a")])
    over = ended(machine)
    machine.wait(FINISHED_KEEP_MS - 1)
    assert over in machine.state.runs
    assert pass_time(machine) == [over]
    assert list(machine.state.runs) == [live]
    machine.wait(10 * FINISHED_KEEP_MS)
    assert list(machine.state.runs) == [live]


def test_a_run_that_is_revived_begins_its_time_anew(machine: MachineDriver) -> None:
    first, second = ended(machine), ended(machine)
    machine.wait(FINISHED_KEEP_MS - 5)
    machine.do(RetryJob(run=first, job=JobId("a")))
    assert machine.wait(10) == 1
    assert list(machine.state.runs) == [first]
    machine.run_job(first, "a")
    machine.wait(FINISHED_KEEP_MS - 1)
    assert list(machine.state.runs) == [first]
    assert pass_time(machine) == [first]
    assert second not in machine.state.runs


def test_only_the_newest_finished_runs_are_kept(machine: MachineDriver) -> None:
    machine.do(SetRetention(runs_max=3))
    runs = [ended(machine) for _ in range(5)]
    assert pass_time(machine) == runs[:2]
    assert list(machine.state.runs) == runs[2:]


def test_finished_runs_keep_only_so_many_jobs(machine: MachineDriver) -> None:
    machine.do(SetRetention(jobs_max=5))
    first, second = ended(machine, "a", "b"), ended(machine, "a", "b")
    assert pass_time(machine) == []
    machine.do(AddJobs(run=second, jobs=(job("c"), job("d"))))
    machine.run_job(second, "c")
    machine.run_job(second, "d")
    assert pass_time(machine) == [first]
    assert list(machine.state.runs) == [second]


def test_one_entry_forgets_only_a_few_and_the_next_ones_go_on(
    machine: MachineDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "FORGET_JOBS_PER_ENTRY", 2)
    runs = [ended(machine) for _ in range(5)]
    machine.wait(FINISHED_KEEP_MS)
    assert [event.run for event in machine.told(RunForgotten)] == runs[:2]
    assert pass_time(machine) == runs[2:4]
    assert pass_time(machine) == runs[4:]
    assert pass_time(machine) == []


def test_a_restored_machine_forgets_the_same_runs(machine: MachineDriver) -> None:
    for _ in range(3):
        ended(machine)
    other = MachineDriver()
    other.machine.restore(machine.machine.freeze())
    assert other.state == machine.state
    other.now_ms = machine.now_ms
    for driver in (machine, other):
        driver.wait(FINISHED_KEEP_MS)
    assert other.machine.digest == machine.machine.digest
    assert not other.state.runs


def test_a_finished_run_that_changes_while_its_snapshot_is_drawn_is_drawn_as_it_was(
    machine: MachineDriver,
) -> None:
    run = ended(machine, "a", "b")
    live = machine.submit([job("x")])
    expected = list(machine.machine.freeze())
    frozen = iter(machine.machine.freeze().at_once())
    first = next(frozen)
    machine.do(AddJobs(run=run, jobs=(job("c", "a"),)))
    machine.do(RetryJob(run=run, job=JobId("b")))
    assert [first, *frozen] == expected
    other = Machine()
    other.restore(expected)
    assert list(other.state.runs) == list(machine.state.runs) == [run, live]
    assert [one.state.value for one in other.state.runs[run].jobs.values()] == ["COMPLETED"] * 2


def test_a_run_may_be_forgotten_while_its_snapshot_is_drawn(machine: MachineDriver) -> None:
    run = ended(machine)
    expected = list(machine.machine.freeze())
    frozen = iter(machine.machine.freeze().at_once())
    machine.wait(FINISHED_KEEP_MS)
    assert not machine.state.runs
    assert machine.refuse(RetryJob(run=run, job=JobId("a"))) == "unknown_run"
    assert list(frozen) == expected


def test_a_tighter_policy_forgets_at_once_and_survives_a_restore(machine: MachineDriver) -> None:
    runs = [ended(machine) for _ in range(4)]
    assert pass_time(machine) == []
    machine.do(SetRetention(runs_max=2, keep_ms=5_000))
    assert pass_time(machine) == runs[:2]
    other = MachineDriver()
    other.machine.restore(machine.machine.freeze())
    assert other.state.retention == machine.state.retention == Retention(runs_max=2, keep_ms=5_000)
    machine.wait(5_000)
    assert not machine.state.runs


def test_a_looser_policy_keeps_what_it_finds(machine: MachineDriver) -> None:
    machine.do(SetRetention(keep_ms=1_000))
    run = ended(machine)
    machine.do(SetRetention(keep_ms=100_000))
    machine.wait(99_000)
    assert run in machine.state.runs
    machine.wait(2_000)
    assert not machine.state.runs


@pytest.mark.parametrize(
    "wrong",
    [
        SetRetention(runs_max=-1),
        SetRetention(jobs_max=FINISHED_JOBS_MAX + 1),
        SetRetention(lease_ms=1_000),
    ],
)
def test_a_policy_out_of_bounds_is_refused_and_changes_nothing(
    machine: MachineDriver, wrong: SetRetention
) -> None:
    assert machine.refuse(wrong) == "invalid"
    assert machine.state.retention == Retention()
