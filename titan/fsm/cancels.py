"""Cancelling a run, or a job with all that depends on it. What is cancelled stays so until retried.

Either may reach further than one entry does: then it is an operation of its run (`settling.py`).
"""

from __future__ import annotations

from itertools import islice

from titan.fsm import attempts, foreach, jobs, kin, settling
from titan.fsm.alike import Endings
from titan.fsm.commands import CancelJob, CancelRun
from titan.fsm.handling import Stamp, Turn, handles
from titan.fsm.outcomes import Applied, Outcome, Rejected
from titan.fsm.records.unsettled import CancellingJob, CancellingRun
from titan.fsm.state import Job, JobState, Run, State
from titan.fsm.triggers import has_settled


@handles(CancelRun)
def cancel_run(state: State, cmd: CancelRun, at: Stamp) -> Outcome:
    """Cancel what has not ended. Answers how many jobs that ends; 0 when the run was over."""
    run = state.runs.get(cmd.run)
    if run is None:
        return Rejected("unknown_run", f"there is no run {cmd.run}")
    refusal = settling.why_not_now(state, run)
    if refusal is not None:
        return refusal
    turn = Turn(state, at)
    return turn.done(cancel_all(turn, run))


def cancel_all(turn: Turn, run: Run, *, reason: str = "cancelled") -> int:
    """Cancel what has not ended of a settled run; how many jobs that ends."""
    live = sum(count for each, count in run.counts.items() if not each.is_over)
    if not live:
        return 0
    run.cancelled = True
    work = CancellingRun(turn.at.now_ms, reason=reason)
    if not go_on_with_run(turn, run, work, steps=turn.at.budget.allowance):
        settling.keep_operation(turn, run, work)
    jobs.refresh_run(turn, run)
    return live


def go_on_with_run(turn: Turn, run: Run, work: CancellingRun, *, steps: int) -> bool:
    """Cancel the next jobs; whether that were all."""
    endings = _endings(turn, run, reason=work.reason)
    first = work.at
    work.at = min(len(run.jobs), first + steps)
    for job in islice(run.jobs.values(), first, work.at):
        if not job.state.is_over:
            _cancel(turn, run, job, endings)
        job.waiting_for = 0  # nobody is left to wait for: no need to go along the edges
    endings.done()
    turn.at.budget.left -= work.at - first
    return work.at == len(run.jobs)


@handles(CancelJob)
def cancel_job(state: State, cmd: CancelJob, at: Stamp) -> Outcome:
    """Cancel a job and what depends on it. Answers how many jobs that ended; 0 when it was over.

    Beyond what one entry reaches, the answer counts those that it reached.
    """
    run = state.runs.get(cmd.run)
    if run is None:
        return Rejected("unknown_run", f"there is no run {cmd.run}")
    job = run.jobs.get(cmd.job)
    if job is None:
        return Rejected("unknown_job", f"run {cmd.run} has no job '{cmd.job}'")
    refusal = settling.why_not_now(state, run)
    if refusal is not None:
        return refusal
    if job.state.is_over:
        return Applied(0)
    turn = Turn(state, at)
    endings = _endings(turn, run)
    _cancel(turn, run, job, endings)
    work = CancellingJob(at.now_ms, job.id, [job.id])
    _cancel_children(turn, run, work, endings, steps=at.budget.allowance)
    endings.done()
    if work.parents:
        settling.keep_operation(turn, run, work)
    jobs.refresh_run(turn, run)
    return turn.done(len(endings))


def begin(turn: Turn, run: Run, job: Job) -> CancellingJob:
    """Cancel the job; its descendants are left to `go_on_with_job`."""
    endings = _endings(turn, run)
    _cancel(turn, run, job, endings)
    endings.done()
    return CancellingJob(turn.at.now_ms, job.id, [job.id])


def go_on_with_job(turn: Turn, run: Run, work: CancellingJob, *, steps: int) -> bool:
    """Cancel the next descendants; whether that were all."""
    endings = _endings(turn, run)
    _cancel_children(turn, run, work, endings, steps=steps)
    endings.done()
    return not work.parents


def _cancel_children(
    turn: Turn, run: Run, work: CancellingJob, endings: Endings, *, steps: int
) -> None:
    """Cancel live descendants, nearest first. A job that has ended shields those behind it.

    Every edge is settled on the way: what is behind it is cancelled too or had ended before.
    """
    known, parents, at, used = run.jobs, work.parents, 0, 0
    while at < len(parents) and used < steps:
        parent = known[parents[at]]
        children, first = parent.children, work.child
        edges = len(children)
        if parent.id in run.foreach:  # its instances stand above it, and go with it all the same
            children = [*children, *foreach.instances(run, parent.id)]
        last = min(len(children), first + steps - used)
        is_untold = not has_settled(run, parent)
        for place, name in enumerate(children[first:last], start=first):
            child = known[name]
            if not child.state.is_over:
                _cancel(turn, run, child, endings)
                parents.append(name)
            if child.waiting_for and is_untold and place < edges:
                child.waiting_for -= 1
        used += last - first + 1
        work.child = last
        if last == len(children):
            work.child = 0
            at += 1
    del parents[:at]
    turn.at.budget.left -= used


def _endings(turn: Turn, run: Run, *, reason: str = "cancelled") -> Endings:
    return Endings(turn, run, to=JobState.CANCELLED, reason=reason)


def _cancel(turn: Turn, run: Run, job: Job, endings: Endings) -> None:
    if job.live:
        attempts.revoke(turn, turn.state.attempts[job.live], cause="cancelled")
    elif job.state is JobState.RUNNING:
        kin.is_cancelled(turn, run, job)
    endings.add(job)
