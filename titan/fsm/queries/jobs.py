"""Questions about jobs, and the shapes of their answers."""

from __future__ import annotations

import msgspec

from titan.fsm.queries.base import Query
from titan.fsm.queries.gates import DecisionView
from titan.fsm.state import AttemptRecord
from titan.ids import AttemptId, JobId, RunId, WorkerId
from titan.spec.model import BlobRef


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
    """What became of a job. `output` is final once it is `over`; with `blob` it only stands for that."""

    id: JobId
    state: str
    over: bool
    reason: str = ""
    output: bytes = b""
    blob: BlobRef | None = None
