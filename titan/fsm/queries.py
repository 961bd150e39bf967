"""Questions to the state and the shapes of their answers; `views.py` answers them.

The answers are what the SDK, the CLI's `--json` and the HTTP API show: names are the contract.
"""

from __future__ import annotations

from typing import Any

import msgspec

from titan.fsm.state import AttemptRecord
from titan.ids import AttemptId, Digest, JobId, RunId, WorkerId
from titan.spec.manifest import Manifest


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


class GetOutput(Query, frozen=True, kw_only=True, tag="job.output"):
    """What a job has put out: its attempt's while it runs, else the job's → bytes, or None."""

    run: RunId
    job: JobId


class ListLocks(Query, frozen=True, kw_only=True, tag="locks"):
    """Locks that are held, by name → list[LockView]. `after` continues a page."""

    prefix: str = ""
    limit: int = 1000
    after: str = ""


class GetArtifact(Query, frozen=True, kw_only=True, tag="artifact"):
    """One artifact key → ArtifactView, or None when it is absent."""

    key: str


class ListArtifacts(Query, frozen=True, kw_only=True, tag="artifacts"):
    """Artifact keys with a prefix, sorted → list[ArtifactView]. `after` continues a page."""

    prefix: str = ""
    limit: int = 1000
    after: str = ""


class GetClaim(Query, frozen=True, kw_only=True, tag="lock.claim"):
    """A claim of a lock → ClaimView, or None when it neither holds nor waits."""

    name: str
    claim: str


class PeekSignal(Query, frozen=True, kw_only=True, tag="signal.peek"):
    """The signal of this name that a task of the job gets next, its own or the run's → SignalView or
    None."""

    run: RunId
    job: JobId
    name: str


class GetOutputs(Query, frozen=True, kw_only=True, tag="outputs"):
    """What the jobs of a run, or one of them, hand to their children → list[OutputsView]."""

    run: RunId
    job: str = ""
    limit: int = 100
    after: str = ""


AnyQuery = (
    GetRun
    | ListRuns
    | ListJobs
    | GetJob
    | GetJobSpec
    | GetOutput
    | ListWorkers
    | KvGet
    | KvList
    | ListLocks
    | GetClaim
    | PeekSignal
    | GetBlob
    | GetArtifact
    | ListArtifacts
    | GetOutputs
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
    progress: float | None = None  # 0 to 1, as the running task says; None when it does not
    note: str = ""  # with the progress, for people


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


class ClaimView(msgspec.Struct, frozen=True, kw_only=True):
    """A claim of a lock: it holds when it has a token, else `position` says how soon it will."""

    token: int
    due_ms: int  # when it ends unless it is renewed
    position: int  # 1 is next; 0 when it holds
    owner: str  # "run/job#attempt", or the client session
    data: str


class LockView(msgspec.Struct, frozen=True, kw_only=True):
    """A lock that is held. Holders in order of their grants."""

    name: str
    slots: int
    holders: list[ClaimView]
    waiting: int


class SignalView(msgspec.Struct, frozen=True, kw_only=True):
    """A signal that nobody has taken. `payload` is JSON."""

    seq: int
    name: str
    payload: bytes
    sent_ms: int
    sender: str


class BlobView(msgspec.Struct, frozen=True, kw_only=True):
    """A blob's metadata."""

    digest: Digest
    size: int
    holders: tuple[str, ...]


class ArtifactView(msgspec.Struct, frozen=True, kw_only=True):
    """A file published under a key. `run` and `job` are "" unless a task published it."""

    key: str
    digest: Digest
    size: int
    name: str
    mode: int
    published_ms: int
    run: RunId
    job: JobId


class OutputsView(msgspec.Struct, frozen=True, kw_only=True):
    """The files that a job leaves."""

    job: JobId
    manifest: Manifest


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
