"""From the normal form back to what people write, and from there to the same normal form."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from titan.errors import UserError
from titan.ids import JobId
from titan.spec.model import JobSpec, PipelineSpec
from titan.spec.yaml_file import parse_pipeline
from titan.spec.yaml_form import pipeline_form

FULL = r"""
name: demo
parameters: {region: eu, n: {type: int, default: 3, choices: [3, 4], help: how many}}
jobs:
  - {id: a, file: a.py, args: "x 'y z' |", env: {B: yes}, delay: 1.5, priority: -4, affinity: true}
  - id: b
    command: [printf, "%s\n", "tab\there", ""]
    depends_on: a
    requirement: [GPU, FAST]
    resources: {slots: 2, cpus: 1.5, memory_mb: 100, licences: 1}
    retries: 0
    retry_backoff_ms: 5
    retry_backoff_cap_ms: 50
    no_retry_exit_codes: [3, 4]
    timeout: 90
    queue_timeout: 2.5
    trigger: all_done
  - {id: c, command: "echo $1; exit 0", args: [one two], depends_on: [a, b], hitl_message: "Sure?",
     approvers: {count: 2, roles: [ops]}, max_wait_seconds: 60}
  - {id: g, type: gate, message: "Which?", form: {size: {type: int, required: true}}, depends_on: [c]}
  - {id: s, type: service, command: serve, port: 0, depends_on: [a], restart: {limit: 3, backoff: 0.25},
     health: {http: /up, interval: 1.5, unhealthy_after: 5}, artifacts: {in: ["a:*.csv"]}}
  - {id: t, type: service, command: serve, port: 8000, health: {command: [probe, x]}}
  - {id: o, command: make, artifacts: {out: ["*.csv", "b/**"]}, requirements: [numpy]}
  - {id: p, type: pipeline, pipeline: saved, version: 2, with: {n: 4}, depends_on: [g]}
"""


def load(folder: Path, text: str) -> PipelineSpec:
    return parse_pipeline(text.encode(), path=folder / "p.yaml").spec


def test_what_is_written_back_declares_the_same_pipeline(tmp_path: Path) -> None:
    (tmp_path / "a.py").touch()
    spec = load(tmp_path, FULL)
    form = pipeline_form(spec.name, spec.jobs, parameters=spec.inputs)
    again = load(tmp_path, json.dumps(form))
    assert again.inputs == spec.inputs
    assert again.jobs == spec.jobs
    assert [job["id"] for job in form["jobs"]] == list("abcgstop"), "gates are not jobs"


def test_limits_of_a_budget_are_written_in_seconds(tmp_path: Path) -> None:
    budget = "{jobs: 0, depth: 2, wall_s: 1.5, cpu_s: 60, units: {tokens: 9}, on_limit: gate}"
    spec = load(tmp_path, f"budget: {budget}\njobs: [{{id: a, command: 'true'}}]")
    form = pipeline_form("p", spec.jobs, parameters={}, budget=spec.budget)
    assert load(tmp_path, json.dumps(form)).budget == spec.budget
    assert "budget" not in pipeline_form("p", spec.jobs, parameters={})


def test_defaults_are_not_written(tmp_path: Path) -> None:
    spec = load(tmp_path, "jobs: [{id: a, command: 'true'}]")
    assert pipeline_form("p", spec.jobs, parameters={})["jobs"] == [{"id": "a", "command": "true"}]


def test_arguments_that_are_no_text_are_refused_by_name() -> None:
    job = JobSpec(id=JobId("a"), argv=(b"echo", b"\xff"))
    with pytest.raises(UserError, match="no text"):
        pipeline_form("p", (job,), parameters={})
