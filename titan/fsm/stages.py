"""Submissions too large for one entry are built here part by part, so that no entry has much to do.

Owns the runs under construction. A part's parents stand in the same part or an earlier one, so a cycle
can only be inside a part. `runs.submit_run` takes a complete one over, and dropping it undoes it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from titan.fsm import references, timers
from titan.fsm.commands import StageJobs
from titan.fsm.declare import make_jobs
from titan.fsm.graph import why_not_graph
from titan.fsm.growth import grow
from titan.fsm.handling import Stamp, Turn, handles
from titan.fsm.outcomes import Applied, Outcome, Rejected
from titan.fsm.policy import asks_first, may_be_timed, policy_of
from titan.fsm.state import Job, Run, Stage, State, TimedRoot
from titan.fsm.unattended import asks_for_worker
from titan.ids import RunId
from titan.limits import JOBS_PER_RUN_MAX, STAGE_PARTS_AHEAD_MAX, STAGE_TTL_MS, STAGED_BYTES_MAX

_PART_BYTES: Final = 1024  # what a part costs besides its jobs, so that empty ones are not free
_JOB_BYTES: Final = 128  # what a job costs besides what its declaration says, roughly
_NOT_SO_FAR: Final = "which no part so far has: a parent comes in the same part or an earlier one"


@handles(StageJobs)
def stage_jobs(state: State, cmd: StageJobs, at: Stamp) -> Outcome:
    """Build in one part. The same part again, or one for a run that exists, has no effect.

    A part that comes a little before its turn is kept until then.
    """
    stage = state.stages.get(cmd.run) or new_stage(cmd.run)
    if cmd.run in state.runs or 0 <= cmd.part < stage.next_part or cmd.part in stage.ahead:
        return Applied()
    made = _why_not(stage, cmd) or make_jobs(cmd.jobs)
    if isinstance(made, Rejected):
        return made
    size = _PART_BYTES + sum(_size(job) for job in made)
    if size + state.staged_bytes > STAGED_BYTES_MAX:
        return Rejected("stage_full", "too many unfinished submissions; try again in a minute")
    if cmd.part == stage.next_part:
        refusal = why_not_part(stage, made)
        if refusal is not None:
            return refusal
    state.stages[cmd.run] = stage
    state.staged_bytes += size
    stage.size += size
    stage.expires_ms = at.now_ms + STAGE_TTL_MS
    timers.set_timer(state, timers.STAGE, cmd.run, due_ms=stage.expires_ms)
    stage.ahead[cmd.part] = made
    _build(state, stage)
    return Applied()


def new_stage(run: RunId) -> Stage:
    """A run of which nothing is there yet."""
    return Stage(run=Run(id=run, name="", created_ms=0, jobs={}))


def _why_not(stage: Stage, cmd: StageJobs) -> Rejected | None:
    if stage.refusal is not None:
        return Rejected(*stage.refusal)
    if not 0 <= cmd.part < JOBS_PER_RUN_MAX:
        return Rejected("invalid", f"parts are numbered 0 to {JOBS_PER_RUN_MAX - 1}")
    if cmd.part >= stage.next_part + STAGE_PARTS_AHEAD_MAX:
        why = f"part {stage.next_part} has to come before part {cmd.part}"
        return Rejected("stage_incomplete", why)
    return None


def why_not_part(stage: Stage, new: Sequence[Job]) -> Rejected | None:
    """Why these jobs cannot follow the parts that are built in."""
    if not stage.next_part:
        return why_not_graph(new, known={})
    return why_not_graph(new, known=stage.run.jobs, absent=_NOT_SO_FAR)


def _build(state: State, stage: Stage) -> None:
    """Build in what has its turn now. A part that turns out wrong ends the submission."""
    while (new := stage.ahead.get(stage.next_part)) is not None:
        refusal = why_not_part(stage, new)
        if refusal is not None:
            stage.refusal = (refusal.code, refusal.why)
            return
        del stage.ahead[stage.next_part]
        stage.next_part += 1
        build(state, stage, new)


def build(state: State, stage: Stage, new: Sequence[Job]) -> None:
    """Add checked jobs to the run under construction."""
    grow(state, stage.run, new)
    note_roots(stage, new)


def note_roots(stage: Stage, new: Sequence[Job]) -> None:
    """Remember which jobs can start when the run does, and which of them have to do with time."""
    for job in new:
        if job.parents:
            continue
        if asks_first(job):
            stage.timed.append(TimedRoot(job.id, 0, 0))
            continue
        if not asks_for_worker(job):
            stage.timed.append(TimedRoot(job.id, policy_of(job).delay_ms, 0))
            continue
        delay_ms = 0
        if may_be_timed(job):
            policy = policy_of(job)
            delay_ms = policy.delay_ms
            if delay_ms or policy.queue_timeout_ms:
                root = TimedRoot(job.id, delay_ms, policy.queue_timeout_ms)
                stage.timed.append(root)
        if not delay_ms:
            stage.roots.append(job.id)


def _size(job: Job) -> int:
    """What a staged job takes, in bytes; parents by their names alone."""
    return _JOB_BYTES + len(job.spec) + sum(map(len, job.parents))


def take(state: State, *, run: RunId, parts: int) -> Stage | Rejected:
    """The run under construction when exactly the parts 0 to `parts` - 1 are built in, or why not.

    It stays where it is until `drop`. Without parts a submission begins with nothing.
    """
    stage = state.stages.get(run)
    if not parts:
        return new_stage(run)
    if stage is not None and stage.refusal is not None:
        return Rejected(*stage.refusal)
    built = stage.next_part if stage is not None else 0
    if stage is None or built < parts:
        return Rejected("stage_incomplete", f"part {built} of {parts} is missing")
    if built > parts or stage.ahead:
        return Rejected("invalid", f"more than {parts} parts are staged")
    return stage


def drop(state: State, run: RunId) -> Stage | None:
    """Forget the run under construction, if there is one. The caller releases what it refers to."""
    stage = state.stages.pop(run, None)
    if stage is not None:
        state.staged_bytes -= stage.size
    return stage


def clear(turn: Turn, run: RunId, *, but: Stage | None = None) -> None:
    """Forget the run under construction with what it refers to, unless it is the one that goes on."""
    stage = drop(turn.state, run)
    if stage is not None and stage is not but:
        references.release(turn, references.of_jobs(stage.run.jobs.values()))
