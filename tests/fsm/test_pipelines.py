"""Saved pipelines: versions that never change, and runs made of them by name."""

from __future__ import annotations

from typing import Any

import pytest

from tests.fsm.driver import MachineDriver, chain, job
from titan import limits
from titan.errors import NotFound
from titan.fsm.commands import DeletePipeline, SavePipeline, SubmitSaved
from titan.fsm.outcomes import Rejected
from titan.fsm.queries import GetPipeline, ListPipelines, PipelineView
from titan.fsm.views import read
from titan.ids import Digest, RunId
from titan.spec.model import Input

RUN = RunId("r-00000000000000000abc")


def save(*names: str, name: str = "p", **fields: Any) -> SavePipeline:
    return SavePipeline(name=name, jobs=chain(*names), **fields)


def submit(run: RunId = RUN, name: str = "p", **fields: Any) -> SubmitSaved:
    return SubmitSaved(run=run, name=name, **fields)


def test_each_change_is_a_new_version_and_the_same_again_is_none(machine: MachineDriver) -> None:
    assert machine.do(save("a")) == 1
    assert machine.do(save("a")) == 1
    assert machine.do(save("a", "b")) == 2
    assert machine.do(save("a")) == 3  # back to what it was: a change too
    assert machine.do(save("a", owner="ann")) == 3  # who saves it does not matter
    assert machine.do(save("a", inputs={"x": Input()})) == 4
    assert machine.do(save("a", name="q")) == 1
    view: PipelineView = read(machine.state, GetPipeline(name="p", version=2))
    assert (view.version, view.versions, view.count) == (2, (1, 2, 3, 4), 2)
    assert view.jobs == chain("a", "b")


def test_a_run_is_made_of_the_latest_version_or_of_the_one_that_is_named(
    machine: MachineDriver,
) -> None:
    machine.do(save("a"))
    machine.do(save("a", "b", bundle=Digest("ab" * 32)))
    assert machine.do(submit()) == RUN
    assert machine.states(RUN) == {"a": "PENDING", "b": "PENDING"}
    view = machine.run_view(RUN)
    assert (view.name, view.pipeline, view.pipeline_version) == ("p", "p", 2)
    assert machine.run(RUN).bundle == "ab" * 32
    other = RunId("r-00000000000000000abd")
    machine.do(submit(other, version=1, agent_run_id="agent", owner="ann"))
    assert machine.states(other) == {"a": "PENDING"}
    assert (machine.run(other).agent_run_id, machine.run(other).owner) == ("agent", "ann")
    machine.run_job(RUN, "a")
    machine.run_job(RUN, "b")
    assert machine.run_view(RUN).state == "COMPLETED"


def test_submitting_again_with_the_same_id_has_no_effect(machine: MachineDriver) -> None:
    machine.do(save("a"))
    machine.do(submit())
    machine.do(save("a", "b"))
    assert machine.do(submit()) == RUN
    assert machine.states(RUN) == {"a": "PENDING"}


def test_parameters_are_filled_in_and_everything_wrong_is_said_at_once(
    machine: MachineDriver,
) -> None:
    inputs = {
        "day": Input(required=True),
        "n": Input("int", default=3),
        "size": Input("float", choices=(0.5, 1.5), default=0.5),
        "dry": Input("bool"),
    }
    machine.do(save("a", inputs=inputs))
    wrong = machine.apply(submit(parameters={"n": "x", "size": 2.0, "dry": 7, "nn": 1}))
    assert isinstance(wrong, Rejected)
    assert wrong.code == "invalid_parameters"
    for part in ("day is required", "n must be a whole", "size must be one", "dry must", "'nn'"):
        assert part in wrong.why
    machine.do(submit(parameters={"day": "monday", "size": "1.5", "dry": "yes"}))
    values = {"day": "monday", "n": 3, "size": 1.5, "dry": True}
    assert machine.run(RUN).parameters == values


def test_what_is_unknown_is_named(machine: MachineDriver) -> None:
    machine.do(save("a"))
    assert machine.apply(submit(name="q")) == Rejected(
        "unknown_pipeline", "there is no saved pipeline 'q'"
    )
    assert machine.apply(submit(version=2)) == Rejected(
        "unknown_pipeline", "pipeline 'p' has no version 2; kept: 1"
    )
    assert machine.refuse(DeletePipeline(name="q")) == "unknown_pipeline"
    assert machine.refuse(submit(RunId(""))) == "invalid"
    with pytest.raises(NotFound):
        read(machine.state, GetPipeline(name="q"))


def test_deleting_leaves_runs_alone_and_reuses_no_number(machine: MachineDriver) -> None:
    machine.do(save("a"))
    machine.do(save("b"))
    machine.do(submit())
    assert machine.do(DeletePipeline(name="p", version=2)) == 1
    assert read(machine.state, GetPipeline(name="p")).version == 1
    assert machine.do(save("c")) == 3
    assert machine.do(DeletePipeline(name="p")) == 2
    assert read(machine.state, ListPipelines()) == []
    assert machine.state.pipelines_bytes == 0
    machine.run_job(RUN, "b")
    assert machine.run_view(RUN).state == "COMPLETED"


def test_the_list_goes_by_name_in_pages(machine: MachineDriver) -> None:
    for name in ("c", "a", "b"):
        machine.do(save("x", name=name))
    first = read(machine.state, ListPipelines(limit=2))
    assert [one.name for one in first] == ["a", "b"]
    assert [one.name for one in read(machine.state, ListPipelines(after="b"))] == ["c"]


def test_old_versions_make_room_for_new_ones(
    machine: MachineDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("titan.fsm.pipelines.PIPELINE_VERSIONS_MAX", 2)
    for name in ("a", "b", "c"):
        machine.do(save(name))
    assert read(machine.state, GetPipeline(name="p")).versions == (2, 3)


def test_saved_pipelines_are_bounded(
    machine: MachineDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    many = tuple(job(f"j{n}") for n in range(limits.PIPELINE_JOBS_MAX + 1))
    assert machine.refuse(SavePipeline(name="p", jobs=many)) == "too_large"
    monkeypatch.setattr("titan.fsm.pipelines.PIPELINES_MAX", 1)
    machine.do(save("a"))
    machine.do(save("b"))
    assert machine.refuse(save("a", name="q")) == "too_large"
    monkeypatch.setattr("titan.fsm.pipelines.PIPELINES_BYTES_MAX", machine.state.pipelines_bytes)
    assert machine.refuse(save("a", "b")) == "too_large"
    inputs = {f"n{n}": Input() for n in range(limits.INPUTS_MAX + 1)}
    assert machine.refuse(save("a", inputs=inputs)) == "too_large"


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (SavePipeline(name="", jobs=chain("a")), "invalid"),
        (SavePipeline(name="p", jobs=()), "invalid"),
        (SavePipeline(name="p", jobs=(job("a", "b"),)), "unknown_parent"),
        (SavePipeline(name="p", jobs=(job("a"), job("a"))), "duplicate_job"),
        (SavePipeline(name="p", jobs=(job("a", "b"), job("b", "a"))), "cycle"),
        (SavePipeline(name="p", jobs=(job("a", argv=()),)), "invalid_job"),
        (SavePipeline(name="p", jobs=chain("a"), bundle=Digest("x")), "invalid"),
        (SavePipeline(name="p", jobs=chain("a"), inputs={"x": Input("opera")}), "invalid"),
    ],
)
def test_what_could_not_run_is_not_saved(
    machine: MachineDriver, command: SavePipeline, code: str
) -> None:
    assert machine.refuse(command) == code
    assert machine.state.pipelines == {}


def test_the_blobs_of_saved_pipelines_are_known(machine: MachineDriver) -> None:
    own, other, gone = (Digest(two * 32) for two in ("ab", "cd", "ef"))
    jobs = (job("a"), job("b", bundle=other), job("c", bundle=other))
    machine.do(SavePipeline(name="p", jobs=jobs, bundle=own))
    machine.do(save("a", name="q", bundle=gone))
    machine.do(DeletePipeline(name="q"))
    assert list(machine.state.blob_refs) == [own, other]
    assert read(machine.state, GetPipeline(name="p")).digests == (own, other)
