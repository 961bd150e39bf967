"""Declarations over HTTP: their schema, what is wrong with one, a run of one, jobs for a live run."""

from __future__ import annotations

import asyncio
from typing import Any, Final

import msgspec

from titan.errors import InvalidSpec, LimitExceeded
from titan.fsm.commands import SavePipeline, SubmitRun, encode_command
from titan.fsm.queries import GetRun
from titan.fsm.submission import COMMAND_BYTES_MAX, addition
from titan.ids import Digest, RunId, new_run_id
from titan.master.http import submitting
from titan.master.http.api import Api
from titan.master.http.drafts import Draft, Packed, packed, problems_of
from titan.master.http.runs import Changed
from titan.master.http.table import Call, Endpoint
from titan.spec.inputs import fill
from titan.spec.json_schema import json_schema
from titan.spec.model import PipelineSpec, Scalar


class Check(Draft, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A declaration to look at. With `run`, its jobs are to join that run."""

    run: str = ""


class Submit(Draft, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A declaration to run. `parameters` and `labels` go over those of the YAML."""

    parameters: dict[str, Scalar] = {}
    labels: dict[str, str] = {}
    agent_run_id: str = ""
    owner: str = ""


class Save(Draft, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A declaration to keep."""

    owner: str = ""


class Join(Draft, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Jobs for a live run: the `jobs` of the YAML, whose parents may be jobs of the run."""


class ProblemView(msgspec.Struct, frozen=True):
    """One thing that must be mended; `line` and `column` count from 1, 0 when it has no place."""

    message: str
    field: str
    line: int
    column: int


class Checked(msgspec.Struct, frozen=True):
    """All problems at once; none of them when it can run."""

    problems: list[ProblemView]


class Submitted(msgspec.Struct, frozen=True):
    """The run, and the index of the log at which it is visible."""

    index: int
    run: RunId


class Saved(msgspec.Struct, frozen=True):
    """The version: the latest one's number when nothing has changed."""

    index: int
    version: int


async def schema(api: Api, call: Call) -> dict[str, Any]:
    """What a pipeline's YAML may say."""
    return json_schema()


async def check(api: Api, call: Call) -> Checked:
    """Look at a declaration; nothing is kept."""
    draft: Check = call.body
    try:
        found = await asyncio.to_thread(problems_of, draft, open_world=bool(draft.run))
    except LimitExceeded as error:
        return Checked([ProblemView(str(error), "", 0, 0)])
    return Checked(
        [
            ProblemView(one.message, one.field, *(one.place if one.place else (0, 0)))
            for one in found
        ]
    )


async def submit(api: Api, call: Call) -> Submitted:
    """Start a run. With an `Idempotency-Key` a repeat answers the same run."""
    asked: Submit = call.body
    ready = await asyncio.to_thread(packed, asked)
    spec = ready.loaded.spec
    order = SubmitRun(
        run=new_run_id(),
        name=spec.name,
        jobs=spec.jobs,
        bundle=await _stored(api, ready),
        parameters=_filled(spec, asked.parameters),
        agent_run_id=asked.agent_run_id,
        owner=asked.owner,
        budget=spec.budget,
        labels={**spec.labels, **asked.labels},
    )
    run, index = await submitting.submit(api, order, key=call.idempotency_key)
    return Submitted(index, run)


def _filled(spec: PipelineSpec, given: dict[str, Scalar]) -> dict[str, Scalar]:
    values, wrong = fill(spec.inputs, given)
    if wrong:
        raise InvalidSpec(problems=tuple(f"{spec.name}: parameter {one}" for one in wrong))
    return values


async def save(api: Api, call: Call) -> Saved:
    """Keep a pipeline under a name; its own name in the YAML does not matter."""
    asked: Save = call.body
    ready = await asyncio.to_thread(packed, asked)
    spec = ready.loaded.spec
    order = SavePipeline(
        name=call.path["name"],
        jobs=spec.jobs,
        bundle=await _stored(api, ready),
        inputs=spec.inputs,
        owner=asked.owner,
        budget=spec.budget,
        labels=spec.labels,
    )
    size = len(encode_command(order))
    if size > COMMAND_BYTES_MAX:
        raise LimitExceeded(
            f"the pipeline takes {size} bytes; one that is saved at most {COMMAND_BYTES_MAX}",
            hint="put long commands into files, or run it as it is",
        )
    done = await api.write(order, key=call.idempotency_key)
    return Saved(done.index, int(done.value))


async def add_jobs(api: Api, call: Call) -> Changed:
    """Add jobs to a live run, all or none."""
    run = RunId(call.path["run"])
    await api.catch_up()  # the run may have been submitted a moment ago, at another master
    api.read(GetRun(run=run))
    ready = await asyncio.to_thread(packed, call.body, open_world=True)
    bundle = await _stored(api, ready)
    jobs = ready.loaded.spec.jobs
    if not bundle and (named := [job for job in jobs if job.file]):
        raise InvalidSpec(f"job {named[0].id!r} names a file that did not come along")
    jobs = tuple(msgspec.structs.replace(job, bundle=bundle) for job in jobs)
    done = await api.write(addition(run, jobs), key=call.idempotency_key)
    return Changed(done.index)


async def _stored(api: Api, ready: Packed) -> Digest:
    if ready.bundle is None:
        return Digest("")
    with ready.bundle as bundle:
        return await submitting.store(api, bundle)


ENDPOINTS: Final = (
    Endpoint(
        "GET",
        "/api/v1/schema/pipeline",
        schema,
        "The JSON Schema of a pipeline's YAML",
        dict[str, Any],
    ),
    Endpoint(
        "POST",
        "/api/v1/pipelines/check",
        check,
        "What is wrong with a pipeline",
        Checked,
        body=Check,
    ),
    Endpoint("PUT", "/api/v1/pipelines/{name}", save, "Save a pipeline", Saved, body=Save),
    Endpoint("POST", "/api/v1/runs", submit, "Start a run", Submitted, body=Submit),
    Endpoint(
        "POST", "/api/v1/runs/{run}/jobs", add_jobs, "Add jobs to a live run", Changed, body=Join
    ),
)
