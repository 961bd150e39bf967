"""Runs built part by part: what is refused and when, and what one entry may do at most."""

from __future__ import annotations

import pytest

from tests.fsm.driver import MachineDriver, job
from titan import limits
from titan.fsm import clock, telling
from titan.fsm.commands import CancelRun, StageJobs, SubmitRun
from titan.fsm.events import JobReady, JobsChanged, JobsReady
from titan.fsm.machine import Machine
from titan.fsm.outcomes import Applied, Rejected
from titan.ids import JobId, RunId
from titan.spec.model import JobSpec

R = RunId("r-staged")


def part(number: int, *jobs: JobSpec) -> StageJobs:
    return StageJobs(run=R, part=number, jobs=jobs)


def submit(*jobs: JobSpec, parts: int) -> SubmitRun:
    return SubmitRun(run=R, name="n", jobs=jobs, parts=parts)


def test_a_parent_in_a_later_part_is_refused_in_plain_words(machine: MachineDriver) -> None:
    machine.do(part(0, job("a")))
    outcome = machine.apply(part(1, job("c", "b")))
    assert isinstance(outcome, Rejected)
    assert outcome.code == "unknown_parent"
    assert "'c' depends on 'b'" in outcome.why
    assert "the same part or an earlier one" in outcome.why
    machine.do(part(1, job("b", "a"), job("c", "b")))
    machine.do(submit(job("d", "c"), parts=2))
    assert list(machine.run(R).jobs) == ["a", "b", "c", "d"]


def test_a_cycle_or_a_second_job_of_a_name_is_refused_with_its_part(
    machine: MachineDriver,
) -> None:
    machine.do(part(0, job("a")))
    assert machine.apply(part(1, job("x", "y", "a"), job("y", "x"))) == Rejected(
        "cycle", "x → y → x"
    )
    assert machine.refuse(part(1, job("a"))) == "duplicate_job"
    assert machine.refuse(submit(job("a"), parts=1)) == "duplicate_job"
    assert machine.do(submit(job("b"), parts=1)) == R


def test_a_part_that_came_too_early_and_turns_out_wrong_ends_the_submission(
    machine: MachineDriver,
) -> None:
    machine.do(part(1, job("b", "ghost")))
    machine.do(part(0, job("a")))
    assert machine.refuse(part(2, job("c"))) == "unknown_parent"
    assert machine.refuse(submit(parts=2)) == "unknown_parent"
    assert machine.do(submit(job("fresh"), parts=0)) == R
    assert not machine.state.stages


def test_a_part_far_before_its_turn_is_refused(machine: MachineDriver) -> None:
    machine.do(part(3, job("d")))
    outcome = machine.apply(part(limits.STAGE_PARTS_AHEAD_MAX, job("e")))
    assert outcome == Rejected("stage_incomplete", "part 0 has to come before part 4")


def test_what_is_staged_is_restored_and_goes_on_the_same(machine: MachineDriver) -> None:
    machine.do(part(0, job("a"), job("late", delay_ms=5), job("b", "a")))
    machine.do(part(2, job("d", "c")))
    other = MachineDriver()
    other.machine.restore(machine.machine.freeze())
    assert other.state == machine.state
    other.now_ms = machine.now_ms
    for driver in (machine, other):
        driver.do(part(1, job("c", "b"), job("slow", queue_timeout_ms=9)))
        driver.do(submit(parts=3))
        assert driver.told(JobReady) == [JobReady(R, JobId("a")), JobReady(R, JobId("slow"))]
        assert driver.wait(5) == 1
        assert driver.wait(4) == 1
    assert other.state == machine.state
    assert machine.states(R)["slow"] == "FAILED"


def test_the_roots_of_a_large_run_are_told_by_one_event(machine: MachineDriver) -> None:
    names = [f"j{n}" for n in range(telling.EVENTS_EACH_MAX + 1)]
    machine.do(part(0, *[job(name) for name in names]))
    machine.do(submit(job("child", "j0"), parts=1))
    assert machine.told(JobReady) == []
    assert [list(event.jobs) for event in machine.told(JobsReady)] == [names]
    machine.do(CancelRun(run=R))
    [event] = machine.told(JobsChanged)
    assert (event.state, list(event.jobs)) == ("CANCELLED", [*names, "child"])


def test_one_command_declares_only_so_many_jobs() -> None:
    driver = MachineDriver()
    many = tuple(job(f"j{n}") for n in range(limits.JOBS_PER_COMMAND_MAX + 1))
    assert driver.refuse(submit(*many, parts=0)) == "too_large"
    assert driver.refuse(part(0, *many)) == "too_large"
    assert not driver.state.stages


def test_one_entry_fires_only_so_many_timers(
    machine: MachineDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clock, "TIMERS_PER_ENTRY_MAX", 2)
    machine.submit([job(f"j{n}", delay_ms=5) for n in range(5)])
    assert machine.wait(5) == 2
    assert machine.state.next_due_ms is not None
    assert machine.state.next_due_ms <= machine.now_ms
    assert [machine.wait(0) for _ in range(3)] == [2, 1, 0]


def test_an_abandoned_submission_gives_its_room_back(machine: MachineDriver) -> None:
    machine.do(part(0, job("a")))
    assert machine.state.staged_bytes > 0
    machine.wait(limits.STAGE_TTL_MS)
    assert machine.state.staged_bytes == 0
    assert machine.apply(part(0, job("a"))) == Applied()
    assert Machine().state.staged_bytes == 0
