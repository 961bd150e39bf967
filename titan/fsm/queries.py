"""Questions to the state and the shapes of their answers; `views.py` answers them.

The answers are what the SDK, the CLI's `--json` and the HTTP API show: names are the contract.
"""

from __future__ import annotations

from typing import Any

import msgspec

from titan.fsm.state import AttemptRecord
from titan.ids import AttemptId, Digest, JobId, RunId, WorkerId


class Query(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="?"):
    """Base of every question."""


class GetRun(Query, frozen=True, kw_only=True, tag="run"):
    """One run → RunView, or not_found."""

    run: RunId


class ListRuns(Query, frozen=True, kw_only=True, tag="runs"):
    """Runs, newest first → list[RunView]. `before` is the id of the last run of the page before."""

    limit: int = 100
    before: str = ""
    name: str = ""  # exact
    state: str = ""
    agent_run_id: str = ""


class ListJobs(Query, frozen=True, kw_only=True, tag="jobs"):
    """Jobs of a run in order of submission → list[JobView]. `after` is the last id of the page before."""

    run: RunId
    limit: int = 1000
    after: str = ""
    state: str = ""


class GetJob(Query, frozen=True, kw_only=True, tag="job"):
    """One job → JobView. Without a run: of the newest run that has it. `DAG-` is accepted and ignored."""

    job: str
    run: str = ""


class GetJobSpec(Query, frozen=True, kw_only=True, tag="job.spec"):
    """What a job was declared to be → JobSpec."""

    run: RunId
    job: JobId


class ListWorkers(Query, frozen=True, kw_only=True, tag="workers"):
    """Workers by id → list[WorkerView]."""


class KvGet(Query, frozen=True, kw_only=True, tag="kv.get"):
    """One key → KvView, or None when it is absent."""

    key: str


class KvList(Query, frozen=True, kw_only=True, tag="kv.list"):
    """Keys with a prefix, sorted → list[KvView] with values. `after` continues a page."""

    prefix: str = ""
    limit: int = 1000
    after: str = ""


class GetBlob(Query, frozen=True, kw_only=True, tag="blob"):
    """A blob's metadata → BlobView, or None."""

    digest: Digest


AnyQuery = (
    GetRun | ListRuns | ListJobs | GetJob | GetJobSpec | ListWorkers | KvGet | KvList | GetBlob
)


class RunView(msgspec.Struct, frozen=True, kw_only=True):
    """A run as people see it. `over` is true once every job has ended; `state` may be FAILED before."""

    id: RunId
    name: str
    state: str
    over: bool
    created_ms: int
    ended_ms: int
    jobs: dict[str, int]  # state → how many, no zeroes
    agent_run_id: str = ""
    owner: str = ""


class JobView(msgspec.Struct, frozen=True, kw_only=True):
    """A job as people see it. `reason` says why it waits or how it ended; "" when it needs no words."""

    run: RunId
    id: JobId
    state: str
    reason: str
    worker: WorkerId
    attempts: int
    retries_used: int
    exit_code: int | None
    parents: tuple[JobId, ...]
    started_ms: int
    ended_ms: int
    live: AttemptId  # 0 when it is not running
    history: tuple[AttemptRecord, ...] = ()


class WorkerView(msgspec.Struct, frozen=True, kw_only=True):
    """A worker as people see it. `state`: online, cordoned, draining, lost."""

    id: WorkerId
    name: str
    state: str
    capabilities: tuple[str, ...]
    slots: int
    resources: dict[str, int]
    running: int
    jobs: list[str]  # "run/job" of what it holds, at most a page


class KvView(msgspec.Struct, frozen=True, kw_only=True):
    """A key: `value` is text or bytes, or None for a set, whose `members` are a list."""

    key: str
    value: Any
    members: list[str] | None
    version: int
    expires_ms: int


class BlobView(msgspec.Struct, frozen=True, kw_only=True):
    """A blob's metadata."""

    digest: Digest
    size: int
    holders: tuple[str, ...]


_query_decoder: msgspec.msgpack.Decoder[Any] = msgspec.msgpack.Decoder(AnyQuery)


def decode_query(payload: bytes) -> Query:
    """The question in `payload`; raises `msgspec.DecodeError` (or its ValidationError) otherwise."""
    try:
        query: Query = _query_decoder.decode(payload)
    except (
        UnicodeDecodeError,
        RecursionError,
    ) as error:  # msgspec lets these two through as they are
        raise msgspec.DecodeError(str(error)) from error
    return query
