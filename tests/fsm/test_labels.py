"""Labels of runs: where they come from, what keeps them, and how runs are found by them."""

from __future__ import annotations

import pytest

from tests.fsm.driver import MachineDriver, call, chain
from titan import limits
from titan.errors import UserError
from titan.fsm.commands import (
    FireSchedule,
    RetryJob,
    SavePipeline,
    SetSchedule,
    SubmitRun,
    SubmitSaved,
)
from titan.fsm.machine import Machine
from titan.fsm.queries import GetPipeline, ListRuns
from titan.fsm.views import read
from titan.ids import JobId, RunId
from titan.spec.model import ScheduleSpec

DATA = {"team": "data"}


def ids(machine: MachineDriver, *labels: str, limit: int = 100, before: str = "") -> list[str]:
    found = read(machine.state, ListRuns(labels=labels, limit=limit, before=before))
    return [run.id for run in found]


def submit(machine: MachineDriver, run: str, **labels: str) -> RunId:
    machine.do(SubmitRun(run=RunId(run), name="n", jobs=chain("a"), labels=labels))
    return RunId(run)


def test_runs_are_found_by_their_labels_page_by_page(machine: MachineDriver) -> None:
    submit(machine, "r-1", team="data", nightly="")
    submit(machine, "r-2", team="web")
    submit(machine, "r-3", team="data")
    submit(machine, "r-4")
    assert ids(machine, "team=data") == ["r-3", "r-1"]
    assert ids(machine, "team=data", "nightly") == ["r-1"]
    assert ids(machine, "team") == ["r-3", "r-2", "r-1"]
    assert ids(machine, "team=nobody") == []
    assert ids(machine, "team", limit=2) == ["r-3", "r-2"]
    assert ids(machine, "team", limit=2, before="r-2") == ["r-1"]
    assert machine.run_view(RunId("r-1")).labels == {"team": "data", "nightly": ""}
    with pytest.raises(UserError, match="label: '' is no key"):
        ids(machine, "=x")


def test_wrong_labels_are_refused_by_the_state_machine_too(machine: MachineDriver) -> None:
    many = {f"k{number}": "" for number in range(limits.LABELS_PER_RUN_MAX + 1)}
    for labels in ({"no key": "x"}, {"k": "x" * 257}, many):
        run = SubmitRun(run=RunId("r"), name="n", jobs=chain("a"), labels=labels)
        assert machine.refuse(run) == "invalid"
        assert machine.refuse(SavePipeline(name="p", jobs=chain("a"), labels=labels)) == "invalid"
    assert not machine.state.runs
    assert not machine.state.pipelines


def test_runs_of_a_saved_pipeline_have_its_labels_and_their_own(machine: MachineDriver) -> None:
    saved = {f"k{number}": "" for number in range(limits.LABELS_PER_RUN_MAX - 1)}
    assert machine.do(SavePipeline(name="p", jobs=chain("a"), labels=saved | DATA)) == 1
    assert machine.do(SavePipeline(name="p", jobs=chain("a"), labels=saved | DATA)) == 1
    assert read(machine.state, GetPipeline(name="p")).labels == saved | DATA
    machine.do(SubmitSaved(run=RunId("r-1"), name="p", labels={"team": "web"}))
    assert machine.run(RunId("r-1")).labels == saved | {"team": "web"}
    more = SubmitSaved(run=RunId("r-2"), name="p", labels={"more": "x"})
    assert machine.refuse(more) == "invalid", "together they are too many"
    assert machine.do(SavePipeline(name="p", jobs=chain("a"))) == 2, "other labels, another version"
    machine.do(SubmitSaved(run=RunId("r-3"), name="p"))
    assert machine.run(RunId("r-3")).labels == {}


def test_sub_runs_and_runs_of_the_clock_have_those_of_their_pipeline(
    machine: MachineDriver,
) -> None:
    machine.do(SavePipeline(name="p", jobs=chain("a"), labels=DATA))
    parent = machine.submit([call("sub", "p")], labels={"team": "web"})
    machine.wait(0)
    (below,) = [run for run in machine.state.runs.values() if run.parent_run == parent]
    assert below.labels == DATA
    machine.do(SetSchedule(name="s", spec=ScheduleSpec(cron="* * * * *"), pipeline="p"))
    minute = machine.now_ms + 60_000
    machine.wait(60_000)
    revision = machine.state.schedules["s"].revision
    outcome, run = machine.do(FireSchedule(name="s", revision=revision, nominal_ms=minute))
    assert (outcome, machine.run(run).labels) == ("started", DATA)


def test_a_retry_and_a_snapshot_keep_them(machine: MachineDriver) -> None:
    machine.join()
    run = submit(machine, "r-1", team="data")
    machine.run_job(run, "a")
    machine.do(RetryJob(run=run, job=JobId("a")))
    machine.do(SavePipeline(name="p", jobs=chain("a"), labels=DATA))
    other = Machine()
    other.restore(list(machine.machine.freeze()))
    assert other.state.runs[run].labels == DATA
    assert other.state.pipelines["p"].latest.labels == DATA
