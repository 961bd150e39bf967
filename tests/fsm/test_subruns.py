"""Sub-runs: a job that is a run of its own, and the two ends that must agree."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.fsm.driver import MachineDriver, call, chain, gate, job
from tests.fsm.logs import steps_at_most
from titan import limits
from titan.fsm.commands import (
    AddJobs,
    AssignAttempt,
    CancelJob,
    CancelRun,
    DecideGate,
    DeletePipeline,
    RetryJob,
    SavePipeline,
    SubmitRun,
)
from titan.fsm.events import AttemptRevoked, RunForgotten
from titan.fsm.kin import subrun_id
from titan.fsm.machine import Machine
from titan.fsm.outcomes import Rejected
from titan.ids import JobId, RunId, is_run_id
from titan.limits import FINISHED_KEEP_MS
from titan.spec.json_text import as_json
from titan.spec.model import Input, JobSpec


def save(machine: MachineDriver, name: str, jobs: tuple[JobSpec, ...], **fields: Any) -> None:
    machine.do(SavePipeline(name=name, jobs=jobs, **fields))


def started(machine: MachineDriver, *after: JobSpec, **fields: Any) -> tuple[RunId, RunId]:
    """A run whose job `sub` runs the pipeline `p`: both ids."""
    run = machine.submit([call("sub", "p", **fields), *after])
    machine.wait(0)
    child = machine.view(run, "sub").subrun
    assert machine.states(run)["sub"] == "RUNNING", machine.view(run, "sub").reason
    return run, child


def test_a_job_runs_a_saved_pipeline_and_ends_as_it_does(machine: MachineDriver) -> None:
    save(machine, "p", chain("a", "b"))
    run, child = started(machine, job("after", "sub"))
    assert is_run_id(child)
    assert machine.view(run, "sub").reason == f"runs as {child}"
    view = machine.run_view(child)
    assert (view.name, view.parent_run, view.parent_job) == ("p", run, "sub")
    machine.run_job(child, "a")
    machine.run_job(child, "b", output=b'{"rows": 7}')
    assert machine.run_view(child).state == "COMPLETED"
    assert machine.states(run) == {"sub": "RUNNING", "after": "PENDING"}
    machine.wait(0)
    assert machine.states(run) == {"sub": "COMPLETED", "after": "PENDING"}
    assert json.loads(machine.job(run, "sub").output) == {"b": {"rows": 7}}
    machine.run_job(run, "after")
    assert machine.run_view(run).state == "COMPLETED"


def test_no_worker_is_asked_for(machine: MachineDriver) -> None:
    save(machine, "p", chain("a"))
    run, _ = started(machine)
    assert machine.state.attempts == {}
    assign = AssignAttempt(run=run, job=JobId("sub"), worker=machine.join())
    assert machine.refuse(assign) == "not_ready"


def test_a_failed_sub_run_fails_the_job_and_says_why(machine: MachineDriver) -> None:
    save(machine, "p", chain("a", retries=0))
    run, child = started(machine, job("undo", "sub", trigger="any_failed"), job("b", "sub"))
    machine.run_job(child, "a", exit_code=3)
    machine.wait(0)
    assert machine.states(run) == {"sub": "FAILED", "undo": "PENDING", "b": "SKIPPED"}
    assert machine.view(run, "sub").reason == f"run {child} is FAILED: job 'a' exit code 3"
    assert machine.job(run, "sub").retries_used == 0


def test_a_job_waits_until_all_of_a_failed_sub_run_has_ended(machine: MachineDriver) -> None:
    save(machine, "p", (job("a", retries=0), job("b")))
    run, child = started(machine)
    machine.run_job(child, "a", exit_code=1)
    machine.wait(0)
    assert (machine.run_view(child).state, machine.states(run)["sub"]) == ("FAILED", "RUNNING")
    machine.run_job(child, "b")
    machine.wait(0)
    assert machine.states(run)["sub"] == "FAILED"


def test_cancelling_the_sub_run_cancels_the_job(machine: MachineDriver) -> None:
    save(machine, "p", chain("a"))
    run, child = started(machine)
    machine.do(CancelRun(run=child))
    machine.wait(0)
    assert machine.states(run) == {"sub": "CANCELLED"}
    assert machine.run_view(run).state == "CANCELLED"


@pytest.mark.parametrize("by", ["job", "run"])
def test_cancelling_goes_down_to_the_last_process(machine: MachineDriver, by: str) -> None:
    save(machine, "q", chain("deep"))
    save(machine, "p", (call("inner", "q"), job("beside")))
    run, child = started(machine)
    machine.wait(0)
    inner = machine.view(child, "inner").subrun
    machine.join("w1", slots=2)
    machine.assign(inner, "deep")
    machine.do(CancelRun(run=run) if by == "run" else CancelJob(run=run, job=JobId("sub")))
    assert machine.states(run) == {"sub": "CANCELLED"}
    machine.wait(0)
    revoked = [(event.run, event.job) for event in machine.told(AttemptRevoked)]
    assert machine.states(child) == {"inner": "CANCELLED", "beside": "CANCELLED"}
    assert machine.states(inner) == {"deep": "CANCELLED"}
    assert revoked == [(inner, "deep")]
    assert machine.state.kin == {}


def test_a_retry_of_the_job_is_a_new_run_of_the_latest_version(machine: MachineDriver) -> None:
    save(machine, "p", chain("a", retries=0))
    run, child = started(machine)
    machine.run_job(child, "a", exit_code=1)
    machine.wait(0)
    save(machine, "p", chain("b"))
    machine.do(RetryJob(run=run, job=JobId("sub")))
    machine.wait(0)
    again = machine.view(run, "sub").subrun
    assert again == subrun_id(run, JobId("sub"), 2) != child
    assert machine.view(run, "sub").attempts == 2
    machine.run_job(again, "b")
    machine.wait(0)
    assert machine.states(run) == {"sub": "COMPLETED"}
    assert machine.run_view(child).state == "FAILED"


def test_what_is_retried_at_once_after_a_cancel_leaves_the_old_run_cancelled(
    machine: MachineDriver,
) -> None:
    save(machine, "p", chain("a"))
    run, child = started(machine)
    machine.do(CancelJob(run=run, job=JobId("sub")))
    machine.do(RetryJob(run=run, job=JobId("sub")))  # before the cancel has gone down
    machine.wait(0)
    again = machine.view(run, "sub").subrun
    assert machine.run_view(child).state == "CANCELLED"
    assert machine.states(again) == {"a": "PENDING"}
    assert machine.states(run) == {"sub": "RUNNING"}


def test_a_job_retried_in_the_sub_run_in_time_goes_on_for_the_parent(
    machine: MachineDriver,
) -> None:
    save(machine, "p", chain("a", retries=0))
    run, child = started(machine)
    machine.run_job(child, "a", exit_code=1)
    machine.do(RetryJob(run=child, job=JobId("a")))  # before the parent has heard
    machine.wait(0)
    assert machine.states(run) == {"sub": "RUNNING"}
    machine.run_job(child, "a")
    machine.wait(0)
    assert machine.states(run) == {"sub": "COMPLETED"}


def test_a_sub_run_that_is_revived_later_runs_for_itself(machine: MachineDriver) -> None:
    save(machine, "p", chain("a", retries=0))
    run, child = started(machine)
    machine.run_job(child, "a", exit_code=1)
    machine.wait(0)
    machine.do(RetryJob(run=child, job=JobId("a")))
    machine.wait(0)
    assert machine.states(child) == {"a": "PENDING"}
    machine.run_job(child, "a")
    machine.wait(0)
    assert machine.run_view(child).state == "COMPLETED"
    assert machine.states(run) == {"sub": "FAILED"}


def test_the_job_lives_as_long_as_its_run_grows(machine: MachineDriver) -> None:
    save(machine, "p", chain("a"))
    run, child = started(machine)
    machine.do(AddJobs(run=child, jobs=(job("more", "a"),)))
    machine.run_job(child, "a")
    machine.wait(0)
    assert machine.states(run) == {"sub": "RUNNING"}
    machine.run_job(child, "more", output=b"text")
    machine.wait(0)
    assert json.loads(machine.job(run, "sub").output) == {"more": "text"}


def test_a_gate_inside_makes_the_sub_run_wait_and_the_parent_run(machine: MachineDriver) -> None:
    save(machine, "p", (gate("ok"),))
    run, child = started(machine)
    machine.wait(0)
    assert machine.run_view(child).state == "WAITING"
    assert machine.run_view(run).state == "RUNNING"


def test_parameters_owner_and_agent_run_go_down(machine: MachineDriver) -> None:
    save(
        machine, "p", chain("a"), inputs={"day": Input(required=True), "n": Input("int", default=1)}
    )
    run = machine.submit(
        [call("sub", "p", parameters={"day": "monday"})], owner="ann", agent_run_id="agent"
    )
    machine.wait(0)
    child = machine.run(machine.view(run, "sub").subrun)
    assert child.parameters == {"day": "monday", "n": 1}
    assert (child.owner, child.agent_run_id) == ("ann", "agent")


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"pipeline": "absent"}, "there is no saved pipeline 'absent'"),
        ({"pipeline_version": 9}, "pipeline 'p' has no version 9; kept: 1"),
        ({"parameters": {"x": 1}}, "pipeline 'p': 'x' is unknown; there is: none"),
    ],
)
def test_what_cannot_start_fails_with_the_reason(
    machine: MachineDriver, fields: dict[str, Any], reason: str
) -> None:
    save(machine, "p", chain("a"))
    pipeline = fields.pop("pipeline", "p")
    run = machine.submit([call("sub", pipeline, **fields), job("b", "sub")])
    machine.wait(0)
    assert machine.states(run) == {"sub": "FAILED", "b": "SKIPPED"}
    assert machine.view(run, "sub").reason == reason
    assert len(machine.state.runs) == 1


def test_a_pipeline_may_be_deleted_while_its_runs_live(machine: MachineDriver) -> None:
    save(machine, "p", chain("a"))
    run, child = started(machine)
    machine.do(DeletePipeline(name="p"))
    machine.run_job(child, "a")
    machine.wait(0)
    assert machine.states(run) == {"sub": "COMPLETED"}


def test_a_pipeline_that_runs_itself_ends(machine: MachineDriver) -> None:
    save(machine, "p", (call("again", "p"),))
    run = machine.submit([call("sub", "p")])
    for _ in range(60):
        machine.wait(1)
    assert machine.run_view(run).state == "FAILED"
    assert len(machine.state.runs) == limits.SUBRUN_DEPTH_MAX + 1
    deepest = max(machine.state.runs.values(), key=lambda one: one.depth)
    assert deepest.depth == limits.SUBRUN_DEPTH_MAX
    reason = machine.view(deepest.id, "again").reason
    assert reason == "runs are nested at most 16 deep: … → p → p → p → p → p"
    assert all(one.ended_ms for one in machine.state.runs.values())


def test_a_pipeline_that_runs_itself_twice_ends(
    machine: MachineDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("titan.fsm.subruns.SUBRUNS_PER_RUN_MAX", 20)
    save(machine, "p", (call("one", "p"), call("two", "p")))
    run = machine.submit([call("sub", "p")])
    for _ in range(60):
        machine.wait(1)
    assert len(machine.state.runs) == 21
    assert all(one.ended_ms for one in machine.state.runs.values())
    reasons = {
        machine.view(one.id, "two").reason for one in machine.state.runs.values() if one.depth
    }
    assert f"run {run} has 20 sub-runs, which is as many as there may be" in reasons


def test_one_entry_begins_only_so_many_sub_runs(
    machine: MachineDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("titan.fsm.clock.SUBRUN_JOBS_PER_ENTRY", 10)
    save(machine, "p", tuple(job(f"j{n}") for n in range(4)))
    run = machine.submit([call(f"s{n}", "p") for n in range(5)])
    counts = []
    for _ in range(3):
        machine.wait(0)
        counts.append(list(machine.states(run).values()).count("RUNNING"))
    assert counts == [3, 5, 5]


def test_a_sub_run_is_forgotten_with_its_root_and_not_before(machine: MachineDriver) -> None:
    save(machine, "q", chain("deep"))
    save(machine, "p", (call("inner", "q"),))
    run, child = started(machine, job("long", "sub"))
    machine.wait(0)
    inner = machine.view(child, "inner").subrun
    machine.run_job(inner, "deep")
    machine.wait(0)
    machine.wait(0)
    assert machine.states(run)["sub"] == "COMPLETED"
    machine.wait(FINISHED_KEEP_MS + 1)
    assert sorted(machine.state.runs) == sorted([run, child, inner])
    machine.run_job(run, "long")
    machine.wait(FINISHED_KEEP_MS)
    assert [event.run for event in machine.told(RunForgotten)] == [inner, child, run]
    assert machine.state.runs == machine.state.families == machine.state.under == {}


def test_a_large_family_is_forgotten_a_few_runs_at_a_time(
    machine: MachineDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("titan.fsm.retention.FORGET_JOBS_PER_ENTRY", 2)
    save(machine, "p", chain("a"))
    run = machine.submit([call(f"s{n}", "p") for n in range(3)])
    machine.wait(0)
    for n in range(3):
        machine.run_job(machine.view(run, f"s{n}").subrun, "a")
    machine.wait(0)
    left = []
    machine.now_ms += FINISHED_KEEP_MS
    for _ in range(3):
        machine.wait(1)
        left.append(len(machine.state.runs))
    assert left == [2, 0, 0]


def test_the_output_is_bounded_and_says_what_is_left_out(machine: MachineDriver) -> None:
    save(machine, "p", (job("a"), job("b"), job("c")))
    run, child = started(machine)
    for name in "abc":
        machine.run_job(child, name, output=b"x" * 40_000)
    machine.wait(0)
    assert list(json.loads(machine.job(run, "sub").output)) == ["a"]
    assert "outputs of 2 jobs are left out" in machine.view(run, "sub").reason


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        (b' {"a": [1, 2.50]}\n', b'{"a": [1, 2.50]}'),
        (b"plain", b'"plain"'),
        (b'"[[["', b'"[[["'),
        (b"\xff", '"\ufffd"'.encode()),
        (b"[" * 65 + b"]" * 65, b'"' + b"[" * 65 + b"]" * 65 + b'"'),
        (b"[" * 64 + b"]" * 64, b"[" * 64 + b"]" * 64),
        (b'["' + b"]" * 99 + b'",' + b"[" * 70 + b"]" * 71, None),
    ],
)
def test_an_output_is_passed_on_as_json_or_as_text(output: bytes, expected: bytes | None) -> None:
    if expected is None:
        assert json.loads(as_json(output)) == output.decode()  # brackets in strings do not count
    else:
        assert as_json(output) == expected


def test_two_masters_give_a_sub_run_the_same_id(machine: MachineDriver) -> None:
    save(machine, "p", chain("a"))
    run, child = started(machine)
    other = Machine()
    for payload in machine.log:
        other.apply(other.state.index + 1, payload)
    assert other.state == machine.state
    assert child == subrun_id(run, JobId("sub"), 1)
    restored = Machine()
    restored.restore(machine.machine.freeze())
    assert restored.state == machine.state


def test_an_id_that_is_taken_fails_the_job(machine: MachineDriver) -> None:
    save(machine, "p", chain("a"))
    run = RunId(f"r-{1:020d}")
    from titan.fsm.commands import SubmitRun

    taken = subrun_id(run, JobId("sub"), 1)
    machine.do(SubmitRun(run=taken, name="thief", jobs=(job("x"),)))
    assert machine.submit([call("sub", "p")]) == run
    machine.wait(0)
    assert machine.view(run, "sub").reason == f"the id of its run, {taken}, is taken"


def test_an_end_that_nobody_has_heard_of_yet_is_in_snapshots(machine: MachineDriver) -> None:
    save(machine, "p", chain("a"))
    run, child = started(machine)
    machine.run_job(child, "a")
    restored = MachineDriver()
    restored.machine.restore(machine.machine.freeze())
    restored.now_ms = machine.now_ms
    assert restored.state == machine.state
    restored.wait(0)
    assert restored.states(run) == {"sub": "COMPLETED"}


def test_a_cancel_over_several_entries_reaches_the_sub_run_as_well(machine: MachineDriver) -> None:
    save(machine, "p", tuple(job(f"j{n}") for n in range(6)))
    run, child = started(machine, *(job(f"c{n}", "sub") for n in range(6)))
    machine.do(AddJobs(run=run, jobs=(gate("ok"),)))
    machine.wait(0)
    with steps_at_most(2):
        machine.do(CancelRun(run=run))
        assert run in machine.state.unsettled
        assert machine.states(run)["ok"] == "WAITING"  # its turn has not come
        decide = DecideGate(run=run, gate=JobId("ok"), decision="approve", by="ann")
        assert machine.refuse(decide) == "settling"
        for _ in range(20):
            machine.wait(0)
    assert set(machine.states(run).values()) == set(machine.states(child).values()) == {"CANCELLED"}
    assert machine.refuse(decide) == "gate_decided"
    assert machine.state.kin == {}


def test_an_end_waits_for_the_retry_of_the_sub_run_that_is_under_way(
    machine: MachineDriver,
) -> None:
    chained = tuple(job(f"j{n}", *([f"j{n - 1}"] if n else []), retries=0) for n in range(9))
    save(machine, "p", chained)
    run, child = started(machine)
    machine.run_job(child, "j0", exit_code=1)
    with steps_at_most(1):
        machine.do(RetryJob(run=child, job=JobId("j0")))  # the parent has not heard of the end
        assert child in machine.state.unsettled
        for _ in range(40):
            machine.wait(0)
    assert machine.state.unsettled == {}
    assert machine.states(run) == {"sub": "RUNNING"}
    for n in range(9):
        machine.run_job(child, f"j{n}")
    machine.wait(0)
    assert machine.states(run) == {"sub": "COMPLETED"}


def test_only_a_settled_sub_run_is_cancelled_with_its_parent(machine: MachineDriver) -> None:
    fan = (job("root", retries=0), *(job(f"c{n}", "root") for n in range(9)), job("beside"))
    save(machine, "p", fan)
    run, child = started(machine)
    with steps_at_most(1):
        machine.run_job(child, "root", exit_code=1)
        machine.do(CancelJob(run=run, job=JobId("sub")))
        machine.wait(0)
        assert child in machine.state.unsettled
        assert machine.states(child)["beside"] == "PENDING"
        for _ in range(40):
            machine.wait(0)
    states = machine.states(child)
    assert (states.pop("root"), states.pop("beside")) == ("FAILED", "CANCELLED")
    assert set(states.values()) == {"SKIPPED"}  # as if it had been settled at once


def test_parameters_come_from_outputs_and_parameters_of_the_run_with_their_types(
    machine: MachineDriver,
) -> None:
    wanted = {"rows": Input("int", required=True), "day": Input(), "ok": Input("bool")}
    save(machine, "p", (job("a"),), inputs=wanted)
    given = {
        "rows": "${{ outputs.measure.rows * 2 }}",
        "day": "on-${{ params.day }}",
        "ok": "${{ states.measure == 'COMPLETED' }}",
    }
    jobs = [
        job("measure"),
        job("between", "measure"),
        call("sub", "p", "between", parameters=given),
    ]
    run = machine.submit(jobs, parameters={"day": "monday"})
    machine.run_job(run, "measure", output=b'{"rows": 21}')
    machine.run_job(run, "between")
    machine.wait(0)
    child = machine.state.runs[machine.view(run, "sub").subrun]
    assert child.parameters == {"rows": 42, "day": "on-monday", "ok": True}


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (
            "${{ outputs.measure.lines }}",
            "with: rows: ${{ outputs.measure.lines }}: there is no 'lines' in (all, name)",
        ),
        ("${{ outputs.measure.name }}", "pipeline 'p': rows must be a whole number, not 'x'"),
        ("${{ outputs.measure.all }}", "must be text, a number, true, false or null, not a list"),
    ],
)
def test_an_expression_that_cannot_be_a_parameter_fails_the_job_with_the_reason(
    machine: MachineDriver, value: str, why: str
) -> None:
    save(machine, "p", (job("a"),), inputs={"rows": Input("int")})
    sub = call("sub", "p", "measure", parameters={"rows": value})
    run = machine.submit([job("measure"), sub])
    machine.run_job(run, "measure", output=b'{"name": "x", "all": [1]}')
    machine.wait(0)
    assert machine.states(run)["sub"] == "FAILED"
    assert why in machine.view(run, "sub").reason


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("${{ outputs.other }}", "does not depend on 'other'"),
        ("${{ outputs.nobody }}", "there is no job 'nobody'"),
        ("${{ 1 + }}", "with: rows: is no expression"),
        ("${{ item }}", "with: rows: there is no 'item' here"),
        ("${{ params.x", "with: rows: ${{ without }}"),
    ],
)
def test_an_expression_that_nobody_can_ask_is_refused_at_submission(
    machine: MachineDriver, value: str, why: str
) -> None:
    jobs = (job("a"), job("other"), call("sub", "p", "a", parameters={"rows": value}))
    refused = machine.apply(SubmitRun(run=RunId("r-1"), name="n", jobs=jobs))
    assert isinstance(refused, Rejected)
    assert why in refused.why
