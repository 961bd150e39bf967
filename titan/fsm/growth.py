"""Jobs join a run: numbers, edges and counts. The run may be visible or still under construction.

The jobs have been checked, one by one by `declare.py` and as a graph by `graph.py`. No handlers here.
"""

from __future__ import annotations

from collections.abc import Sequence

from titan.fsm import budgets, jobs, references
from titan.fsm.policy import service_policy_of
from titan.fsm.records.services import Service
from titan.fsm.state import Job, JobState, Run, State
from titan.ids import JobId


def grow(state: State, run: Run, new: Sequence[Job]) -> None:
    """Add checked jobs with their edges; they wait for those parents that have not ended.

    Whoever lets a visible run grow has asked `budgets.why_not_more`: here the jobs are debited, and
    those without room wait. A run under construction is debited as a whole when it begins.
    """
    connect(state, run, new)
    if run.id in state.runs:
        budgets.debit(state, run, new)


def connect(state: State, run: Run, new: Sequence[Job]) -> None:
    """The same for jobs that cost nothing."""
    seq = state.next_job_seq
    for job in new:
        job.seq = seq
        seq += 1
        run.jobs[job.id] = job
        if b"service" in job.spec:  # a tenth of the cost of decoding every one of them
            _note_service(run, job)
    state.next_job_seq = seq
    nobody_ended = len(run.counts) == (JobState.PENDING in run.counts) and not any(
        service.released for service in run.services.values()
    )
    shared: dict[tuple[JobId, ...], tuple[JobId, ...]] = {}
    for job in new:
        if job.parents:
            _connect(run, job, shared=shared)
            job.waiting_for = len(job.parents) if nobody_ended else jobs.waiting_for(run, job)
    references.hold(state, references.of_jobs(new))
    if new:
        run.counts[JobState.PENDING] = run.counts.get(JobState.PENDING, 0) + len(new)


def _note_service(run: Run, job: Job) -> None:
    policy = service_policy_of(job)
    if policy.type == "service":
        run.services[job.id] = Service(port=policy.port)


def _connect(run: Run, job: Job, *, shared: dict[tuple[JobId, ...], tuple[JobId, ...]]) -> None:
    """Tie a job to its parents. Names are their own strings and equal tuples are one, to save memory."""
    above = [run.jobs[name] for name in dict.fromkeys(job.parents)]
    parents = tuple([parent.id for parent in above])
    job.parents = shared.setdefault(parents, parents)
    for parent in above:
        jobs.link(parent, child=job.id)
