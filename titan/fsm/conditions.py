"""`when` and `foreach` meet what the jobs above put out.

A job that has something to ask is held for a moment once its trigger holds, as a gate is, and the timer of
that moment (`timers.ASK`) asks: so one entry asks no more than it can afford, and only at a settled run.
Only then does the job's delay begin. A retry that it makes by itself does not ask again; one that reopens
it does.

False skips the job, an expression without a value fails it, with the words of the language.
"""

from __future__ import annotations

from typing import Any

import msgspec

from titan.fsm import foreach, jobs
from titan.fsm.artifacts import large_output
from titan.fsm.handling import Turn
from titan.fsm.policy import decode_spec
from titan.fsm.state import Job, JobState, Run
from titan.fsm.triggers import as_parent
from titan.ids import JobId, RunId
from titan.limits import ERROR_TEXT_BYTES_MAX, EXPRESSION_DATA_BYTES_MAX
from titan.spec.conditions import ITEM, asks_each, is_foreach
from titan.spec.expressions import Expression, parse
from titan.spec.json_text import as_value
from titan.spec.model import JobSpec
from titan.spec.operations import ExpressionError


def ask(turn: Turn, key: tuple[str, ...]) -> None:
    """Nothing but an answer is missing: the job goes on, is skipped, or fails."""
    run = turn.state.runs[RunId(key[0])]
    job = run.jobs[JobId(key[1])]
    spec = decode_spec(job)
    jobs.withdraw(turn, run, job)
    try:
        _go_on(turn, run, job, spec)
    except ExpressionError as why:
        _end(turn, run, job, to=JobState.FAILED, reason=str(why))
    jobs.refresh_run(turn, run)


def _go_on(turn: Turn, run: Run, job: Job, spec: JobSpec) -> None:
    is_known = job.id in run.foreach  # then all has been asked
    asks_now = spec.when and not is_known and not asks_each(spec)
    if asks_now and not value(turn, run, spec, field="when"):
        _end(turn, run, job, to=JobState.SKIPPED, reason=f"when: {spec.when} is false")
        return
    if not is_foreach(spec):
        jobs.release(turn, run, job)
        return
    if not is_known:
        found = msgspec.json.decode(spec.foreach_items) if spec.foreach_items else None
        if spec.foreach:
            found = value(turn, run, spec, field="foreach")
        foreach.decide(turn, run, job, spec, found)
    foreach.go_on(turn, run, job, spec)


def _end(turn: Turn, run: Run, job: Job, *, to: JobState, reason: str) -> None:
    text = reason.encode()[:ERROR_TEXT_BYTES_MAX].decode(errors="ignore")
    jobs.end(turn, run, job, to=to, reason=text)
    jobs.settle(turn, run, [job])


def value(turn: Turn, run: Run, spec: JobSpec, *, field: str) -> Any:
    """What the expression in `field` comes to. Raises `ExpressionError` with the field before its words."""
    expression = parse(getattr(spec, field))
    try:
        return look_up(turn, run, spec, expression)
    except ExpressionError as why:
        raise ExpressionError(f"{field}: {why}") from None


def look_up(turn: Turn, run: Run, spec: JobSpec, expression: Expression) -> Any:
    """What an expression of this job comes to. Raises `ExpressionError`."""
    return expression.value(_data(turn, run, spec, expression))


def _data(turn: Turn, run: Run, spec: JobSpec, expression: Expression) -> dict[str, Any]:
    """What the expression may look at: only what it asks for is read."""
    asked = [run.jobs[JobId(name)] for name in expression.outputs]
    for job in asked:
        if large_output(turn.state, run, job) is not None:
            raise ExpressionError(f"the output of '{job.id}' is too large to be asked about")
    outputs = {job.id: job.output for job in asked}
    size = sum(map(len, outputs.values()))
    turn.at.budget.read_bytes += size
    if size > EXPRESSION_DATA_BYTES_MAX:
        raise ExpressionError(f"asks about more than {EXPRESSION_DATA_BYTES_MAX} bytes of outputs")
    data: dict[str, Any] = {
        "outputs": {name: as_value(output) for name, output in outputs.items()},
        "states": {name: _state(run, run.jobs[JobId(name)]) for name in expression.states},
        "params": run.parameters,
    }
    if spec.instance_of:
        data["item"] = as_value(spec.env.get(ITEM, "").encode())
    return data


def _state(run: Run, job: Job) -> str:
    """How the job stands, for whoever depends on it: one that used up its retries has failed, and a
    service that is healthy has completed."""
    state = as_parent(run, job)
    return JobState.FAILED.value if state is JobState.DEAD else state.value
