"""Saved pipelines over HTTP: looking at them, starting one, forgetting one.

Saving needs the files of the jobs: `declarations.py`.
"""

from __future__ import annotations

from typing import Final

import msgspec

from titan.errors import UserError
from titan.fsm.commands import DeletePipeline, SubmitSaved
from titan.fsm.queries import GetPipeline, ListPipelines, PipelineView
from titan.ids import RunId, is_run_id, new_run_id
from titan.limits import LIST_PAGE_MAX
from titan.master.http.api import Api
from titan.master.http.table import Call, Endpoint, Page
from titan.spec.inputs import scalars
from titan.spec.model import Scalar


class PipelinesQuery(msgspec.Struct, frozen=True, kw_only=True):
    """A page of names; `after` is the cursor."""

    limit: int = LIST_PAGE_MAX
    after: str = ""
    consistent: bool = False


class VersionQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which version; 0 is the latest."""

    version: int = 0
    consistent: bool = False


class WhichQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which version; 0 is all of them."""

    version: int = 0


class Start(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What to start: a version, 0 for the latest, with values for its parameters and more labels. `run` is
    the id of the run, drawn here when it is missing."""

    version: int = 0
    parameters: dict[str, Scalar] = {}
    agent_run_id: str = ""
    owner: str = ""
    run: str = ""
    labels: dict[str, str] = {}


class Started(msgspec.Struct, frozen=True):
    """The run, and the index of the log at which it was created."""

    index: int
    run: RunId


class Deleted(msgspec.Struct, frozen=True):
    """How many versions were forgotten."""

    index: int
    versions: int


async def list_pipelines(api: Api, call: Call) -> Page[PipelineView]:
    """The latest version of each, by name."""
    query: PipelinesQuery = call.query
    limit = max(1, min(query.limit, LIST_PAGE_MAX))
    items = api.read(ListPipelines(limit=limit, after=query.after))
    return Page(items, items[-1].name if len(items) == limit else None)


async def get_pipeline(api: Api, call: Call) -> PipelineView:
    """A version with its jobs."""
    query: VersionQuery = call.query
    view: PipelineView = api.read(GetPipeline(name=call.path["name"], version=query.version))
    return view


async def start(api: Api, call: Call) -> Started:
    """A run of it. With an `Idempotency-Key` a repeat answers the same run."""
    asked: Start = call.body
    if asked.run and not is_run_id(asked.run):
        raise UserError(f"run: {asked.run!r} is no run id")
    try:
        parameters = scalars(asked.parameters)
    except ValueError as why:
        raise UserError(f"parameters: {why}") from None
    command = SubmitSaved(
        run=RunId(asked.run) if asked.run else new_run_id(),
        name=call.path["name"],
        version=asked.version,
        parameters=parameters,
        agent_run_id=asked.agent_run_id,
        owner=asked.owner,
        labels=asked.labels,
    )
    done = await api.write(command, key=call.idempotency_key)
    return Started(done.index, RunId(done.value))


async def delete(api: Api, call: Call) -> Deleted:
    """Forget it; its runs go on."""
    query: WhichQuery = call.query
    command = DeletePipeline(name=call.path["name"], version=query.version)
    done = await api.write(command, key=call.idempotency_key)
    return Deleted(done.index, done.value)


_PIPELINE: Final = "/api/v1/pipelines/{name}"
ENDPOINTS: Final = (
    Endpoint(
        "GET",
        "/api/v1/pipelines",
        list_pipelines,
        "Saved pipelines",
        Page[PipelineView],
        PipelinesQuery,
    ),
    Endpoint("GET", _PIPELINE, get_pipeline, "One saved pipeline", PipelineView, VersionQuery),
    Endpoint("POST", f"{_PIPELINE}/runs", start, "Start a run of it", Started, body=Start),
    Endpoint("DELETE", _PIPELINE, delete, "Forget a saved pipeline", Deleted, WhichQuery),
)
