"""What people see: why a job waits, pages of runs and jobs, look-ups by name."""

from __future__ import annotations

from typing import Any

import pytest

from tests.fsm.driver import MachineDriver, chain, job
from titan.errors import NotFound
from titan.fsm.commands import FinishAttempt, SetWorkerMode, SubmitRun
from titan.fsm.outcomes import Rejected
from titan.fsm.queries import GetJob, GetJobSpec, GetResults, GetRun, ListJobs, ListRuns
from titan.fsm.views import read, reason
from titan.ids import JobId, RunId, WorkerId
from titan.spec.model import Call, JobSpec


def test_a_waiting_job_names_its_parents(machine: MachineDriver) -> None:
    run = machine.submit([job("a"), job("b"), job("c", "a", "b")])
    assert machine.view(run, "c").reason == "waits for a, b"
    machine.run_job(run, "a")
    assert machine.view(run, "c").reason == "waits for b"


def test_many_parents_are_summed_up(machine: MachineDriver) -> None:
    names = [f"p{i}" for i in range(8)]
    run = machine.submit([*map(job, names), job("join", *names)])
    assert machine.view(run, "join").reason == "waits for p0, p1, p2, p3, p4 and 3 more"


def test_a_held_job_says_until_when_and_why(machine: MachineDriver) -> None:
    machine.now_ms = 1_700_000_000_123
    run = machine.submit([job("a", delay_ms=1000), job("b")])
    assert machine.view(run, "a").reason == "delayed until 2023-11-14T22:13:21.123Z"
    machine.run_job(run, "b", exit_code=3)
    assert machine.view(run, "b").reason == (
        "retry 1 of 3 at 2023-11-14T22:13:21.123Z, after: exit code 3"
    )


def test_a_ready_job_says_what_is_missing(machine: MachineDriver) -> None:
    run = machine.submit(
        [
            job("g", requirement=("GPU",), resources={"gpus": 2}),
            job("a"),
            job("z", resources={"slots": 0}),
        ]
    )
    assert machine.view(run, "g").reason == "waits for a worker with GPU"
    assert machine.view(run, "a").reason == "waits for a worker with GENERAL"
    machine.join("w1", capabilities=("GENERAL", "GPU"), resources={"gpus": 1})
    assert machine.view(run, "g").reason == "waits for a worker with GPU and 2 gpus, 1 slots"
    machine.join("w1", capabilities=("GENERAL", "GPU"), resources={"gpus": 2})
    assert machine.view(run, "g").reason == "waits for 2 gpus, 1 slots to be free"
    assert machine.view(run, "a").reason == "waits for a slot"
    assert machine.view(run, "z").reason == "waits for a slot"
    machine.do(SetWorkerMode(worker=WorkerId("w1"), mode="cordoned"))
    assert machine.view(run, "a").reason == "waits for a worker with GENERAL"


def test_a_running_or_completed_job_needs_no_words(machine: MachineDriver) -> None:
    run = machine.submit([job("a")])
    machine.assign(run, "a")
    assert machine.view(run, "a").reason == ""
    assert reason(machine.state, machine.job(run, "a"), run=machine.run(run)) == ""


def test_a_signal_is_named(machine: MachineDriver) -> None:
    run = machine.submit([job("a", retries=0)])
    machine.run_job(run, "a", exit_code=137, detail="out of memory")
    assert machine.view(run, "a").reason == "killed by signal 9: out of memory"


def test_a_bare_job_id_finds_the_newest_run_that_has_it(machine: MachineDriver) -> None:
    machine.submit([job("a")])
    newest = machine.submit([job("a")])
    machine.submit([job("b")])
    assert read(machine.state, GetJob(job="a")).run == newest
    assert read(machine.state, GetJob(job="DAG-a")).run == newest
    with pytest.raises(NotFound):
        read(machine.state, GetJob(job="zzz"))


def test_a_job_that_is_really_called_so_wins_over_the_old_prefix(machine: MachineDriver) -> None:
    run = machine.submit([job("DAG-a"), job("a")])
    assert read(machine.state, GetJob(run=run, job="DAG-a")).id == "DAG-a"


def test_runs_come_newest_first_in_pages(machine: MachineDriver) -> None:
    runs = [machine.submit([job("a")]) for _ in range(5)]
    first = read(machine.state, ListRuns(limit=2))
    assert [view.id for view in first] == [runs[4], runs[3]]
    rest = read(machine.state, ListRuns(limit=10, before=first[-1].id))
    assert [view.id for view in rest] == [runs[2], runs[1], runs[0]]


def test_runs_are_found_by_name_state_and_agent(machine: MachineDriver) -> None:
    machine.do(SubmitRun(run=RunId("r-1"), name="etl", jobs=(job("a"),), agent_run_id="g1"))
    done = machine.submit([job("a")])
    machine.run_job(done, "a")

    def ids(query: ListRuns) -> list[str]:
        return [view.id for view in read(machine.state, query)]

    assert ids(ListRuns(name="etl")) == ids(ListRuns(agent_run_id="g1")) == ["r-1"]
    assert ids(ListRuns(state="COMPLETED")) == [done]


def test_jobs_come_in_order_of_submission_in_pages(machine: MachineDriver) -> None:
    run = machine.submit(chain("z", "y", "x"))
    first = read(machine.state, ListJobs(run=run, limit=2))
    assert [view.id for view in first] == ["z", "y"]
    assert [view.id for view in read(machine.state, ListJobs(run=run, after="y"))] == ["x"]
    machine.run_job(run, "z")
    done = read(machine.state, ListJobs(run=run, state="COMPLETED"))
    assert [view.id for view in done] == ["z"]


def test_the_declaration_comes_back_as_it_was_given(machine: MachineDriver) -> None:
    declared = job("b", "a", env={"A": "1"}, retries=7)
    run = machine.submit([job("a"), declared])
    assert read(machine.state, GetJobSpec(run=run, job=JobId("b"))) == declared


def test_what_does_not_exist_is_not_found(machine: MachineDriver) -> None:
    run = machine.submit([job("a")])
    for query in (
        GetRun(run=RunId("r-none")),
        ListJobs(run=RunId("r-none")),
        ListJobs(run=run, after="ghost"),
        ListRuns(before="r-none"),
        GetJob(run=run, job="ghost"),
        GetJobSpec(run=run, job=JobId("ghost")),
    ):
        with pytest.raises(NotFound):
            read(machine.state, query)


def test_results_come_in_the_order_asked_and_in_pages(machine: MachineDriver) -> None:
    names = [f"j{n}" for n in range(20)]
    run = machine.submit([job(name, retries=0) for name in names] + [job("late")])
    for name in names:
        attempt = machine.assign(run, name)
        code = 3 if name == "j1" else 0
        machine.do(FinishAttempt(attempt=attempt, exit_code=code, output=b"x" * 65_536))
    asked = tuple(map(JobId, ["late", "j1", *names]))
    page = read(machine.state, GetResults(run=run, jobs=asked))
    assert [view.id for view in page] == list(asked[: len(page)])
    assert 2 < len(page) < len(asked)
    assert (page[0].over, page[0].state, page[0].output) == (False, "PENDING", b"")
    assert (page[1].over, page[1].state, page[1].reason) == (True, "FAILED", "exit code 3")
    assert page[2].output == b"x" * 65_536


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"call": Call(module="", name="f")}, "names a module"),
        ({"call": Call(module="m", name="f", serializer="x")}, "no serializer"),
        ({"call": Call(module="m", name="f", inputs=(JobId("z"),))}, "results of parents only"),
        ({"call": Call(module="m", name="f"), "isolation": "sandbox"}, "without isolation"),
        ({"call": Call(module="m", name="f"), "file": "a.py"}, "exactly one of"),
    ],
)
def test_calls_that_cannot_be_are_refused(
    machine: MachineDriver, fields: dict[str, Any], why: str
) -> None:
    spec = JobSpec(id=JobId("a"), **fields)
    outcome = machine.apply(SubmitRun(run=RunId("r-00000000000000000009"), name="n", jobs=(spec,)))
    assert isinstance(outcome, Rejected)
    assert why in outcome.why
