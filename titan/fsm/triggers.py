"""The five trigger rules: given its parents, may a job start, must it wait, or can it never start.

Pure questions about a run. `jobs.py` acts on the answers.
"""

from __future__ import annotations

import enum
from collections.abc import Container

from titan.fsm.state import Job, JobState, Run
from titan.ids import JobId


class Verdict(enum.Enum):
    """What a trigger says about a job."""

    HOLDS = "holds"
    WAITS = "waits"
    NEVER = "never"


def as_parent(run: Run, job: Job) -> JobState:
    """The state of a job as its children see it: a service that was healthy once counts as COMPLETED."""
    if run.services and has_settled(run, job):
        return JobState.COMPLETED
    return job.state


def has_settled(run: Run, job: Job) -> bool:
    """Whether the job's children were told before it has ended."""
    service = run.services.get(job.id)
    return service is not None and service.released


_FAILURES = (JobState.FAILED, JobState.DEAD)


def fires_early(trigger: str, state: JobState) -> bool:
    """Whether one parent in `state` is enough, whatever the other parents do."""
    if trigger == "any_success":
        return state is JobState.COMPLETED
    return trigger == "any_failed" and state in _FAILURES


def is_ruled_out(trigger: str, state: JobState) -> bool:
    """Whether one parent that ended in `state` is enough to know that the trigger cannot hold."""
    if trigger == "all_success":
        return state is not JobState.COMPLETED
    return trigger == "none_failed" and state in _FAILURES


def verdict_at_end(trigger: str, parent: JobState, *, still_waiting: int) -> Verdict:
    """What the trigger of an undecided job says when one more parent has ended in state `parent`.

    `still_waiting` is the number of its parents that have not ended. A job is undecided only while no
    earlier parent decided its trigger, so the parents before need not be looked at again.
    """
    if fires_early(trigger, parent):
        return Verdict.HOLDS
    if is_ruled_out(trigger, parent):
        return Verdict.NEVER
    if still_waiting:
        return Verdict.WAITS
    return Verdict.NEVER if trigger in ("any_success", "any_failed") else Verdict.HOLDS


class Assessment:
    """A job's trigger assessed from scratch: the verdict, how many parents it waits for, and the
    parent that settled it when the verdict is NEVER."""

    __slots__ = ("culprit", "verdict", "waiting_for")

    def __init__(self, verdict: Verdict, waiting_for: int, culprit: Job | None = None) -> None:
        self.verdict = verdict
        self.waiting_for = waiting_for
        self.culprit = culprit


def assess(run: Run, job: Job, *, as_pending: Container[JobId] = ()) -> Assessment:
    """Assess a job from all of its parents; those in `as_pending` count as not ended."""
    waiting, culprit, last, early = 0, None, None, False
    for name in job.parents:
        parent = run.jobs[name]
        state = as_parent(run, parent)
        if not state.is_over or name in as_pending:
            waiting += 1
            continue
        last = parent
        early = early or fires_early(job.trigger, state)
        if culprit is None and is_ruled_out(job.trigger, state):
            culprit = parent
    if early:
        return Assessment(Verdict.HOLDS, 0)
    if culprit is None and not waiting and last and job.trigger in ("any_success", "any_failed"):
        culprit = last
    if culprit is not None:
        return Assessment(Verdict.NEVER, waiting, culprit)
    return Assessment(Verdict.WAITS if waiting else Verdict.HOLDS, waiting)


def why_never(job: Job, culprit: Job) -> str:
    """Why a job was skipped, naming the parent that decided it."""
    if job.trigger in ("any_success", "any_failed"):
        wanted = "completed" if job.trigger == "any_success" else "failed"
        return f"no parent {wanted}; the last, '{culprit.id}', is {culprit.state.value}"
    return f"parent '{culprit.id}' is {culprit.state.value}"
