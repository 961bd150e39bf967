"""Cancelling a run, or a job with all that depends on it. What is cancelled stays so until retried."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from titan.fsm import attempts, jobs
from titan.fsm.commands import CancelJob, CancelRun
from titan.fsm.handling import Stamp, Turn, handles
from titan.fsm.outcomes import Applied, Outcome, Rejected
from titan.fsm.state import Job, JobState, Run, State

_LIVE: Final = (JobState.PENDING, JobState.RUNNING, JobState.WAITING)


@handles(CancelRun)
def cancel_run(state: State, cmd: CancelRun, at: Stamp) -> Outcome:
    """Cancel what has not ended. Answers how many jobs that ended; 0 when the run was over."""
    run = state.runs.get(cmd.run)
    if run is None:
        return Rejected("unknown_run", f"there is no run {cmd.run}")
    doomed = [job for job in run.jobs.values() if job.state in _LIVE]
    if not doomed:
        return Applied(0)
    run.cancelled = True
    turn = Turn(state, at)
    _cancel(turn, run, doomed)
    for job in run.jobs.values():
        job.waiting_for = 0  # nobody is left to wait for: no need to go along the edges
    jobs.refresh_run(turn, run)
    return turn.done(len(doomed))


@handles(CancelJob)
def cancel_job(state: State, cmd: CancelJob, at: Stamp) -> Outcome:
    """Cancel a job and what depends on it. Answers how many jobs that ended; 0 when it was over."""
    run = state.runs.get(cmd.run)
    if run is None:
        return Rejected("unknown_run", f"there is no run {cmd.run}")
    job = run.jobs.get(cmd.job)
    if job is None:
        return Rejected("unknown_job", f"run {cmd.run} has no job '{cmd.job}'")
    if job.state.is_over:
        return Applied(0)
    turn = Turn(state, at)
    doomed = _with_descendants(run, job)
    _cancel(turn, run, doomed)
    _wait_no_longer(run, doomed)
    jobs.refresh_run(turn, run)
    return turn.done(len(doomed))


def _with_descendants(run: Run, job: Job) -> list[Job]:
    """The job and every live descendant, nearest first. A job that has ended shields those behind it."""
    known = run.jobs
    seen = {job.id}
    found = [job]
    for each in found:  # grows on the way
        for name in each.children:
            if name not in seen:
                child = known[name]
                if child.state in _LIVE:
                    seen.add(name)
                    found.append(child)
    return found


def _wait_no_longer(run: Run, doomed: Sequence[Job]) -> None:
    """Settle the edges below. Whatever is behind them was cancelled too or had ended before."""
    known = run.jobs
    for job in doomed:
        for name in job.children:
            child = known[name]
            if child.waiting_for:
                child.waiting_for -= 1


def _cancel(turn: Turn, run: Run, doomed: Sequence[Job]) -> None:
    if JobState.RUNNING in run.counts:
        for job in doomed:
            if job.live:
                attempts.revoke(turn, turn.state.attempts[job.live], cause="cancelled")
    jobs.end_all(turn, run, doomed, to=JobState.CANCELLED, reason="cancelled")
