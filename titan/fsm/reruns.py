"""Running a job that ended again, and with it what ended because of it. History is kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from titan.fsm import jobs
from titan.fsm.commands import RetryJob
from titan.fsm.handling import Stamp, Turn, handles
from titan.fsm.outcomes import Outcome, Rejected
from titan.fsm.state import Job, JobState, Run, State
from titan.fsm.triggers import Verdict, assess, why_never
from titan.ids import JobId

_BAD: Final = (JobState.SKIPPED, JobState.CANCELLED, JobState.FAILED, JobState.DEAD)


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
    reopened, free = _because_of(run, job)
    jobs.reopen_all(turn, run, reopened)
    _recount_others(turn, run, reopened)
    jobs.unblock_all(turn, run, free)
    run.cancelled = False
    run.revision = at.index
    jobs.refresh_run(turn, run)
    return turn.done(len(reopened))


def _because_of(run: Run, root: Job) -> tuple[list[Job], list[Job]]:
    """The job and those descendants that ended badly and could start if it went well this time, with
    `waiting_for` as it will be once they are reopened; and those of them that need not wait.

    A descendant stays as it is when another parent, one that is not reopened, rules it out as well.
    """
    reopened: dict[JobId, Job] = {}
    free: list[Job] = []
    for job in _bad_descendants_in_order(run, root):
        waiting = _parents_to_wait_for(run, job, reopened)
        if waiting is None:
            continue
        reopened[job.id] = job
        job.waiting_for = waiting
        if not waiting:
            free.append(job)
    return list(reopened.values()), free


def _parents_to_wait_for(run: Run, job: Job, reopened: Mapping[JobId, Job]) -> int | None:
    """How many parents the job would wait for; 0 when its trigger holds, None when it never can."""
    if job.trigger == "all_success":  # nearly all jobs, and there may be 100,000 of them
        waiting = 0
        for name in job.parents:
            if name in reopened:
                waiting += 1
                continue
            state = run.jobs[name].state
            if state is not JobState.COMPLETED:
                if state.is_over:
                    return None
                waiting += 1
        return waiting
    found = assess(run, job, as_pending=reopened)
    return None if found.verdict is Verdict.NEVER else found.waiting_for


def _bad_descendants_in_order(run: Run, root: Job) -> list[Job]:
    """The job, then its descendants that did not complete, parents before children (Kahn 1962)."""
    above: dict[JobId, int] = {root.id: 0}  # edges from other found jobs
    below: dict[JobId, list[Job]] = {}
    found = [root]
    for job in found:  # grows on the way
        if job.children:
            below[job.id] = children = _bad_children(run, job)
            for child in children:
                count = above.get(child.id, 0)
                above[child.id] = count + 1
                if not count:
                    found.append(child)
    order = [root]
    for job in order:
        for child in below.get(job.id, ()):
            count = above[child.id] = above[child.id] - 1
            if not count:
                order.append(child)
    return order


def _bad_children(run: Run, job: Job) -> list[Job]:
    known = run.jobs
    children = [known[name] for name in job.children]
    return [child for child in children if child.state in _BAD]


def _recount_others(turn: Turn, run: Run, reopened: Sequence[Job]) -> None:
    """The other children of reopened jobs wait for them again; one about to start is withdrawn."""
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
