"""Which version of a service counts, when one of the two ends. Changes no job but by timers, so that the
life of jobs can call it. Beginning and finishing a replacement: `services.py`.
"""

from __future__ import annotations

from titan.fsm import timers
from titan.fsm.handling import Turn
from titan.fsm.records.services import Deployment
from titan.fsm.state import Job, JobState, Run, State
from titan.ids import JobId, RunId


def is_candidate(state: State, run: Run, job: Job) -> bool:
    """Whether the service is to replace another version, or to become the first, once it is healthy."""
    known = state.services.get(job.id)
    return known is not None and known.candidate == run.id


def who_stays(state: State, run: Run, job: Job) -> str:
    """What to add to the reason why a candidate failed: which version goes on, if there is one."""
    known = state.services.get(job.id)
    if known is None or known.candidate != run.id or not known.current:
        return ""
    return f"; the version of run {known.current} stays"


def follow_ends(turn: Turn, run: Run) -> None:
    """Services of the run may have ended: the names forget them, and a version that made room for one
    that came to nothing comes back."""
    if not turn.state.services:
        return
    for name in run.services:
        known = turn.state.services.get(name)
        if known is None or not run.jobs[name].state.is_over:
            continue
        if known.candidate == run.id:
            _bring_back(turn, known)
            known.candidate, known.deadline_ms = RunId(""), 0
        if known.current == run.id:
            known.current = RunId("")
        if not known.current and not known.candidate:
            del turn.state.services[name]


def held_until_ms(known: Deployment) -> int:
    """Until when the version before waits that made room: just after the candidate's time is up."""
    return known.deadline_ms + 1


def _bring_back(turn: Turn, known: Deployment) -> None:
    state = turn.state
    job = state.job(known.current, JobId(known.name)) if known.current else None
    if job is None or job.state is not JobState.PENDING:
        return
    if job.not_before_ms == held_until_ms(known):
        job.not_before_ms = turn.at.now_ms + 1
        timers.set_timer(state, timers.JOB, known.current, job.id, due_ms=job.not_before_ms)
