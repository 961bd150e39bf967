"""What people see of a run's graph and of its changes, now and at an earlier revision; of dead letters too.

An earlier graph is found by going back: without the jobs that were added since, with the fields as they
were before they changed. States are always those of now.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

import msgspec

from titan.errors import NotFound
from titan.fsm import dead, revisions
from titan.fsm.commands.mutation import Fields
from titan.fsm.policy import decode_spec
from titan.fsm.queries.graph import (
    CountDead,
    DeadView,
    GetGraph,
    GraphView,
    ListDead,
    ListRevisions,
    RevisionView,
    VertexView,
)
from titan.fsm.reasons import Reasons
from titan.fsm.records.revisions import Changed, Revision
from titan.fsm.state import Job, Run, State
from titan.ids import JobId, RunId
from titan.limits import LIST_PAGE_MAX

_VALUE_CHARS_SHOWN = 60


def page(limit: int) -> int:
    """How many rows one answer has."""
    return max(1, min(limit, LIST_PAGE_MAX))


# --- the graph ------------------------------------------------------------------------------------


def graph(state: State, query: GetGraph) -> GraphView:
    """A page of the graph as it is or was."""
    run = _run(state, query.run)
    known = revisions.of(state, run.id)
    first = known[0].before if known else run.revision
    at = query.at or run.revision
    if not first <= at <= run.revision:
        why = f"run {run.id} is known from revision {first} to {run.revision}, not at {at}"
        raise NotFound(why)
    later = [revision for revision in known if revision.number > at]
    last = run.jobs.get(JobId(query.after))
    if query.after and last is None:
        raise NotFound(f"run {run.id} has no job '{query.after}'")
    seq = 0 if last is None else last.seq
    before = _before(later)
    reasons = Reasons(state)
    jobs = (
        job
        for job in run.jobs.values()
        if job.seq > seq and not any(_added(revision, job) for revision in later)
    )
    vertices = [
        _vertex(run, job, before.get(job.id, {}), reasons=reasons)
        for job in islice(jobs, page(query.limit))
    ]
    number = max([first, *(each.number for each in known if each.number <= at)])
    return GraphView(run=run.id, revision=number, jobs=vertices)


def _run(state: State, run_id: RunId) -> Run:
    run = state.runs.get(run_id)
    if run is None:
        raise NotFound(f"there is no run {run_id}")
    return run


def _added(revision: Revision, job: Job) -> bool:
    return 0 <= job.seq - revision.first_added < revision.added


def _before(later: list[Revision]) -> dict[JobId, dict[str, Any]]:
    """Job → its fields before all of these changes, oldest first."""
    before: dict[JobId, dict[str, Any]] = {}
    for revision in reversed(later):
        for changed in revision.changed:
            before.setdefault(changed.job, {}).update(changed.before.given())
    return before


def _vertex(run: Run, job: Job, before: dict[str, Any], *, reasons: Reasons) -> VertexView:
    spec = decode_spec(job)
    fields = {name: getattr(spec, name) for name in Fields.__struct_fields__}
    return VertexView(
        id=job.id,
        state=job.state.value,
        reason=reasons.of(run, job),
        trigger=job.trigger,
        fields=Fields(**{**fields, **before}),
    )


# --- its changes ----------------------------------------------------------------------------------


def history(state: State, query: ListRevisions) -> list[RevisionView]:
    """Newest first."""
    run = _run(state, query.run)
    newest_first = reversed(revisions.of(state, run.id))
    return [_view(run, revision) for revision in islice(newest_first, page(query.limit))]


def _view(run: Run, revision: Revision) -> RevisionView:
    return RevisionView(
        revision=revision.number,
        at_ms=revision.at_ms,
        by=revision.by,
        note=revision.note,
        edits=list(_edits(run, revision)),
    )


def _edits(run: Run, revision: Revision) -> Iterator[str]:
    if revision.undone:
        yield f"undid revision {revision.undone}"
    if revision.added:
        names = [job.id for job in run.jobs.values() if _added(revision, job)]
        yield f"added {_listed(names)}"
    if revision.removed:
        yield f"took back {revision.removed} added jobs"
    for changed in revision.changed:
        yield from _changes(changed)
    for done, those in (
        ("skipped", revision.skipped),
        ("cancelled", revision.cancelled),
        ("restarted", revision.restarted),
    ):
        if those:
            yield f"{done} {_listed(those)}"
    if revision.reruns:
        yield f"ran again {_listed(revision.rerun, revision.reruns)}"


def _changes(changed: Changed) -> Iterator[str]:
    before = changed.before.given()
    for name, value in changed.after.given().items():
        yield f"{changed.job}: {name} {_short(before.get(name))} → {_short(value)}"


def _short(value: Any) -> str:
    """A value in one short piece, for people."""
    if isinstance(value, tuple):
        words = [
            each.decode(errors="replace") if isinstance(each, bytes) else each for each in value
        ]
        text = ", ".join(words) or "none"
    else:
        text = msgspec.json.encode(value).decode()
    return text if len(text) <= _VALUE_CHARS_SHOWN else f"{text[:_VALUE_CHARS_SHOWN]}…"


def _listed(names: Any, total: int = 0) -> str:
    shown = list(names)[:5]
    more = (total or len(names)) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more > 0 else "")


# --- dead letters ---------------------------------------------------------------------------------


def dead_letters(state: State, query: ListDead) -> list[DeadView]:
    """The queue, the job that died last first."""
    letters = dead.newest_first(state)
    if query.after:
        letters = _after(letters, query.after)
    wanted = (_letter(run, job) for run, job in letters if _is_wanted(query, run, job))
    return list(islice(wanted, page(query.limit)))


def _after(letters: Iterator[tuple[Run, Job]], last: str) -> Iterator[tuple[Run, Job]]:
    for run, job in letters:
        if f"{run.id}/{job.id}" == last:
            return letters
    raise NotFound(f"'{last}' is not in the dead-letter queue any more; begin again")


def count_dead(state: State, query: CountDead) -> int:
    """How many letters the filters let through."""
    return sum(_is_wanted(query, run, job) for run, job in dead.newest_first(state))


def _is_wanted(query: ListDead | CountDead, run: Run, job: Job) -> bool:
    return (
        (not query.run or run.id == query.run)
        and (not query.name or run.name == query.name)
        and job.ended_ms >= query.since_ms
        and query.reason in job.reason
        and (not query.text or _names(run, job, query.text.lower()))
    )


def _names(run: Run, job: Job, text: str) -> bool:
    return any(text in name.lower() for name in (run.name, run.pipeline, job.id, run.id))


def _letter(run: Run, job: Job) -> DeadView:
    return DeadView(
        run=run.id,
        name=run.name,
        job=job.id,
        reason=job.reason,
        exit_code=job.exit_code,
        attempts=job.attempts,
        worker=job.worker,
        died_ms=job.ended_ms,
        pipeline=run.pipeline,
    )
