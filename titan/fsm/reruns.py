"""Running a job that ended again, and with it what ended because of it. History is kept."""

from __future__ import annotations

from collections import deque

from titan.fsm import jobs
from titan.fsm.commands import RetryJob
from titan.fsm.handling import Stamp, Turn, handles
from titan.fsm.outcomes import Outcome, Rejected
from titan.fsm.state import Job, JobState, Run, State
from titan.fsm.triggers import Verdict, assess, why_never
from titan.ids import JobId


@handles(RetryJob)
def retry_job(state: State, cmd: RetryJob, at: Stamp) -> Outcome:
    """Reopen a job and its descendants that ended because of it. Answers how many jobs that are."""
    run = state.runs.get(cmd.run)
    if run is None:
        return Rejected("unknown_run", f"there is no run {cmd.run}")
    job = run.jobs.get(cmd.job)
    if job is None:
        return Rejected("unknown_job", f"run {cmd.run} has no job '{cmd.job}'")
    if not job.state.is_over:
        return Rejected("not_over", f"job '{cmd.job}' has not ended")
    culprit = assess(run, job).culprit
    if culprit is not None:
        why = f"job '{cmd.job}' could not start: {why_never(job, culprit)}; retry that one"
        return Rejected("not_ready", why)
    turn = Turn(state, at)
    reopened = _because_of(run, job)
    for each in reopened:
        jobs.reopen(turn, run, each)
    _recount(turn, run, reopened)
    jobs.place(turn, run, reopened)
    run.cancelled = False
    run.revision = at.index
    jobs.refresh_run(turn, run)
    return turn.done(len(reopened))


def _because_of(run: Run, root: Job) -> list[Job]:
    """The job and those descendants that ended badly and could start if it went well this time.

    A descendant stays as it is when another parent, one that is not reopened, rules it out as well.
    """
    reopened: dict[JobId, Job] = {}
    for job in _bad_descendants_in_order(run, root):
        if job is root or assess(run, job, as_pending=reopened).verdict is not Verdict.NEVER:
            reopened[job.id] = job
    return list(reopened.values())


def _bad_descendants_in_order(run: Run, root: Job) -> list[Job]:
    """The job, then its descendants that did not complete, parents before children (Kahn 1962)."""
    above: dict[JobId, int] = {root.id: 0}  # edges from other found jobs
    queue = deque([root])
    while queue:
        for child in _bad_children(run, queue.popleft()):
            if child.id not in above:
                above[child.id] = 0
                queue.append(child)
            above[child.id] += 1
    order: list[Job] = []
    queue = deque([root])
    while queue:
        job = queue.popleft()
        order.append(job)
        for child in _bad_children(run, job):
            above[child.id] -= 1
            if not above[child.id]:
                queue.append(child)
    return order


def _bad_children(run: Run, job: Job) -> list[Job]:
    children = [run.jobs[name] for name in job.children]
    return [
        child for child in children if child.state.is_over and child.state is not JobState.COMPLETED
    ]


def _recount(turn: Turn, run: Run, reopened: list[Job]) -> None:
    """Children of reopened jobs wait for them again; one that was about to start is withdrawn."""
    for job in reopened:
        job.waiting_for = jobs.waiting_for(run, job)
    seen = {job.id for job in reopened}
    for job in reopened:
        for name in job.children:
            if name not in seen:
                seen.add(name)
                _wait_again(turn, run, run.jobs[name])


def _wait_again(turn: Turn, run: Run, child: Job) -> None:
    waiting = jobs.waiting_for(run, child)
    if waiting and child.state is JobState.PENDING and not child.waiting_for:
        jobs.withdraw(turn, run, child)
    child.waiting_for = waiting
