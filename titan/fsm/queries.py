"""Questions to the state and the shapes of their answers; `views.py` answers them.

The answers are what the SDK, the CLI's `--json` and the HTTP API show: names are the contract.
"""

from __future__ import annotations

from typing import Any

import msgspec

from titan.fsm.budget_queries import GetAgentRun, GetBudget, ListAgentRuns, ListBudgets
from titan.fsm.graph_queries import GetGraph, ListDead, ListRevisions
from titan.fsm.query import Query
from titan.fsm.state import AttemptRecord
from titan.ids import AttemptId, Digest, JobId, RunId, WorkerId
from titan.spec.manifest import Manifest
from titan.spec.model import Input, JobSpec, Scalar, ScheduleSpec


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


class ListServices(Query, frozen=True, kw_only=True, tag="services"):
    """Services that have not ended, oldest run first → list[ServiceView], at most a page."""

    name: str = ""  # exact
    run: str = ""


class GetService(Query, frozen=True, kw_only=True, tag="service"):
    """The service that others are to use under a name → ServiceView, or not_found.

    The deployed version; else that of the newest run that has a service of this name which has not ended.
    """

    name: str


class ListWorkers(Query, frozen=True, kw_only=True, tag="workers"):
    """Workers by id → list[WorkerView]."""


class ListPools(Query, frozen=True, kw_only=True, tag="pools"):
    """Pools by name → list[PoolView]."""


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
    """What a job has put out: its attempt's while it runs, else the job's → bytes, or None. Without a
    run: of the newest run that has the job."""

    job: str
    run: str = ""


class GetResults(Query, frozen=True, kw_only=True, tag="results"):
    """How jobs of a run stand and what they have put out, in the order asked → list[ResultView].

    The answer ends early when it is large; ask again for the rest.
    """

    run: RunId
    jobs: tuple[JobId, ...]


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


class ListGates(Query, frozen=True, kw_only=True, tag="gates"):
    """Gates that wait for people, those of the newest runs first → list[GateView]."""

    run: str = ""  # "": of all runs
    limit: int = 1000


class GetGate(Query, frozen=True, kw_only=True, tag="gate"):
    """One gate → GateView. `gate` is its id or that of the job it comes after. Without a run: of the
    newest run where it waits, else of the newest that has it. `DAG-` is accepted and ignored."""

    gate: str
    run: str = ""


class ListPipelines(Query, frozen=True, kw_only=True, tag="pipelines"):
    """Saved pipelines by name, the latest version of each → list[PipelineView]."""

    limit: int = 1000
    after: str = ""  # the last name of the page before


class GetPipeline(Query, frozen=True, kw_only=True, tag="pipeline"):
    """One version of a saved pipeline, the latest for 0 → PipelineView with its jobs."""

    name: str
    version: int = 0


class ListSchedules(Query, frozen=True, kw_only=True, tag="schedules"):
    """Schedules by name → list[ScheduleView] without their firings."""

    limit: int = 1000
    after: str = ""  # the last name of the page before


class GetSchedule(Query, frozen=True, kw_only=True, tag="schedule"):
    """One schedule → ScheduleView."""

    name: str


AnyQuery = (
    GetRun
    | ListRuns
    | ListJobs
    | GetJob
    | GetJobSpec
    | GetOutput
    | ListServices
    | GetService
    | GetResults
    | ListWorkers
    | KvGet
    | KvList
    | ListLocks
    | GetClaim
    | PeekSignal
    | ListPools
    | GetBlob
    | GetArtifact
    | ListArtifacts
    | GetOutputs
    | ListGates
    | GetGate
    | ListPipelines
    | GetPipeline
    | ListSchedules
    | GetSchedule
    | GetGraph
    | ListRevisions
    | ListDead
    | ListAgentRuns
    | GetAgentRun
    | GetBudget
    | ListBudgets
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
    pipeline: str = ""  # the saved pipeline that it was made of, and its version
    pipeline_version: int = 0
    schedule: str = ""  # the schedule that started it
    parent_run: RunId = RunId("")  # a sub-run: the run and the job that it runs for
    parent_job: JobId = JobId("")
    revision: int = 0  # grows whenever the graph changes
    caller_run: RunId = RunId("")  # the task that submitted it, if one did
    caller_job: JobId = JobId("")
    budgets: tuple[str, ...] = ()  # that it is under, its own first


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
    decisions: tuple[DecisionView, ...] = ()  # a gate: who decided what and when, all rounds
    subrun: RunId = RunId("")  # a saved pipeline: the run that does its work
    health: str = ""  # of a service that has not ended: starting, healthy, unhealthy, crash-loop
    address: str = ""  # host:port of a service that has been started


class ResultView(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a job. `output` is final once it is `over`."""

    id: JobId
    state: str
    over: bool
    reason: str = ""
    output: bytes = b""


class DecisionView(msgspec.Struct, frozen=True, kw_only=True):
    """What one person decided at a gate. `round` is 1 for the first time it waited."""

    decision: str  # approve | reject
    by: str
    role: str
    at_ms: int
    comment: str
    answers: dict[str, Scalar]
    round: int


class GateView(msgspec.Struct, frozen=True, kw_only=True):
    """A gate as people see it; it can be decided while `state` is WAITING."""

    run: RunId
    run_name: str
    id: JobId
    after: JobId  # the job that it was put after; "" when it was declared as a job
    state: str
    reason: str
    message: str
    opened_ms: int  # 0 before it waits
    due_ms: int  # when it fails if nobody decides
    wanted: int  # approvals
    users: tuple[str, ...]  # who may decide; anybody when there are neither users nor roles
    roles: tuple[str, ...]
    form: dict[str, Input]
    decisions: tuple[DecisionView, ...] = ()


class PipelineView(msgspec.Struct, frozen=True, kw_only=True):
    """A version of a saved pipeline. `jobs` only when one was asked for."""

    name: str
    version: int
    versions: tuple[int, ...]  # all that are kept
    count: int  # of jobs
    saved_ms: int
    owner: str
    bundle: Digest
    digests: tuple[Digest, ...]  # every blob it refers to
    inputs: dict[str, Input]
    jobs: tuple[JobSpec, ...] = ()


class ServiceView(msgspec.Struct, frozen=True, kw_only=True):
    """A service as people see it. `version`: current or candidate for deployed ones, else ""."""

    name: str
    run: RunId
    run_name: str
    state: str  # of its job
    health: str  # starting, healthy, unhealthy, crash-loop
    address: str  # host:port where it listens, or listened last; "" before its first start
    worker: WorkerId
    reason: str
    restarts: int
    since_ms: int  # when its health changed last
    version: str
    attempt: AttemptId  # the live one, 0 when there is none
    deadline_ms: int = 0  # of a candidate


class FiringView(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one nominal time. `outcome`: started, queued, skipped, missed or failed."""

    nominal_ms: int
    at_ms: int
    outcome: str
    run: RunId
    kind: str  # due | backfill | manual
    why: str
    missed: int  # nominal times before it that were passed over


class ScheduleView(msgspec.Struct, frozen=True, kw_only=True):
    """A schedule. When it fires next is for the reader's calendar to say: see `titan.spec.cron`."""

    name: str
    spec: ScheduleSpec
    pipeline: str
    version: int
    parameters: dict[str, Scalar]
    owner: str
    is_paused: bool
    last_nominal_ms: int  # firings are later than this
    queued: tuple[int, ...]
    live: tuple[RunId, ...]
    backfill_until_ms: int  # 0 when no range is being made up for
    backfill_done_ms: int
    firings: tuple[FiringView, ...] = ()  # the newest last


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
    ephemeral: bool = False  # leaves when it has been idle for long
    pool: str = ""  # that started it
    used: dict[str, int] = {}  # of its resources
    host: str = ""  # where its services are reached


class PoolView(msgspec.Struct, frozen=True, kw_only=True):
    """A pool as people see it; its secret is nobody's to see."""

    name: str
    provider: str
    capabilities: tuple[str, ...]
    slots: int
    resources: dict[str, int]
    workers_min: int
    workers_max: int
    idle_ms: int
    cooldown_ms: int
    register_ms: int
    url: str
    permanent: bool
    state: str  # active, or removed while its workers leave
    workers: int  # that have registered
    starting: int  # launches whose worker has not registered yet
    failures: int  # launches in a row that came to nothing
    last_error: str


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
