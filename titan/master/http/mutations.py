"""Changing runs over HTTP, what changed before, and the dead-letter queue."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

from titan.errors import NotFound
from titan.fsm.commands import MutateRun
from titan.fsm.commands.mutation import AnyEdit, Rerun
from titan.fsm.queries.graph import (
    CountDead,
    DeadView,
    GetGraph,
    GraphView,
    ListDead,
    ListRevisions,
    RevisionView,
)
from titan.fsm.state import JobState
from titan.ids import JobId, RunId
from titan.limits import LIST_PAGE_MAX
from titan.master.http.api import Api
from titan.master.http.runs import ReadQuery
from titan.master.http.table import Call, Endpoint, Page


class GraphQuery(msgspec.Struct, frozen=True, kw_only=True):
    """`at` is a revision, 0 for now; `after` is the cursor."""

    at: int = 0
    limit: int = 1000
    after: str = ""
    consistent: bool = False


class DeadQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which dead letters; `after` is the cursor."""

    limit: int = 100
    after: str = ""
    run: str = ""
    name: str = ""
    since_ms: int = 0
    reason: str = ""
    text: str = ""
    consistent: bool = False


class DeadCountQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which dead letters to count."""

    run: str = ""
    name: str = ""
    since_ms: int = 0
    reason: str = ""
    text: str = ""
    consistent: bool = False


class Counted(msgspec.Struct, frozen=True):
    """How many there are."""

    count: int


class Letter(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One dead letter by name."""

    run: RunId
    job: JobId


class Changes(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All of the edits or none; with `if_revision` only while that is the run's revision."""

    edits: tuple[AnyEdit, ...]
    if_revision: int = 0
    by: str = ""
    note: str = ""


class Which(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which dead letters to run again; all when nothing is said. With `letters` these alone."""

    run: str = ""
    name: str = ""
    since_ms: int = 0
    reason: str = ""
    text: str = ""
    letters: Annotated[tuple[Letter, ...], msgspec.Meta(max_length=LIST_PAGE_MAX)] = ()


class Revised(msgspec.Struct, frozen=True):
    """The run's revision after the change."""

    revision: int


class Replayed(msgspec.Struct, frozen=True):
    """So many will run again. `more`: ask again for the rest."""

    replayed: int
    more: bool


async def change_run(api: Api, call: Call) -> Revised:
    """One change."""
    body: Changes = call.body
    command = MutateRun(
        run=RunId(call.path["run"]),
        edits=body.edits,
        if_revision=body.if_revision,
        by=body.by,
        note=body.note,
    )
    return Revised((await api.write(command, key=call.idempotency_key)).value)


async def list_changes(api: Api, call: Call) -> list[RevisionView]:
    """Newest first."""
    found: list[RevisionView] = api.read(ListRevisions(run=RunId(call.path["run"])))
    return found


async def get_graph(api: Api, call: Call) -> GraphView:
    """A page of it."""
    query: GraphQuery = call.query
    run = RunId(call.path["run"])
    view: GraphView = api.read(GetGraph(run=run, at=query.at, limit=query.limit, after=query.after))
    return view


async def list_dead(api: Api, call: Call) -> Page[DeadView]:
    """The latest first."""
    query: DeadQuery = call.query
    limit = max(1, min(query.limit, LIST_PAGE_MAX))
    items = api.read(
        ListDead(
            limit=limit,
            after=query.after,
            run=query.run,
            name=query.name,
            since_ms=query.since_ms,
            reason=query.reason,
            text=query.text,
        )
    )
    last = f"{items[-1].run}/{items[-1].job}" if len(items) == limit else None
    return Page(items, last)


async def count_dead(api: Api, call: Call) -> Counted:
    """With the same filters."""
    query: DeadCountQuery = call.query
    return Counted(
        api.read(
            CountDead(
                run=query.run,
                name=query.name,
                since_ms=query.since_ms,
                reason=query.reason,
                text=query.text,
            )
        )
    )


async def replay(api: Api, call: Call) -> Replayed:
    """Each run's letters go together; what has run again meanwhile is left alone."""
    which: Which = call.body
    await api.catch_up()  # what has been replayed before, at any master, is no dead letter
    letters = which.letters or _letters(api, which)
    by_run: dict[RunId, list[JobId]] = {}
    for letter in reversed(letters):
        by_run.setdefault(letter.run, []).append(letter.job)
    replayed, key = 0, call.idempotency_key
    for run, jobs in by_run.items():
        edits = tuple(Rerun(job=job, only_if=JobState.DEAD.value) for job in jobs)
        try:
            await api.write(MutateRun(run=run, edits=edits), key=f"{key}/{run}" if key else "")
        except NotFound:
            continue  # the run was forgotten meanwhile
        replayed += len(jobs)
    return Replayed(replayed, not which.letters and len(letters) == LIST_PAGE_MAX)


def _letters(api: Api, which: Which) -> tuple[Letter, ...]:
    found: list[DeadView] = api.read(
        ListDead(
            limit=LIST_PAGE_MAX,
            run=which.run,
            name=which.name,
            since_ms=which.since_ms,
            reason=which.reason,
            text=which.text,
        )
    )
    return tuple(Letter(one.run, one.job) for one in found)


_RUN: Final = "/api/v1/runs/{run}"
ENDPOINTS: Final = (
    Endpoint("POST", f"{_RUN}/changes", change_run, "Change a run", Revised, body=Changes),
    Endpoint(
        "GET",
        f"{_RUN}/changes",
        list_changes,
        "How a run's graph has changed",
        list[RevisionView],
        ReadQuery,
    ),
    Endpoint("GET", f"{_RUN}/graph", get_graph, "A run's graph", GraphView, GraphQuery),
    Endpoint("GET", "/api/v1/dead", list_dead, "Dead letters", Page[DeadView], DeadQuery),
    Endpoint(
        "GET", "/api/v1/dead/count", count_dead, "How many dead letters", Counted, DeadCountQuery
    ),
    Endpoint("POST", "/api/v1/dead/replay", replay, "Replay dead letters", Replayed, body=Which),
)
