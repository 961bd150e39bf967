"""Sub-runs: a job of type `pipeline` is a run of its own, made of a saved pipeline.

The job starts it by itself, without a worker or a slot, is RUNNING while it lives, and ends as it does.
What ends or cancels the other side is left to an entry of its own (`kin.py`). A pipeline that runs itself
ends at `SUBRUN_DEPTH_MAX`, one that does so twice at `SUBRUNS_PER_RUN_MAX`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import msgspec

from titan.fsm import budgets, cancels, conditions, jobs, kin, pipelines, runs
from titan.fsm.handling import Turn
from titan.fsm.outcomes import Rejected
from titan.fsm.policy import decode_spec
from titan.fsm.state import Job, JobState, Run, RunState
from titan.ids import RunId
from titan.limits import (
    ERROR_TEXT_BYTES_MAX,
    OUTPUT_BYTES_MAX,
    SUBRUN_DEPTH_MAX,
    SUBRUNS_PER_RUN_MAX,
)
from titan.spec.json_text import as_json
from titan.spec.operations import ExpressionError
from titan.spec.templates import filled_in

_NAMES_SHOWN: Final = 4
_END: Final = {
    RunState.COMPLETED: JobState.COMPLETED,
    RunState.CANCELLED: JobState.CANCELLED,
}

# --- starting -------------------------------------------------------------------------------------


def start(turn: Turn, run: Run, job: Job) -> None:
    """The trigger holds and the delay is over: make the run, or fail the job with what is wrong."""
    why = _launch(turn, run, job)
    if why:
        job.not_before_ms = 0
        jobs.end(turn, run, job, to=JobState.FAILED, reason=_clip(why))
        jobs.settle(turn, run, [job])
    else:
        jobs.begin(turn, run, job)
    jobs.refresh_run(turn, run)


def _launch(turn: Turn, run: Run, job: Job) -> str:
    state, spec = turn.state, decode_spec(job)
    root = run.root if run.root in state.runs else run.id
    below = kin.subrun_id(run.id, job.id, job.attempts + 1)
    if run.depth >= SUBRUN_DEPTH_MAX:
        return f"runs are nested at most {SUBRUN_DEPTH_MAX} deep: {_path(turn, run, spec.pipeline)}"
    if len(state.families.get(root, ())) >= SUBRUNS_PER_RUN_MAX:
        return f"run {root} has {SUBRUNS_PER_RUN_MAX} sub-runs, which is as many as there may be"
    if below in state.runs:
        return f"the id of its run, {below}, is taken"
    version = pipelines.find_version(state, spec.pipeline, spec.pipeline_version)
    if isinstance(version, Rejected):
        return version.why
    try:
        values = filled_in(spec.parameters, lambda one: conditions.look_up(turn, run, spec, one))
    except ExpressionError as error:
        return f"with: {error}"
    made = pipelines.prepare(below, spec.pipeline, version, values)
    if isinstance(made, Rejected):
        return made.why
    above = budgets.inherited(state, agent=run.agent_run_id, parent=run)
    refusal = budgets.why_not_run(
        state, above, version.budget, run=below, jobs=len(last := made[1])
    )
    if refusal is not None:
        return refusal.why
    stage, last = made
    child = stage.run
    child.parent_run, child.parent_job = run.id, job.id
    child.root, child.depth = root, run.depth + 1
    child.agent_run_id, child.owner = run.agent_run_id, run.owner
    runs.launch(turn, stage, last, above=above, own=version.budget)
    state.families.setdefault(root, {})[below] = None
    return ""


def _path(turn: Turn, run: Run, last: str) -> str:
    """The names of the runs from the one above the lowest few down to the one that cannot be."""
    names = [last]
    above: Run | None = run
    while above is not None and len(names) <= _NAMES_SHOWN:
        names.append(above.name)
        above = turn.state.runs.get(above.parent_run)
    dots = ["…"] if above is not None else []
    return " → ".join([*dots, *reversed(names)])


# --- ending ---------------------------------------------------------------------------------------


def look_at_kin(turn: Turn, key: tuple[str, ...]) -> None:
    """A sub-run ended, or its parent's job was cancelled: bring both into agreement."""
    state = turn.state
    called = state.kin.pop(RunId(key[0]))
    child = state.runs.get(RunId(key[0]))
    if child is None:
        return
    if called.is_orphan:
        cancels.cancel_all(turn, child, reason=called.why)
        return
    run = state.runs.get(child.parent_run)
    job = None if run is None else run.jobs.get(child.parent_job)
    if run is None or job is None or not child.ended_ms or not _runs_for(child, run, job):
        return
    _end(turn, run, job, child)


def _runs_for(child: Run, run: Run, job: Job) -> bool:
    return job.state is JobState.RUNNING and kin.subrun_of(run, job) == child.id


def _end(turn: Turn, run: Run, job: Job, child: Run) -> None:
    to = _END.get(child.state, JobState.FAILED)
    output, left_out = outputs_of(child)
    reason = f"run {child.id} is {child.state.value}" if to is not JobState.COMPLETED else ""
    if to is JobState.COMPLETED:
        job.output = output
        if left_out:
            reason = f"outputs of {left_out} jobs are left out: more than {OUTPUT_BYTES_MAX} bytes"
    elif to is JobState.FAILED:
        reason = f"{reason}{_first_failure(child)}"
    jobs.end(turn, run, job, to=to, reason=_clip(reason))
    jobs.settle(turn, run, [job])
    jobs.refresh_run(turn, run)


def _first_failure(child: Run) -> str:
    for job in child.jobs.values():
        if job.state in (JobState.FAILED, JobState.DEAD):
            return f": job '{job.id}' {job.reason}" if job.reason else f": job '{job.id}'"
    return ""


# --- its output -----------------------------------------------------------------------------------


def outputs_of(run: Run) -> tuple[bytes, int]:
    """The outputs of the run's completed leaves by id, as JSON, and how many had no room."""
    parts: list[bytes] = []
    size, left_out = 2, 0
    for job in _leaves(run):
        part = msgspec.json.encode(job.id) + b":" + as_json(job.output)
        if size + len(part) + 1 > OUTPUT_BYTES_MAX:
            left_out += 1
        else:
            parts.append(part)
            size += len(part) + 1
    return b"{" + b",".join(parts) + b"}", left_out


def _leaves(run: Run) -> Iterator[Job]:
    return (
        job
        for job in run.jobs.values()
        if not job.children and job.output and job.state is JobState.COMPLETED
    )


def _clip(text: str) -> str:
    return text.encode()[:ERROR_TEXT_BYTES_MAX].decode(errors="ignore")
