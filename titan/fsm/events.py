"""Facts that apply produces, in the past tense. They are hints: losing all of them costs latency only.

The planner, the dispatcher, watchers and the dashboard listen. Nothing durable may depend on one.
Where one command changes more than a few jobs of a run alike, one event names them all (`telling.py`):
100,000 events would cost more than the change itself.
"""

from __future__ import annotations

import msgspec

from titan.ids import AttemptId, Digest, JobId, RunId, WorkerId


class Event(msgspec.Struct, frozen=True, tag_field="!"):
    """Base of every fact."""


class RunSubmitted(Event, frozen=True, tag="run.submitted"):
    """A run became visible."""

    run: RunId


class RunChanged(Event, frozen=True, tag="run.changed"):
    """The run's own state changed; it is over when `over`."""

    run: RunId
    state: str
    over: bool


class JobChanged(Event, frozen=True, tag="job.changed"):
    """The job's state (or why it waits) changed."""

    run: RunId
    job: JobId
    state: str


class JobReady(Event, frozen=True, tag="job.ready"):
    """The job may be assigned now."""

    run: RunId
    job: JobId


class JobWithdrawn(Event, frozen=True, tag="job.withdrawn"):
    """The job was ready and is so no longer, without having been assigned."""

    run: RunId
    job: JobId


class JobsChanged(Event, frozen=True, tag="jobs.changed"):
    """All of these jobs of a run are in `state` now. If that is an ended one, none is ready any more."""

    run: RunId
    state: str
    jobs: tuple[JobId, ...]


class JobsReady(Event, frozen=True, tag="jobs.ready"):
    """All of these jobs of a run may be assigned now."""

    run: RunId
    jobs: tuple[JobId, ...]


class RunSettled(Event, frozen=True, tag="run.settled"):
    """What had been under way at the run over several entries is done."""

    run: RunId


class RunForgotten(Event, frozen=True, tag="run.forgotten"):
    """A run that ended long ago is no longer in the state."""

    run: RunId


class AttemptAssigned(Event, frozen=True, tag="attempt.assigned"):
    """The worker may be told to run it. `fence` is the index of the log that assigned it."""

    attempt: AttemptId
    fence: int
    run: RunId
    job: JobId
    worker: WorkerId


class AttemptFinished(Event, frozen=True, tag="attempt.finished"):
    """The attempt ended by itself and its result was accepted."""

    attempt: AttemptId
    run: RunId
    job: JobId
    worker: WorkerId
    exit_code: int
    duration_us: int


class AttemptRevoked(Event, frozen=True, tag="attempt.revoked"):
    """The attempt is no longer live although it may still be running: its worker must kill it.

    `cause`: cancelled, lost, left, drained, retracted; of services also stopped, replaced.
    """

    attempt: AttemptId
    run: RunId
    job: JobId
    worker: WorkerId
    cause: str


class WorkerJoined(Event, frozen=True, tag="worker.joined"):
    """The worker is here, for the first time or again."""

    worker: WorkerId


class WorkerChanged(Event, frozen=True, tag="worker.changed"):
    """What the worker offers, or its mode, changed."""

    worker: WorkerId


class WorkerExpired(Event, frozen=True, tag="worker.expired"):
    """The worker is gone."""

    worker: WorkerId


class PoolChanged(Event, frozen=True, tag="pool.changed"):
    """A pool, or something it launched, changed: the leader should look at it again."""

    pool: str


class KeyChanged(Event, frozen=True, tag="kv.changed"):
    """A key was set, changed or removed."""

    key: str


class ProgressReported(Event, frozen=True, tag="attempt.progress"):
    """A running job says how far it is."""

    run: RunId
    job: JobId


class LockChanged(Event, frozen=True, tag="lock.changed"):
    """A claim of a lock was granted, lost or given up. Nothing is told of places in the queue."""

    name: str
    claim: str


class MailChanged(Event, frozen=True, tag="mail.changed"):
    """A signal to the run, or to the job of it, came or was taken."""

    run: RunId
    job: str  # "" for the run itself


class BlobPublished(Event, frozen=True, tag="blob.published"):
    """Masters hold this blob."""

    digest: Digest
    size: int


class BlobForgotten(Event, frozen=True, tag="blob.forgotten"):
    """Nobody refers to this blob any more: masters delete its file."""

    digest: Digest


class LogTailGrew(Event, frozen=True, tag="logs.tail"):
    """There are enough small logs in the state to be packed."""


class EpochOpened(Event, frozen=True, tag="epoch.opened"):
    """A leader's reign began."""

    epoch: int


class StateReplaced(Event, frozen=True, tag="state.replaced"):
    """A snapshot replaced the whole state: anything may have changed. Comes alone, never from apply."""


class ScheduleChanged(Event, frozen=True, tag="schedule.changed"):
    """A schedule was set, paused or deleted, or has fired."""

    name: str


class TimerSet(Event, frozen=True, tag="timer.set"):
    """The earliest timer moved: the leader should look at `State.next_due_ms` again."""

    due_ms: int


AnyEvent = (
    RunSubmitted
    | RunChanged
    | JobChanged
    | JobReady
    | JobWithdrawn
    | JobsChanged
    | JobsReady
    | RunSettled
    | RunForgotten
    | AttemptAssigned
    | AttemptFinished
    | AttemptRevoked
    | WorkerJoined
    | WorkerChanged
    | WorkerExpired
    | PoolChanged
    | KeyChanged
    | ProgressReported
    | LockChanged
    | MailChanged
    | BlobPublished
    | BlobForgotten
    | LogTailGrew
    | EpochOpened
    | ScheduleChanged
    | StateReplaced
    | TimerSet
)
