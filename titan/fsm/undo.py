"""The opposite of a revision of a run, as edits of a draft. What has begun to run cannot be taken back.

Undoing is a revision of its own, so the history only grows. Read `edits.py` first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from titan.fsm.outcomes import Rejected
from titan.fsm.policy import decode_spec
from titan.fsm.records.revisions import Changed, Revision
from titan.fsm.state import Job, JobState
from titan.ids import JobId

if TYPE_CHECKING:
    from titan.fsm.edits import Draft


def undo(draft: Draft, revision: Revision) -> Rejected | None:
    """The opposite of a revision, where there is one."""
    what = f"revision {revision.number} cannot be undone"
    if revision.reruns or revision.restarted:
        return Rejected("cannot_undo", f"{what}: jobs run again because of it; cancel them instead")
    if revision.removed:
        return Rejected("cannot_undo", f"{what}: add the jobs again instead")
    draft.undone = revision.number
    for changed in revision.changed:
        refusal = _change_back(draft, changed, what=what)
        if refusal is not None:
            return refusal
    for name in (*revision.skipped, *revision.cancelled):
        job = draft.run.jobs[name]
        if not job.state.is_over:
            return Rejected("cannot_undo", f"{what}: job '{name}' is {job.state.value} again")
        draft.decide(job, "rerun")
    return _take_back(draft, revision, what=what)


def _change_back(draft: Draft, changed: Changed, *, what: str) -> Rejected | None:
    job = draft.run.jobs[changed.job]
    if job.state is not JobState.PENDING:
        return Rejected("cannot_undo", f"{what}: job '{job.id}' is {job.state.value}")
    spec = decode_spec(job)
    for name, value in changed.after.given().items():
        if getattr(spec, name) != value:
            return Rejected("cannot_undo", f"{what}: {name} of '{job.id}' has changed since")
    return draft.change(job, changed.before)


def _take_back(draft: Draft, revision: Revision, *, what: str) -> Rejected | None:
    """Added jobs that have not begun will never run. They stay visible, since others may know them."""
    first, last = revision.first_added, revision.first_added + revision.added
    added: dict[JobId, Job] = {}
    for job in reversed(draft.run.jobs.values()):
        if job.seq < first or not revision.added:
            break
        if job.seq < last:
            added[job.id] = job
    for job in added.values():
        if job.attempts or job.state not in (JobState.PENDING, JobState.SKIPPED):
            return Rejected("cannot_undo", f"{what}: job '{job.id}' has started")
        for name in job.children:
            child = draft.run.jobs[name]
            if name not in added and not child.state.is_over and job.id in draft.parents_of(child):
                why = f"{what}: job '{name}' depends on '{job.id}', which it added"
                return Rejected("cannot_undo", why)
        if not job.state.is_over:
            draft.decide(job, "remove")
    return None
