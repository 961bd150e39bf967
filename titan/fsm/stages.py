"""Submissions too large for one entry wait here in parts, invisible, until the last one completes them."""

from __future__ import annotations

from typing import Final

from titan.fsm import timers
from titan.fsm.commands import StageJobs
from titan.fsm.declare import make_jobs
from titan.fsm.handling import Stamp, Turn, handles
from titan.fsm.outcomes import Applied, Outcome, Rejected
from titan.fsm.state import Job, Stage, State
from titan.ids import RunId
from titan.limits import JOBS_PER_RUN_MAX, STAGE_TTL_MS, STAGED_BYTES_MAX

_PART_BYTES: Final = 256  # what a part costs besides its jobs, so that empty ones are not free
_JOB_BYTES: Final = 128  # what a job costs besides what its declaration says, roughly


@handles(StageJobs)
def stage_jobs(state: State, cmd: StageJobs, at: Stamp) -> Outcome:
    """Keep one part for a while. The same part again, or one for a run that exists, has no effect."""
    stage = state.stages.get(cmd.run)
    if cmd.run in state.runs or (stage is not None and cmd.part in stage.parts):
        return Applied()
    if not 0 <= cmd.part < JOBS_PER_RUN_MAX:
        return Rejected("invalid", f"parts are numbered 0 to {JOBS_PER_RUN_MAX - 1}")
    made = make_jobs(cmd.jobs)
    if isinstance(made, Rejected):
        return made
    size = _PART_BYTES + sum(_size(job) for job in made)
    if size + sum(other.size for other in state.stages.values()) > STAGED_BYTES_MAX:
        return Rejected("stage_full", "too many unfinished submissions; try again in a minute")
    turn = Turn(state, at)
    if stage is None:
        stage = state.stages[cmd.run] = Stage()
    stage.parts[cmd.part] = made
    stage.size += size
    stage.expires_ms = at.now_ms + STAGE_TTL_MS
    timers.set_timer(state, timers.STAGE, cmd.run, due_ms=stage.expires_ms)
    return turn.done()


def _size(job: Job) -> int:
    """What a staged job takes, in bytes; parents by their names alone."""
    return _JOB_BYTES + len(job.spec) + sum(len(name) for name in job.parents)


def gather(state: State, *, run: RunId, parts: int) -> list[Job] | Rejected:
    """The jobs of parts 0 to `parts` - 1 in order, or why they are not all here."""
    stage = state.stages.get(run)
    found: list[Job] = []
    for part in range(parts):
        jobs = stage.parts.get(part) if stage is not None else None
        if jobs is None:
            return Rejected("stage_incomplete", f"part {part} of {parts} is missing")
        found.extend(jobs)
    return found
