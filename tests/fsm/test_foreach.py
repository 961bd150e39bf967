"""`foreach`: one instance per element, and the job itself is where they join."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.fsm.driver import MachineDriver, call, job
from tests.fsm.logs import steps_at_most
from titan import limits
from titan.fsm.commands import (
    AddJobs,
    AssignAttempt,
    CancelJob,
    CancelRun,
    RetryJob,
    SavePipeline,
    SubmitRun,
)
from titan.fsm.commands.mutation import (
    Cancel,
    Change,
    Fields,
    MutateRun,
    Rerun,
    RerunFailed,
    Skip,
)
from titan.fsm.machine import Machine
from titan.fsm.outcomes import Rejected
from titan.fsm.policy import decode_spec
from titan.ids import JobId, RunId
from titan.spec.model import JobSpec


def split(machine: MachineDriver, items: object, *after: JobSpec, **fields: Any) -> RunId:
    """A run whose job `each` has an instance for each of `items`, which `split` has put out."""
    each = job("each", "split", foreach="outputs.split.items", **fields)
    run = machine.submit([job("split"), each, *after])
    machine.run_job(run, "split", output=json.dumps({"items": items}).encode())
    machine.wait(0)
    return run


def states(machine: MachineDriver, run: RunId) -> str:
    """The first letters of all states but that of `split`."""
    return " ".join(
        f"{name}={state[0]}" for name, state in machine.states(run).items() if name != "split"
    )


def test_every_element_has_an_instance_that_knows_it(machine: MachineDriver) -> None:
    run = split(machine, ["x", {"n": 1}], env={"A": "b"})
    assert states(machine, run) == "each=P each.0=P each.1=P"
    env = [decode_spec(machine.job(run, f"each.{n}")).env for n in range(2)]
    assert env == [
        {"A": "b", "TITAN_ITEM": '"x"', "TITAN_ITEM_INDEX": "0"},
        {"A": "b", "TITAN_ITEM": '{"n":1}', "TITAN_ITEM_INDEX": "1"},
    ]
    assert machine.job(run, "each.0").parents == ("split",)
    assert machine.view(run, "each").reason == "waits for each.0, each.1"


def test_the_job_ends_with_the_outputs_of_all_in_order(machine: MachineDriver) -> None:
    run = split(machine, [1, 2, 3], job("sum", "each", when="len(outputs.each) == 3"))
    machine.run_job(run, "each.2", output=b'{"n": 30}')
    machine.run_job(run, "each.0", output=b"text")
    assert machine.states(run)["each"] == "PENDING"
    machine.run_job(run, "each.1")
    machine.wait(0)
    assert machine.states(run)["each"] == "COMPLETED"
    assert json.loads(machine.job(run, "each").output) == ["text", None, {"n": 30}]
    machine.run_job(run, "sum")
    assert machine.run_view(run).state == "COMPLETED"


def test_no_worker_is_asked_for_the_job_itself(machine: MachineDriver) -> None:
    run = split(machine, [1])
    assign = AssignAttempt(run=run, job=JobId("each"), worker=machine.join())
    assert machine.refuse(assign) == "not_ready"


def test_an_empty_list_completes_the_job(machine: MachineDriver) -> None:
    run = split(machine, [], job("sum", "each"))
    assert states(machine, run) == "each=C sum=P"
    assert machine.job(run, "each").output == b"[]"


def test_a_list_may_be_declared(machine: MachineDriver) -> None:
    run = machine.submit([job("each", foreach_items=b'["a", 2]')])
    machine.wait(0)
    assert states(machine, run) == "each=P each.0=P each.1=P"


def test_a_list_may_be_made_of_parameters(machine: MachineDriver) -> None:
    run = machine.submit([job("each", foreach="[params.a, params.a + 1]")], parameters={"a": 7})
    machine.wait(0)
    assert decode_spec(machine.job(run, "each.1")).env["TITAN_ITEM"] == "8"


def test_a_condition_about_elements_is_asked_by_each_instance(machine: MachineDriver) -> None:
    run = split(machine, [1, 5, 9], when="item > 3 and outputs.split.items[0] == 1")
    machine.wait(0)
    assert states(machine, run) == "each=P each.0=S each.1=P each.2=P"
    assert machine.view(run, "each.0").reason.startswith("when: item > 3 and")
    for name in ("each.1", "each.2"):
        machine.run_job(run, name, output=b"1")
    machine.wait(0)
    assert machine.job(run, "each").output == b"[null,1,1]"


def test_a_condition_about_anything_else_is_asked_once_before(machine: MachineDriver) -> None:
    run = split(machine, [1, 2], job("sum", "each"), when="len(outputs.split.items) > 5")
    assert states(machine, run) == "each=S sum=S"


def test_instances_keep_delay_and_retries(machine: MachineDriver) -> None:
    run = split(machine, [1], delay_ms=500, retries=1)
    assert machine.job(run, "each.0").not_before_ms == machine.now_ms + 500
    machine.wait(500)
    machine.run_job(run, "each.0", exit_code=1)
    machine.wait(1000)
    machine.run_job(run, "each.0")
    machine.wait(0)
    assert states(machine, run) == "each=C each.0=C"


def test_a_failed_instance_fails_the_job_once_all_have_ended(machine: MachineDriver) -> None:
    run = split(machine, [1, 2], job("undo", "each", trigger="any_failed"), retries=0)
    machine.run_job(run, "each.1", exit_code=1)
    machine.wait(0)
    assert machine.states(run)["each"] == "PENDING"
    machine.run_job(run, "each.0")
    machine.wait(0)
    assert machine.states(run)["each"] == "FAILED"
    why = "1 of 2 instances did not complete; the first, 'each.1', is FAILED"
    assert machine.view(run, "each").reason.replace("DEAD", "FAILED") == why
    machine.run_job(run, "undo")


def test_a_retry_of_the_job_runs_what_failed_again(machine: MachineDriver) -> None:
    run = split(machine, [1, 2, 3], job("sum", "each"), retries=0)
    for place, code in enumerate([0, 1, 1]):
        machine.run_job(run, f"each.{place}", exit_code=code, output=b"1")
    machine.wait(0)
    assert machine.do(RetryJob(run=run, job=JobId("each"))) == 4
    assert [machine.states(run)[f"each.{n}"] for n in range(3)] == [
        "COMPLETED",
        "PENDING",
        "PENDING",
    ]
    for place in (1, 2):
        machine.run_job(run, f"each.{place}", output=b"2")
    machine.wait(0)
    assert machine.job(run, "each").output == b"[1,2,2]"
    machine.run_job(run, "sum")


def test_a_retry_of_one_instance_is_enough_when_it_was_the_only_one(machine: MachineDriver) -> None:
    run = split(machine, [1, 2], retries=0)
    machine.run_job(run, "each.0", exit_code=1)
    machine.run_job(run, "each.1")
    machine.wait(0)
    machine.do(RetryJob(run=run, job=JobId("each.0")))
    machine.run_job(run, "each.0")
    machine.wait(0)
    assert states(machine, run) == "each=C each.0=C each.1=C"


def test_a_retry_of_the_parent_keeps_the_list(machine: MachineDriver) -> None:
    run = split(machine, [1, 2], retries=0)
    machine.run_job(run, "each.0", exit_code=1)
    machine.run_job(run, "each.1")
    machine.wait(0)
    machine.do(RetryJob(run=run, job=JobId("split")))
    assert machine.states(run)["each.0"] == "PENDING"
    machine.run_job(run, "split", output=b'{"items": [7, 8, 9]}')
    machine.wait(0)
    machine.run_job(run, "each.0")
    machine.wait(0)
    assert states(machine, run) == "each=C each.0=C each.1=C"


def test_a_parent_that_fails_when_it_is_retried_skips_the_job(machine: MachineDriver) -> None:
    run = split(machine, [1, 2])
    machine.do(RetryJob(run=run, job=JobId("split")))
    for _ in range(4):
        machine.run_job(run, "split", exit_code=1)
        machine.wait(60_000)
    machine.wait(0)
    assert states(machine, run) == "each=S each.0=S each.1=S"
    assert machine.view(run, "each").reason == "parent 'split' is DEAD"


def test_cancelling_the_job_cancels_its_instances(machine: MachineDriver) -> None:
    run = split(machine, [1, 2, 3], job("sum", "each"))
    machine.run_job(run, "each.0")
    machine.assign(run, "each.1")
    machine.do(CancelJob(run=run, job=JobId("each")))
    assert states(machine, run) == "each=X sum=X each.0=C each.1=X each.2=X".replace("X", "C")
    assert machine.states(run)["each.2"] == "CANCELLED"
    assert not machine.state.attempts
    machine.do(RetryJob(run=run, job=JobId("each")))
    for name in ("each.1", "each.2"):
        machine.run_job(run, name)
    machine.wait(0)
    machine.run_job(run, "sum")
    assert machine.run_view(run).state == "COMPLETED"


def test_cancelling_the_run_cancels_all(machine: MachineDriver) -> None:
    run = split(machine, [1, 2])
    machine.do(CancelRun(run=run))
    assert set(machine.states(run).values()) == {"COMPLETED", "CANCELLED"}
    machine.do(RetryJob(run=run, job=JobId("each")))
    for name in ("each.0", "each.1"):
        machine.run_job(run, name)
    machine.wait(0)
    assert machine.run_view(run).state == "COMPLETED"


@pytest.mark.parametrize(
    ("items", "reason"),
    [
        ("text", "foreach: outputs.split.items is no list"),
        ({"a": 1}, "foreach: outputs.split.items is no list"),
        (["y" * 66_000], "foreach: outputs.split.items is no list"),
    ],
)
def test_what_is_no_list_fails_the_job(machine: MachineDriver, items: Any, reason: str) -> None:
    if isinstance(items, list):
        items = None
    run = split(machine, items, job("b", "each"))
    assert states(machine, run) == "each=F b=S"
    assert machine.view(run, "each").reason == reason


def test_bounds_fail_the_job_before_there_is_any_instance(
    machine: MachineDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("titan.fsm.foreach.FOREACH_INSTANCES_MAX", 3)
    monkeypatch.setattr("titan.fsm.foreach.FOREACH_EDGES_MAX", 3)
    monkeypatch.setattr("titan.fsm.foreach.JOB_SPEC_BYTES_MAX", 1000)
    long, taken = JobId("x" * 127), job("each.1")
    for jobs, items, why in [
        ([job("each", "split", foreach="outputs.split")], "[1,2,3,4]", "4 elements; at most 3"),
        (
            [job("b"), job("each", "split", "b", foreach="outputs.split")],
            "[1,2]",
            "put a joining job",
        ),
        (
            [job("each", "split", foreach="outputs.split")],
            json.dumps(["y" * 1000]),
            "put data into a",
        ),
        (
            [taken, job("each", "split", foreach="outputs.split")],
            "[1,2]",
            "'each.1' of an instance",
        ),
        ([job(long, "split", foreach="outputs.split")], "[1]", "the id of the job is too long"),
    ]:
        run = machine.submit([job("split"), *jobs])
        for name in [*machine.states(run)]:
            if name in ("split", "b"):
                machine.run_job(run, name, output=items.encode())
        machine.wait(0)
        assert why in machine.view(run, jobs[-1].id).reason
        assert len(machine.run(run).jobs) == len(jobs) + 1


def test_a_run_has_only_so_many_jobs(
    machine: MachineDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "JOBS_PER_RUN_MAX", 4)
    run = split(machine, [1, 2, 3])
    assert "5 jobs with its instances" in machine.view(run, "each").reason


def test_outputs_that_are_too_large_together_are_left_out(machine: MachineDriver) -> None:
    run = split(machine, [1, 2])
    for name in ("each.0", "each.1"):
        machine.run_job(run, name, output=json.dumps("y" * 40_000).encode())
    machine.wait(0)
    view = machine.view(run, "each")
    assert (view.state, machine.job(run, "each").output) == ("COMPLETED", b"")
    assert view.reason.startswith("has no output: those of its instances take more than")


REFUSED = [
    ([job("a", foreach="outputs.b")], "there is no job 'b'"),
    ([job("a", foreach="item")], "there is an 'item' in the `when`"),
    ([job("a", foreach="[1]", foreach_items=b"[1]")], "not both"),
    ([job("a", foreach_items=b"3")], "is no list"),
    ([job("a", foreach_items=b"[3")], "is no JSON"),
    ([call("a", "p", foreach="[1]")], "foreach belongs to a job of type run, not pipeline"),
]


@pytest.mark.parametrize(("jobs", "why"), REFUSED, ids=[why for _, why in REFUSED])
def test_what_can_never_be_a_list_is_refused(
    machine: MachineDriver, jobs: list[JobSpec], why: str
) -> None:
    outcome = machine.apply(SubmitRun(run=RunId("r"), name="n", jobs=tuple(jobs)))
    assert isinstance(outcome, Rejected)
    assert why in outcome.why


def test_many_instances_come_over_several_entries(
    machine: MachineDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "FOREACH_PER_ENTRY", 10)
    monkeypatch.setattr("titan.fsm.clock.EVENTS_PER_ADVANCE_MAX", 1)
    run = split(machine, list(range(25)), job("end", "each"))
    assert len(machine.run(run).jobs) == 3 + 10
    machine.run_job(run, "each.3")
    machine.do(AddJobs(run=run, jobs=(job("child", "each.3"),)))
    machine.run_job(run, "child")
    again = Machine()
    again.restore(list(machine.machine.freeze()))
    machine.machine = again
    for _ in range(4):
        machine.wait(0)
    assert len(machine.run(run).jobs) == 4 + 25
    for name in [name for name in machine.states(run) if machine.states(run)[name] == "PENDING"]:
        if name.startswith("each."):
            machine.run_job(run, name)
    machine.wait(0)
    machine.run_job(run, "end")


@pytest.mark.parametrize("when", ["at once", "in the middle"])
@pytest.mark.parametrize("steps", [1, 3, 0])
def test_a_cancel_and_a_retry_meet_whatever_there_is(
    machine: MachineDriver, monkeypatch: pytest.MonkeyPatch, steps: int, when: str
) -> None:
    monkeypatch.setattr(limits, "FOREACH_PER_ENTRY", 2)
    monkeypatch.setattr("titan.fsm.clock.EVENTS_PER_ADVANCE_MAX", 1)
    with steps_at_most(steps):
        run = split(machine, list(range(7)), job("end", "each"))
        for _ in range(3 if when == "in the middle" else 0):
            machine.wait(0)
        machine.settle()
        machine.do(CancelJob(run=run, job=JobId("each")))
        machine.settle()
        assert {s for n, s in machine.states(run).items() if n != "split"} == {"CANCELLED"}
        machine.do(RetryJob(run=run, job=JobId("each")))
        for _ in range(60):
            machine.wait(0)
        assert len(machine.run(run).jobs) == 3 + 7
        for place in range(7):
            machine.run_job(run, f"each.{place}", output=b"%d" % place)
            machine.settle()
        for _ in range(10):
            machine.wait(0)
        assert machine.job(run, "each").output == b"[0,1,2,3,4,5,6]"
        machine.run_job(run, "end")


def test_a_saved_pipeline_may_have_them(machine: MachineDriver) -> None:
    jobs = (job("a"), job("each", "a", foreach="outputs.a"))
    machine.do(SavePipeline(name="p", jobs=jobs))
    run = machine.submit([call("sub", "p")])
    machine.wait(0)
    child = machine.view(run, "sub").subrun
    machine.run_job(child, "a", output=b"[1, 2]")
    machine.wait(0)
    for place in range(2):
        machine.run_job(child, f"each.{place}", output=b"%d" % place)
    for _ in range(3):
        machine.wait(0)
    assert json.loads(machine.job(run, "sub").output) == {"each": [0, 1]}


def test_a_foreach_job_with_instances_is_not_changed_and_they_are(machine: MachineDriver) -> None:
    run = split(machine, [1, 2], when="item == 2")
    machine.wait(0)
    each, one = JobId("each"), JobId("each.1")
    for edit in (Change(job=each, set=Fields(priority=3)), Skip(job=each)):
        assert machine.refuse(MutateRun(run=run, edits=(edit,))) == "already_started"
    machine.do(MutateRun(run=run, edits=(Change(job=one, set=Fields(env={"A": "b"})),)))
    env = {"A": "b", "TITAN_ITEM": "2", "TITAN_ITEM_INDEX": "1"}
    assert decode_spec(machine.job(run, "each.1")).env == env
    machine.do(MutateRun(run=run, edits=(Cancel(job=each),)))
    assert machine.states(run)["each.1"] == "CANCELLED"
    machine.do(MutateRun(run=run, edits=(Rerun(job=each),)))
    machine.wait(0)
    machine.run_job(run, "each.1")
    machine.wait(0)
    assert machine.states(run)["each"] == "COMPLETED"


def test_all_that_failed_runs_again_with_its_join(machine: MachineDriver) -> None:
    run = split(machine, [1, 2], job("end", "each"), retries=0)
    for name in ("each.0", "each.1"):
        machine.run_job(run, name, exit_code=1)
    machine.wait(0)
    machine.do(MutateRun(run=run, edits=(RerunFailed(),)))
    for name in ("each.0", "each.1"):
        machine.run_job(run, name)
    machine.wait(0)
    machine.run_job(run, "end")


@pytest.mark.parametrize("steps", [1, 3, 0])
@pytest.mark.parametrize(("above", "below"), [(0, 2), (1, 2), (2, 1)])
def test_a_retry_runs_instances_in_the_order_that_a_mutation_gave_them(
    machine: MachineDriver, steps: int, above: int, below: int
) -> None:
    run = split(machine, [1, 2, 3], retries=0)
    order = Fields(depends_on=(JobId("split"), JobId(f"each.{above}")))
    machine.do(MutateRun(run=run, edits=(Change(job=JobId(f"each.{below}"), set=order),)))
    machine.do(CancelJob(run=run, job=JobId("each")))
    with steps_at_most(steps):
        machine.do(RetryJob(run=run, job=JobId("each")))
        machine.settle()
        assert states(machine, run) == "each=P each.0=P each.1=P each.2=P"
        assert machine.job(run, f"each.{below}").waiting_for == 1
        for place in sorted(range(3), key=lambda place: place == below):
            machine.run_job(run, f"each.{place}")
            machine.settle()
        machine.wait(0)
        assert machine.states(run)["each"] == "COMPLETED"
