"""Runs: submitting one, all of it or nothing, and letting it grow."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from titan.fsm import jobs
from titan.fsm.commands import AddJobs, SubmitRun
from titan.fsm.declare import make_jobs
from titan.fsm.events import JobChanged, RunSubmitted
from titan.fsm.graph import why_not_graph
from titan.fsm.handling import Stamp, Turn, handles
from titan.fsm.outcomes import Applied, Outcome, Rejected
from titan.fsm.stages import gather
from titan.fsm.standing import is_over
from titan.fsm.state import Job, JobState, Run, RunState, State
from titan.ids import JobId, is_digest
from titan.limits import JOB_SPEC_BYTES_MAX, JOBS_PER_RUN_MAX, NAME_CHARS_MAX


@handles(SubmitRun)
def submit_run(state: State, cmd: SubmitRun, at: Stamp) -> Outcome:
    """Create a run. Answers its id, also when it exists already: a repeat has no effect."""
    if cmd.run in state.runs:
        return Applied(cmd.run)
    refusal = _why_not(cmd)
    if refusal is not None:
        return refusal
    staged = gather(state, run=cmd.run, parts=cmd.parts)
    if isinstance(staged, Rejected):
        return staged
    made = make_jobs(cmd.jobs)
    if isinstance(made, Rejected):
        return made
    new = [*staged, *made]
    if not new:
        return Rejected("invalid", "a run has at least one job")
    refusal = why_not_graph(new, known={})
    if refusal is not None:
        return refusal
    turn = Turn(state, at)
    state.stages.pop(cmd.run, None)
    run = Run(
        id=cmd.run,
        name=cmd.name,
        created_ms=at.now_ms,
        jobs={},
        bundle=cmd.bundle,
        parameters=cmd.parameters,
        agent_run_id=cmd.agent_run_id,
        owner=cmd.owner,
    )
    state.runs[cmd.run] = run
    turn.events.append(RunSubmitted(cmd.run))
    _insert(turn, run, new)
    jobs.place(turn, run, [job for job in new if not job.parents])  # all others have to wait
    jobs.refresh_run(turn, run)
    return turn.done(cmd.run)


def _why_not(cmd: SubmitRun) -> Rejected | None:
    if not cmd.run or len(cmd.run) > NAME_CHARS_MAX:
        return Rejected("invalid", f"a run id has 1 to {NAME_CHARS_MAX} characters")
    for field, text in (
        ("name", cmd.name),
        ("agent_run_id", cmd.agent_run_id),
        ("owner", cmd.owner),
    ):
        if len(text) > NAME_CHARS_MAX:
            return Rejected("too_large", f"{field} has at most {NAME_CHARS_MAX} characters")
    if cmd.bundle and not is_digest(cmd.bundle):
        return Rejected("invalid", "bundle is a SHA-256 in hex")
    if not 0 <= cmd.parts <= JOBS_PER_RUN_MAX:
        return Rejected("invalid", f"parts is 0 to {JOBS_PER_RUN_MAX}")
    if len(msgspec.msgpack.encode(cmd.parameters)) > JOB_SPEC_BYTES_MAX:
        return Rejected("too_large", f"parameters have at most {JOB_SPEC_BYTES_MAX} bytes")
    return None


@handles(AddJobs)
def add_jobs(state: State, cmd: AddJobs, at: Stamp) -> Outcome:
    """Let a run grow. A run that is over becomes live again. Answers how many jobs were added."""
    run = state.runs.get(cmd.run)
    if run is None:
        return Rejected("unknown_run", f"there is no run {cmd.run}")
    if is_over(run) and (run.cancelled or run.state is RunState.CANCELLED):
        return Rejected("run_over", f"run {cmd.run} was cancelled")
    if not cmd.jobs:
        return Applied(0)
    new = make_jobs(cmd.jobs)
    if isinstance(new, Rejected):
        return new
    refusal = why_not_graph(new, known=run.jobs)
    if refusal is not None:
        return refusal
    turn = Turn(state, at)
    _insert(turn, run, new)
    turn.events.extend(JobChanged(run.id, job.id, job.state) for job in new)
    jobs.place(turn, run, new)
    jobs.refresh_run(turn, run)
    return turn.done(len(new))


def _insert(turn: Turn, run: Run, new: Sequence[Job]) -> None:
    """Add checked jobs with their edges; they wait for those parents that have not ended."""
    state = turn.state
    for job in new:
        job.seq = state.next_job_seq
        state.next_job_seq += 1
        job.demand = state.intern_demand(job.demand)
        run.jobs[job.id] = job
    shared: dict[tuple[JobId, ...], tuple[JobId, ...]] = {}
    for job in new:
        if job.parents:
            _connect(run, job, shared=shared)
    run.counts[JobState.PENDING] = run.counts.get(JobState.PENDING, 0) + len(new)
    run.revision = turn.at.index


def _connect(run: Run, job: Job, *, shared: dict[tuple[JobId, ...], tuple[JobId, ...]]) -> None:
    """Tie a job to its parents. Names are their own strings and equal tuples are one, to save memory."""
    above = [run.jobs[name] for name in dict.fromkeys(job.parents)]
    parents = tuple([parent.id for parent in above])
    job.parents = shared.setdefault(parents, parents)
    for parent in above:
        jobs.link(parent, child=job.id)
    job.waiting_for = jobs.waiting_for(run, job)
