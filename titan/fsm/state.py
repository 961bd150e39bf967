"""The replicated state: plain records, one container per noun. Only handlers change it.

Everything here is the same on every master at the same index. Fields under "index" are derived:
they are not in snapshots, are rebuilt by `snapshot.restore` and checked by `invariants.validate`.
"""

from __future__ import annotations

import enum
from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from titan.fsm.records.audit import Order
from titan.fsm.records.budgets import RunBudget
from titan.fsm.records.files import ArtifactKey, Checkpoint, LogPack, TailLog
from titan.fsm.records.foreach import Expansion
from titan.fsm.records.gates import Gate
from titan.fsm.records.locks import Lock
from titan.fsm.records.pipelines import Kin, SavedPipeline
from titan.fsm.records.pools import Launch, Pool
from titan.fsm.records.retention import Retention
from titan.fsm.records.revisions import History
from titan.fsm.records.schedules import Schedule
from titan.fsm.records.services import Deployment, Service
from titan.fsm.records.signals import Mailboxes
from titan.fsm.records.unsettled import Unsettled
from titan.ids import AttemptId, Digest, JobId, RunId, WorkerId
from titan.spec.manifest import Manifest


class JobState(enum.StrEnum):
    """As people see it. PENDING always has a reason (`views.reason`)."""

    PENDING = "PENDING"
    RUNNING = "RUNNING"
    WAITING = "WAITING"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    DEAD = "DEAD"
    CANCELLED = "CANCELLED"
    SKIPPED = "SKIPPED"

    @property
    def is_over(self) -> bool:
        """Whether the job will not change again by itself."""
        return self in _JOB_OVER


_JOB_OVER = (
    JobState.COMPLETED,
    JobState.FAILED,
    JobState.DEAD,
    JobState.CANCELLED,
    JobState.SKIPPED,
)


class RunState(enum.StrEnum):
    """How a run stands, derived from its jobs by `standing.py`, which states the precedence."""

    PENDING = "PENDING"
    RUNNING = "RUNNING"
    WAITING = "WAITING"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"


class Demand(NamedTuple):
    """What a job asks of a worker. Equal demands that were declared together share one object."""

    requirement: tuple[str, ...]
    resources: tuple[tuple[str, int], ...]  # sorted by name; always has "slots"


class AttemptRecord(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """How an ended attempt ended; the job keeps the last few."""

    attempt: AttemptId
    worker: WorkerId
    assigned_ms: int
    ended_ms: int
    exit_code: int
    cause: str  # "" ended by itself; else timeout, start_failed, lost, cancelled, retracted, …
    detail: str = ""
    log_bytes: int = 0


class Job(msgspec.Struct, kw_only=True, array_like=True, gc=False):
    """A vertex of a run. A snapshot holds it as an array: new fields go to the end, with a default.

    There may be a million of these. So nothing here may refer back to a job (`gc=False` needs trees),
    and empty containers, worker ids and times are shared between jobs.
    """

    id: JobId
    seq: int  # order of submission across all runs: FIFO within a priority
    spec: bytes  # msgpack of JobSpec, defaults and `depends_on` omitted; decoded when dispatched
    demand: Demand
    priority: int
    parents: tuple[JobId, ...] = ()
    trigger: str = "all_success"
    affinity: bool = False
    state: JobState = JobState.PENDING
    attempts: int = 0  # assignments so far; an attempt's number within its job. Or: sub-runs so far
    retries_used: int = 0
    live: AttemptId = AttemptId(0)  # the live attempt, 0 when there is none
    not_before_ms: int = 0  # a delay or back-off holds it until then; 0 when nothing does
    reason: str = ""  # why it ended or waits when no other field tells
    exit_code: int | None = None
    worker: WorkerId = WorkerId("")  # where the last attempt ran
    started_ms: int = 0
    ended_ms: int = 0
    history: tuple[AttemptRecord, ...] = ()
    output: bytes = b""
    queue_due_ms: int = 0  # when its queue time-out fails it; 0 when it is not ready or has none
    # index
    children: Sequence[JobId] = ()  # in order of submission; grown by `jobs.link` alone
    # parents not over yet; 0 as soon as the trigger holds (any_* may be early). In a run that is not
    # settled it lags behind them, and is no index but a record of who has heard of what
    waiting_for: int = 0
    # added later, not an index
    unpaid: bool = False  # no budget has paid for it: it cannot start


class Run(msgspec.Struct, kw_only=True, array_like=True):
    """One execution of a pipeline. As with jobs, new fields go to the end, with a default."""

    id: RunId
    name: str
    created_ms: int
    jobs: dict[JobId, Job]  # in order of submission
    bundle: Digest = Digest("")
    parameters: dict[str, str | int | float | bool | None] = {}
    agent_run_id: str = ""
    owner: str = ""
    ended_ms: int = 0  # 0 while any job is not over
    revision: int = 0  # the log index of the last change to the graph
    started_ms: int = 0  # when its first attempt was assigned; 0 before
    cancelled: bool = False  # by `CancelRun`, until a job of it is retried
    # index
    counts: dict[JobState, int] = msgspec.field(default_factory=dict)  # no zeroes
    state: RunState = RunState.PENDING  # `standing.run_state`, so that changes can be told
    # added later, not an index
    gates: dict[JobId, Gate] = {}  # those that have waited at least once
    pipeline: str = ""  # the saved pipeline that it was made of
    pipeline_version: int = 0
    parent_run: RunId = RunId("")  # a sub-run: the run of the job that it runs for
    parent_job: JobId = JobId("")
    root: RunId = RunId("")  # the run at the top; a sub-run is kept as long as that one is
    depth: int = 0  # how many runs are above it
    services: dict[JobId, Service] = msgspec.field(default_factory=dict)  # of its jobs of that type
    schedule: str = ""  # the schedule that started it
    caller_run: RunId = RunId("")  # the task that has submitted it: a run of its own all the same
    caller_job: JobId = JobId("")
    budgets: dict[str, int] = {}  # those it is under: how many runs below the budget's own it is
    unpaid: dict[JobId, None] = msgspec.field(default_factory=dict)  # live ones, in turn to be paid
    pay_due_ms: int = 0  # when `payments.py` looks at those; 0: nothing has changed for them
    refused: str = ""  # why those fail at the next look
    budget_gates: dict[JobId, str] = msgspec.field(default_factory=dict)  # gate → budget that asks
    cpu_us: int = 0  # of its attempts that ended by themselves
    units: dict[str, int] = msgspec.field(default_factory=dict)  # what its tasks have spent
    # index
    unbilled: int = 0  # jobs that no budget pays for: those flagged unpaid, and gates of budgets
    # not index
    foreach: dict[JobId, Expansion] = {}  # the foreach jobs whose list is known
    labels: dict[str, str] = {}  # never changed


class Attempt(msgspec.Struct, kw_only=True):
    """A live attempt. Ended ones live on in `Job.history`."""

    id: AttemptId
    fence: int
    run: RunId
    job: JobId
    worker: WorkerId
    incarnation: int  # the life of the worker it was given to
    number: int  # 1 for the job's first
    assigned_ms: int
    output: bytes | None = None  # what the task has set; the job's once the attempt ends well
    progress_ppm: int = -1  # as the task has told; -1 before it did
    note: str = ""  # with the progress, for people
    claims: dict[str, dict[str, None]] = {}  # its holds and places in queues, by lock
    port: int = 0  # services: where it is to listen
    machine: str = ""  # whose port that is


class Worker(msgspec.Struct, kw_only=True):
    """A worker that is known. `online` until it expires; forgotten a day after."""

    id: WorkerId
    incarnation: int
    name: str
    capabilities: tuple[str, ...]
    slots: int
    resources: dict[str, int]
    mode: str = "open"
    online: bool = True
    joined_ms: int = 0
    expired_ms: int = 0
    version: str = ""
    ephemeral: bool = False  # leaves when it has been idle for long
    idle_ms: int = 0  # for how long; 0: its pool says, or the default
    launch: str = ""  # the launch that it came of
    pool: str = ""  # the pool of that launch
    drain_due_ms: int = 0  # when a drain kills what still runs; 0: never
    host: str = ""  # where others reach its services
    machine: str = ""  # workers of one machine share its ports
    ports: tuple[int, int] = (0, 0)  # first and last that Titan may pick; (0, 0): no services
    # index
    live: dict[AttemptId, None] = msgspec.field(default_factory=dict)  # in order of assignment
    used: dict[str, int] = msgspec.field(default_factory=dict)  # resources but slots; no zeroes


class KvItem(msgspec.Struct, kw_only=True):
    """A key: a value, or a set when `members` is not None (in order of insertion)."""

    value: bytes = b""
    binary: bool = False
    members: dict[str, None] | None = None
    version: int = 0  # the log index of the last write
    expires_ms: int = 0  # 0: never; it disappears when its timer fires


class Blob(msgspec.Struct, kw_only=True):
    """A content-addressed file that masters hold on disk."""

    digest: Digest
    size: int
    holders: tuple[str, ...]
    published_ms: int = 0
    lease_ms: int = 0  # kept until then even when nothing refers to it
    due_ms: int = 0  # when its timer looks whether it may go; 0: never


class Session(msgspec.Struct, kw_only=True):
    """What a client's recent requests answered, so that a repeat has no second effect."""

    floor: int = 0
    results: dict[int, bytes] = msgspec.field(default_factory=dict)  # request → encoded outcome
    last_ms: int = 0
    expires_ms: int = 0  # when its timer looks at it again; only the timer of that time counts


class TimedRoot(NamedTuple):
    """A job without parents that asks something first, has a delay or a queue time-out, or that no
    worker runs."""

    job: JobId
    delay_ms: int
    queue_timeout_ms: int


class Stage(msgspec.Struct, kw_only=True):
    """A run under construction, part by part. Nobody sees it until `SubmitRun` completes it."""

    run: Run
    next_part: int = 0  # the parts below it are built in
    ahead: dict[int, list[Job]] = msgspec.field(default_factory=dict)  # parts before their turn
    refusal: tuple[str, str] | None = None  # why a part of those could not be built in: code, why
    size: int = 0
    expires_ms: int = 0
    # index
    roots: list[JobId] = msgspec.field(default_factory=list)  # ready once the run is submitted
    timed: list[TimedRoot] = msgspec.field(default_factory=list)  # these wait or time out as well


class Timer(NamedTuple):
    """Something to do at a committed time. Ordered by time, then by order of creation."""

    due_ms: int
    seq: int
    kind: str  # one of those in `timers.py`
    key: tuple[str, ...]


class State(msgspec.Struct, kw_only=True):
    """Everything. One per master; equal at equal `index`."""

    index: int = 0  # of the last entry applied
    digest: bytes = b"\0" * 32  # rolling over every entry and its outcomes
    cluster_id: str = ""
    version: int = 1  # of the commands that every master can read
    epoch: int = 0
    now_ms: int = 0  # committed time: never goes backwards
    next_attempt: int = 1
    next_job_seq: int = 1
    next_timer_seq: int = 1
    runs: dict[RunId, Run] = msgspec.field(default_factory=dict)  # oldest first
    attempts: dict[AttemptId, Attempt] = msgspec.field(default_factory=dict)  # live ones only
    workers: dict[WorkerId, Worker] = msgspec.field(default_factory=dict)
    kv: dict[str, KvItem] = msgspec.field(default_factory=dict)
    blobs: dict[Digest, Blob] = msgspec.field(default_factory=dict)
    locks: dict[str, Lock] = msgspec.field(default_factory=dict)  # only those that are held
    last_token: int = 0  # of the last grant of any lock; they grow for ever
    mail: dict[RunId, Mailboxes] = msgspec.field(
        default_factory=dict
    )  # unread signals of live runs
    next_signal: int = 1
    sessions: dict[str, Session] = msgspec.field(default_factory=dict)  # least recently used first
    stages: dict[RunId, Stage] = msgspec.field(default_factory=dict)
    unsettled: dict[RunId, Unsettled] = msgspec.field(default_factory=dict)  # next in turn first
    histories: dict[RunId, History] = msgspec.field(
        default_factory=dict
    )  # of runs whose graph changed, the one that changed last at the end
    dead: dict[tuple[RunId, JobId], None] = msgspec.field(
        default_factory=dict
    )  # the dead-letter queue: jobs that are DEAD, in the order in which they died
    over: dict[RunId, int] = msgspec.field(
        default_factory=dict
    )  # ended runs, oldest end first: jobs
    pipelines: dict[str, SavedPipeline] = msgspec.field(default_factory=dict)
    schedules: dict[str, Schedule] = msgspec.field(default_factory=dict)
    kin: dict[RunId, Kin] = msgspec.field(default_factory=dict)  # sub-runs to look at (`kin.py`)
    pools: dict[str, Pool] = msgspec.field(default_factory=dict)
    launches: dict[str, Launch] = msgspec.field(default_factory=dict)  # oldest first
    retention: Retention = Retention()
    forget_due_ms: int = 0  # when `retention.py` looks at them again; 0: never
    services: dict[JobId, Deployment] = msgspec.field(default_factory=dict)  # by name
    timers: list[Timer] = msgspec.field(default_factory=list)  # a heap; stale ones are skipped
    timers_sweep_at: int = 1024  # stale timers are swept out when the heap is this long
    artifact_keys: dict[str, ArtifactKey] = msgspec.field(default_factory=dict)
    artifacts: dict[RunId, dict[JobId, Manifest]] = msgspec.field(default_factory=dict)
    checkpoints: dict[RunId, dict[JobId, Checkpoint]] = msgspec.field(default_factory=dict)
    log_tail: dict[AttemptId, TailLog] = msgspec.field(default_factory=dict)  # oldest end first
    log_packs: dict[int, LogPack] = msgspec.field(default_factory=dict)  # by number, oldest first
    next_log_pack: int = 1
    budgets: dict[str, RunBudget] = msgspec.field(default_factory=dict)  # oldest first
    orders: dict[str, deque[Order]] = msgspec.field(
        default_factory=dict
    )  # the audit: by kind of object, oldest first
    # index
    next_order: int = 1
    history_bytes: int = 0  # the sizes of all histories
    agents: dict[str, dict[RunId, None]] = msgspec.field(
        default_factory=dict
    )  # agent run → its runs, oldest first
    over_jobs: int = 0  # how many jobs the runs in `over` and `under` have
    under: dict[RunId, int] = msgspec.field(
        default_factory=dict
    )  # ended sub-runs whose root is there: jobs
    families: dict[RunId, dict[RunId, None]] = msgspec.field(
        default_factory=dict
    )  # root → its sub-runs
    pipelines_bytes: int = 0  # the sizes of all versions of all saved pipelines
    staged_bytes: int = 0  # the sizes of all stages
    claims: int = 0  # holders and waiters of all locks
    mail_bytes: int = 0  # of all unread signals
    ports: dict[str, dict[int, AttemptId]] = msgspec.field(
        default_factory=dict
    )  # machine → port → the live attempt that holds it
    blob_refs: dict[Digest, int] = msgspec.field(default_factory=dict)  # `references.py`; no zeroes
    log_tail_bytes: int = 0
    packs_of: dict[RunId, tuple[int, ...]] = msgspec.field(
        default_factory=dict
    )  # retained runs only

    @property
    def next_due_ms(self) -> int | None:
        """When time is to advance next; None without timers. What is unsettled is due at once."""
        if self.unsettled:
            return 1
        return self.timers[0].due_ms if self.timers else None

    def job(self, run: RunId, job: JobId) -> Job | None:
        """The job, or None when the run or the job is unknown."""
        found = self.runs.get(run)
        return None if found is None else found.jobs.get(job)


def is_ready(job: Job) -> bool:
    """Whether the planner may assign the job now."""
    return (
        job.state is JobState.PENDING
        and job.waiting_for == 0
        and job.not_before_ms == 0
        and not job.live
        and not job.unpaid
    )
