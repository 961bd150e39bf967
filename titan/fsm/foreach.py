"""A foreach job: one instance per element of a list, and the job itself is where they join.

Nothing runs for the job itself. Once its trigger holds and `when` lets it, the list is decided, once and
for all. Instances named `<id>.0`, `<id>.1`, … join the run in pieces that one entry can afford, with the
parents of the job; they start as they come. With the last of them the job waits for all of them
(`all_done`) instead, and then ends as they did. Each step is an answer of `conditions.py`, to a question
that is asked at a settled run only, as jobs are added. The revision of the run stays what it was: nobody
changed what was declared.
"""

from __future__ import annotations

from typing import Any

import msgspec

from titan import limits
from titan.fsm import budgets, jobs
from titan.fsm.declare import make_jobs
from titan.fsm.events import JobChanged
from titan.fsm.growth import grow
from titan.fsm.handling import Turn
from titan.fsm.outcomes import Rejected
from titan.fsm.policy import decode_spec, encode_spec
from titan.fsm.records.foreach import Expansion, instance_id
from titan.fsm.state import Job, JobState, Run
from titan.fsm.triggers import assess, why_never
from titan.ids import JobId, is_job_id
from titan.limits import (
    FOREACH_EDGES_MAX,
    FOREACH_INSTANCES_MAX,
    JOB_SPEC_BYTES_MAX,
    OUTPUT_BYTES_MAX,
)
from titan.spec.conditions import ITEM, ITEM_INDEX, asks_each
from titan.spec.json_text import as_json
from titan.spec.model import JobSpec
from titan.spec.operations import ExpressionError

_STEPS_EACH = 4  # what making an instance takes besides its edges, in edges
_ENVELOPE_BYTES = 256  # names around an element in the declaration of its instance
_BAD = (JobState.FAILED, JobState.DEAD, JobState.CANCELLED)

# --- who they are ---------------------------------------------------------------------------------


def instances(run: Run, job: JobId) -> list[JobId]:
    """The instances that there are of a job, in order; none when it is no foreach job."""
    known = run.foreach.get(job)
    return [instance_id(job, place) for place in range(known.made)] if known else []


def to_retry(run: Run, job: Job) -> list[JobId]:
    """Those that a retry of the job runs again."""
    return [name for name in instances(run, job.id) if run.jobs[name].state in _BAD]


def with_item_of(spec: JobSpec, job: Job) -> JobSpec:
    """A declaration whose environment was changed, with the element that the instance is for."""
    if not spec.instance_of:
        return spec
    known = decode_spec(job).env
    own = {name: known[name] for name in (ITEM, ITEM_INDEX) if name in known}
    return msgspec.structs.replace(spec, env={**spec.env, **own})


# --- the list -------------------------------------------------------------------------------------


def decide(turn: Turn, run: Run, job: Job, spec: JobSpec, found: Any) -> None:
    """Take the list. Raises `ExpressionError` when there cannot be an instance for each element."""
    if not isinstance(found, list):
        raise ExpressionError(f"foreach: {spec.foreach} is no list")
    elements = tuple([msgspec.json.encode(each) for each in found])
    why = _why_not(run, job, spec, elements)
    refusal = budgets.why_not_more(turn.state, run, jobs=len(elements))
    if refusal is not None:
        why = why or refusal.why
    if why:
        raise ExpressionError(f"foreach: {why}")
    run.foreach[job.id] = Expansion(len(elements), elements)


def _why_not(run: Run, job: Job, spec: JobSpec, elements: tuple[bytes, ...]) -> str:
    count = len(elements)
    if count > FOREACH_INSTANCES_MAX:
        return f"{count} elements; at most {FOREACH_INSTANCES_MAX}"
    total = len(run.jobs) + count
    if total > limits.JOBS_PER_RUN_MAX:
        return f"{total} jobs with its instances; a run has at most {limits.JOBS_PER_RUN_MAX}"
    if count * len(job.parents) > FOREACH_EDGES_MAX:
        return f"{count} elements and {len(job.parents)} parents: put a joining job between"
    room = JOB_SPEC_BYTES_MAX - len(encode_spec(_template(job, spec))) - _ENVELOPE_BYTES
    for place, element in enumerate(elements):
        name = instance_id(job.id, place)
        if len(element) > room:
            return f"element {place} takes {len(element)} bytes; put data into a file"
        if name in run.jobs:
            return f"the id '{name}' of an instance is taken"
        if not is_job_id(name):
            return f"'{name}' is no job id: the id of the job is too long"
    return ""


# --- its instances --------------------------------------------------------------------------------


def go_on(turn: Turn, run: Run, job: Job, spec: JobSpec) -> None:
    """The next piece: some more instances, the tie to all of them, or the end of the job."""
    known = run.foreach[job.id]
    if known.elements:
        _make_some(turn, run, job, spec, known)
    elif known.count and not _is_tied(job, known):
        _tie(turn, run, job, known)
    else:
        _join(turn, run, job, spec, known)


def _template(job: Job, spec: JobSpec) -> JobSpec:
    return msgspec.structs.replace(
        spec,
        depends_on=job.parents,
        when=spec.when if asks_each(spec) else "",
        foreach="",
        foreach_items=b"",
        instance_of=job.id,
    )


def _make_some(turn: Turn, run: Run, job: Job, spec: JobSpec, known: Expansion) -> None:
    budget, steps = turn.at.budget, _STEPS_EACH + len(job.parents)
    many = max(1, min(limits.FOREACH_PER_ENTRY, budget.allowance // steps))
    template, first = _template(job, spec), known.made
    specs = [
        msgspec.structs.replace(
            template,
            id=instance_id(job.id, place),
            env={**template.env, ITEM: element.decode(), ITEM_INDEX: str(place)},
        )
        for place, element in enumerate(known.elements[:many], start=first)
    ]
    made = make_jobs(specs)
    if isinstance(made, Rejected):  # their ids and sizes are known to be right
        raise ExpressionError(f"foreach: {made.why}")
    run.foreach[job.id] = Expansion(known.count, known.elements[many:])
    grow(turn.state, run, made)
    budget.left -= steps * len(made)
    turn.events.extend(JobChanged(run.id, one.id, one.state) for one in made)
    jobs.place(turn, run, made)
    jobs.ask_soon(turn, run, job)


def _is_tied(job: Job, known: Expansion) -> bool:
    return job.parents[-1:] == (instance_id(job.id, known.count - 1),)


def _tie(turn: Turn, run: Run, job: Job, known: Expansion) -> None:
    """All instances are there: from now on the job waits for the last of them to end."""
    names = tuple([run.jobs[name].id for name in instances(run, job.id)])
    job.parents = (*job.parents, *names)
    job.trigger = "all_done"
    for name in names:
        jobs.link_in_order(run, run.jobs[name], child=job)
    job.waiting_for = jobs.waiting_for(run, job)
    turn.at.budget.left -= known.count
    if not job.waiting_for:
        jobs.ask_soon(turn, run, job)


# --- where they join ------------------------------------------------------------------------------


def _join(turn: Turn, run: Run, job: Job, spec: JobSpec, known: Expansion) -> None:
    """All have ended: so does the job."""
    above = job.parents[: len(job.parents) - known.count]
    declared = msgspec.structs.replace(job, parents=above, trigger=spec.trigger)
    culprit = assess(run, declared).culprit  # one that was retried meanwhile
    to, reason = _end_of(run, job, known)
    if culprit is not None:
        to, reason = JobState.SKIPPED, why_never(declared, culprit)
    elif to is JobState.COMPLETED:
        job.output, reason = _outputs(run, job)
    jobs.end(turn, run, job, to=to, reason=reason)
    jobs.settle(turn, run, [job])


def _end_of(run: Run, job: Job, known: Expansion) -> tuple[JobState, str]:
    bad = to_retry(run, job)
    failed = [name for name in bad if run.jobs[name].state is not JobState.CANCELLED]
    if not bad:
        return JobState.COMPLETED, ""
    worst = failed or bad
    to = JobState.FAILED if failed else JobState.CANCELLED
    first = run.jobs[worst[0]]
    why = f"{len(worst)} of {known.count} instances did not complete"
    return to, f"{why}; the first, '{first.id}', is {first.state.value}"


def _outputs(run: Run, job: Job) -> tuple[bytes, str]:
    """The outputs of all instances as a JSON list, in order; null for one that has none."""
    parts: list[bytes] = []
    size = 2
    for name in instances(run, job.id):
        output = run.jobs[name].output
        parts.append(as_json(output) if output else b"null")
        size += len(parts[-1]) + 1
        if size > OUTPUT_BYTES_MAX:
            return (
                b"",
                f"has no output: those of its instances take more than {OUTPUT_BYTES_MAX} bytes",
            )
    return b"[" + b",".join(parts) + b"]", ""
