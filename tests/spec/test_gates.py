"""Gates that are put after jobs, before a declaration travels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from titan.errors import InvalidSpec
from titan.ids import JobId
from titan.spec.gates import approvers, form, with_gates
from titan.spec.model import Approvers, Input, JobSpec, version_of
from titan.spec.yaml_file import parse_pipeline


def job(name: str, *parents: str, **fields: Any) -> JobSpec:
    return JobSpec(id=JobId(name), shell=b"x", depends_on=tuple(map(JobId, parents)), **fields)


def parents(specs: tuple[JobSpec, ...]) -> dict[str, tuple[str, ...]]:
    return {spec.id: spec.depends_on for spec in specs}


def test_children_move_behind_the_gate_whatever_the_order() -> None:
    made = with_gates([job("c", "a", "b"), job("a", hitl_message="?"), job("b", "a")])
    assert parents(made) == {
        "c": ("hitl-gate-a", "b"),
        "a": (),
        "hitl-gate-a": ("a",),
        "b": ("hitl-gate-a",),
    }
    gate = made[2]
    assert (gate.type, gate.hitl_message, gate.gate_of) == ("gate", "?", "a")
    assert made[1] == job("a")  # nothing is left of the gate in the job


def test_gates_stand_one_after_the_other_along_a_chain() -> None:
    made = with_gates([job("a", hitl_message="1"), job("b", "a", hitl_message="2"), job("c", "b")])
    assert parents(made) == {
        "a": (),
        "hitl-gate-a": ("a",),
        "b": ("hitl-gate-a",),
        "hitl-gate-b": ("b",),
        "c": ("hitl-gate-b",),
    }


def test_a_child_of_both_has_the_gate_once() -> None:
    made = with_gates([job("a", hitl_message="?"), job("b", "a", "hitl-gate-a")])
    assert parents(made)["b"] == ("hitl-gate-a",)


@pytest.mark.parametrize("trigger", ["any_failed", "none_failed"])
def test_who_looks_for_failures_keeps_the_job_as_a_parent(trigger: str) -> None:
    made = with_gates([job("a", hitl_message="?"), job("b", "a", trigger=trigger)])
    assert parents(made)["b"] == ("a", "hitl-gate-a")


def test_doing_it_twice_changes_nothing() -> None:
    once = with_gates([job("a", hitl_message="?"), job("b", "a"), job("c", "b", hitl_message="!")])
    assert with_gates(once) == once


def test_who_may_approve_is_a_number_or_names() -> None:
    assert approvers(2) == Approvers(2)
    assert approvers({"users": "ann", "roles": ["ops", "ops"]}) == Approvers(1, ("ann",), ("ops",))
    assert approvers({"count": 3, "users": ["a"], "roles": "ops"}).count == 3
    for wrong in ("two", {"cuont": 1}, {"count": 2, "users": ["a"]}, {"users": [""]}, 65):
        with pytest.raises(ValueError, match=r"must|unknown|wanted"):
            approvers(wrong)
    with pytest.raises(ValueError, match=r"n: type 'opera'"):
        form({"n": "opera"})
    assert form({"n": {"type": "int"}}) == {"n": Input("int")}


def test_older_masters_are_not_given_what_they_cannot_read() -> None:
    assert version_of(job("a")) == 1
    for fields in ({"hitl_message": "?"}, {"approvers": Approvers(2)}, {"pipeline": "p"}):
        assert version_of(job("a", **fields)) == 2


@pytest.mark.parametrize(
    ("jobs", "message"),
    [
        ("[{id: g, type: gate, command: x}]", "a job of type gate runs nothing itself"),
        ("[{id: a, command: x, form: {n: int}}]", "form belongs to a gate"),
        ("[{id: a, command: x, approvers: 2}]", "approvers belongs to a gate"),
        ("[{id: p, type: pipeline}]", "names no saved pipeline"),
        ("[{id: a, command: x, pipeline: q}]", "belongs to a job of type pipeline"),
        ("[{id: a, command: x, hitl_message: '?'}, {id: hitl-gate-a, command: x}]", "already"),
        ("[{id: a, command: x, hitl_message: '?', depends_on: hitl-gate-a}]", "cycle"),
        ("[{id: g, type: gate, form: {n: {typ: int}}}]", "did you mean 'type'"),
        ("[{id: g, type: gate, max_wait_seconds: 0}]", "must be between 0.001"),
        ("[{id: p, type: pipeline, pipeline: q, with: {a: [1]}}]", "a: must be text"),
        ("[{id: %s, command: x, hitl_message: '?'}]" % ("x" * 119), "at most 118 characters"),
    ],
)
def test_what_cannot_be_is_told_with_its_place(jobs: str, message: str) -> None:
    text = f"project: false\njobs: {jobs}\n"
    with pytest.raises(InvalidSpec) as refused:
        parse_pipeline(text.encode(), path=Path("p.yaml"))
    assert message in str(refused.value)
    assert "p.yaml:2:" in str(refused.value)


def test_defaults_give_gates_their_own_and_nothing_to_run() -> None:
    text = """
project: false
defaults: {command: make, approvers: 2, max_wait_seconds: 60}
jobs:
  - {id: a}
  - {id: ok, type: gate, depends_on: a}
  - {id: b, depends_on: ok, hitl_message: "And this?"}
"""
    made = parse_pipeline(text.encode(), path=Path("p.yaml")).spec.jobs
    by_id = {spec.id: spec for spec in made}
    assert (by_id["ok"].shell, by_id["ok"].approvers.count) == (b"", 2)
    assert by_id["hitl-gate-b"].max_wait_ms == 60_000
    assert by_id["a"].shell == b"make"
