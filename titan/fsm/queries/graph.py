"""Questions about the graph of a run, its changes and dead letters; `mutation_views.py` answers them."""

from __future__ import annotations

import msgspec

from titan.fsm.commands.mutation import Fields
from titan.fsm.queries.base import Query
from titan.ids import JobId, RunId, WorkerId


class GetGraph(Query, frozen=True, kw_only=True, tag="graph"):
    """A run's graph in order of submission → GraphView. `at` is a revision, 0 for now; `after` is the
    last id of the page before."""

    run: RunId
    at: int = 0
    limit: int = 1000
    after: str = ""


class ListRevisions(Query, frozen=True, kw_only=True, tag="revisions"):
    """Changes of a run's graph, newest first → list[RevisionView]."""

    run: RunId
    limit: int = 1000


class ListDead(Query, frozen=True, kw_only=True, tag="dead"):
    """The dead-letter queue, latest death first → list[DeadView]. `after` is "run/job", the last one of
    the page before."""

    limit: int = 100
    after: str = ""
    run: str = ""
    name: str = ""  # of the run, exact
    since_ms: int = 0  # died then or later
    reason: str = ""  # a part of it
    text: str = ""  # a part of the name of the run, its pipeline or the job, in any case


class CountDead(Query, frozen=True, kw_only=True, tag="dead.count"):
    """How many dead letters there are → int. The filters are those of `ListDead`."""

    run: str = ""
    name: str = ""
    since_ms: int = 0
    reason: str = ""
    text: str = ""


class VertexView(msgspec.Struct, frozen=True, kw_only=True):
    """A job in a graph: its state of now, and what was declared as of the graph's revision."""

    id: JobId
    state: str
    reason: str
    trigger: str
    fields: Fields


class GraphView(msgspec.Struct, frozen=True, kw_only=True):
    """A page of a run's graph as of `revision`."""

    run: RunId
    revision: int
    jobs: list[VertexView]


class RevisionView(msgspec.Struct, frozen=True, kw_only=True):
    """A change of a run's graph. `edits` are lines for people."""

    revision: int
    at_ms: int
    by: str
    note: str
    edits: list[str]


class DeadView(msgspec.Struct, frozen=True, kw_only=True):
    """A dead letter: a job whose retries are used up. `name` is the run's."""

    run: RunId
    name: str
    job: JobId
    reason: str
    exit_code: int | None
    attempts: int
    worker: WorkerId
    died_ms: int
    pipeline: str = ""  # saved, that the run was started from
