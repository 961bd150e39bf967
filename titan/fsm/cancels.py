"""Cancelling a run, or a job with all that depends on it. What is cancelled stays so until retried."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from titan.fsm import attempts, jobs
from titan.fsm.commands import CancelJob, CancelRun
from titan.fsm.handling import Stamp, Turn, handles
from titan.fsm.outcomes import Applied, Outcome, Rejected
from titan.fsm.state import Job, JobState, Run, State


@handles(CancelRun)
def cancel_run(state: State, cmd: CancelRun, at: Stamp) -> Outcome:
    """Cancel what has not ended. Answers how many jobs that ended; 0 when the run was over."""
    run = state.runs.get(cmd.run)
    if run is None:
        return Rejected("unknown_run", f"there is no run {cmd.run}")
    doomed = [job for job in run.jobs.values() if not job.state.is_over]
    if not doomed:
        return Applied(0)
    run.cancelled = True
    return _cancel(Turn(state, at), run, doomed)


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
    return _cancel(Turn(state, at), run, _with_descendants(run, job))


def _with_descendants(run: Run, job: Job) -> list[Job]:
    """The job and every live descendant, nearest first. A job that has ended shields those behind it."""
    found = {job.id: job}
    queue = deque([job])
    while queue:
        for name in queue.popleft().children:
            child = run.jobs[name]
            if name not in found and not child.state.is_over:
                found[name] = child
                queue.append(child)
    return list(found.values())


def _cancel(turn: Turn, run: Run, doomed: Iterable[Job]) -> Outcome:
    ended = []
    for job in doomed:
        if job.live:
            attempts.revoke(turn, turn.state.attempts[job.live], cause="cancelled")
        else:
            jobs.withdraw(turn, run, job)
        jobs.end(turn, run, job, to=JobState.CANCELLED, reason="cancelled")
        ended.append(job)
    jobs.settle(turn, run, ended)
    jobs.refresh_run(turn, run)
    return turn.done(len(ended))
