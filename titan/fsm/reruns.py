"""Running a job that ended again, and with it what ended because of it. History is kept.

A job is reopened only once every candidate above it is decided, so each is decided from states alone:
parents that were reopened are PENDING by then. It may take several entries (`settling.py`).
"""

from __future__ import annotations

from typing import Final

from titan.fsm import foreach, jobs, revisions, settling
from titan.fsm.alike import Reopenings
from titan.fsm.commands import RetryJob
from titan.fsm.handling import Stamp, Turn, handles
from titan.fsm.outcomes import Outcome, Rejected
from titan.fsm.records.revisions import Revision
from titan.fsm.records.unsettled import Retrying
from titan.fsm.state import Job, JobState, Run, State
from titan.fsm.triggers import Verdict, as_parent, assess, why_never

_BAD: Final = (JobState.SKIPPED, JobState.CANCELLED, JobState.FAILED, JobState.DEAD)


@handles(RetryJob)
def retry_job(state: State, cmd: RetryJob, at: Stamp) -> Outcome:
    """Reopen a job and its descendants that ended because of it. Answers how many jobs that are.

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
    if not job.state.is_over:
        return Rejected("not_over", f"job '{cmd.job}' has not ended")
    first = _first(run, job)
    found = assess(run, first)
    if found.culprit is not None:
        why = f"job '{first.id}' could not start: {why_never(first, found.culprit)}; retry that one"
        return Rejected("not_ready", why)
    turn = Turn(state, at)
    run.cancelled = False
    revisions.note(state, run, _revision(turn, run, cmd))
    work = _work(turn, run, job, first=first)
    piece = _Piece(turn, run, work, steps=at.budget.allowance)
    piece.reopen(first, waiting_for=found.waiting_for)
    if not piece.go_on():
        settling.keep_operation(turn, run, work)
    jobs.refresh_run(turn, run)
    return turn.done(len(piece.reopened))


def _revision(turn: Turn, run: Run, cmd: RetryJob) -> Revision:
    state, at = turn.state, turn.at
    return Revision(
        number=revisions.next_number(state, run, at),
        before=run.revision,
        at_ms=at.now_ms,
        by=revisions.who(state, at, ""),
        note="",
        rerun=(cmd.job,),
        reruns=1,
    )


def _first(run: Run, job: Job) -> Job:
    """What is reopened at once, so that people see that it was: the job, or the first instance of a
    foreach job that waits for its instances and is below them."""
    instances = foreach.to_retry(run, job)
    return run.jobs[instances[0]] if instances and instances[0] in job.parents else job


def _work(turn: Turn, run: Run, job: Job, *, first: Job) -> Retrying:
    """What is reopened by itself is the job, and the instances of a foreach job that did not complete."""
    roots = list(dict.fromkeys((first.id, *foreach.to_retry(run, job))))
    above = dict.fromkeys(roots, 0)
    work = Retrying(turn.at.now_ms, job.id, found=roots[:], above=above, ordered=roots)
    work.is_decided = work.is_reopened = True
    return work


def begin(turn: Turn, run: Run, job: Job, *, waiting_for: int) -> Retrying:
    """Reopen a job that can start once so many parents have ended; the rest is left to
    `go_on_with_retry`."""
    first = _first(run, job)
    if first is not job:
        found = assess(run, first)
        if found.culprit is not None:
            return Retrying(turn.at.now_ms, job.id, found=[])
        waiting_for = found.waiting_for
    work = _work(turn, run, job, first=first)
    reopened = Reopenings(turn, run)
    reopened.add(first, waiting_for=waiting_for)
    reopened.done()
    if not waiting_for:
        jobs.unblock_all(turn, run, [first])
    return work


def go_on_with_retry(turn: Turn, run: Run, work: Retrying, *, steps: int) -> bool:
    """Carry a retry on; whether it is done."""
    return _Piece(turn, run, work, steps=steps).go_on()


class _Piece:
    """What one entry does of a retry. A step is an edge, or a job."""

    def __init__(self, turn: Turn, run: Run, work: Retrying, *, steps: int) -> None:
        self.reopened = Reopenings(turn, run)
        self._turn = turn
        self._run = run
        self._work = work
        self._steps = steps
        self._free: list[Job] = []

    def reopen(self, job: Job, *, waiting_for: int) -> None:
        """Reopen a job that could start if its parents went well."""
        self.reopened.add(job, waiting_for=waiting_for)
        if not waiting_for:
            self._free.append(job)

    def go_on(self) -> bool:
        """As far as the steps allow; whether all is done."""
        steps = self._steps
        self._find()
        self._decide()
        self.reopened.done()
        self._recount_others()
        jobs.unblock_all(self._turn, self._run, self._free)
        self._turn.at.budget.left -= steps - self._steps
        return self._work.is_sorted and not self._work.others

    def _next_children(self, job: Job) -> tuple[list[Job], bool]:
        """The next children of a job that the steps allow to look at, and whether they are the last."""
        work, known = self._work, self._run.jobs
        first = work.child
        last = min(len(job.children), first + max(self._steps, 1))
        self._steps -= last - first
        is_last = last == len(job.children)
        work.child = 0 if is_last else last
        return [known[name] for name in job.children[first:last]], is_last

    def _find(self) -> None:
        """All descendants that did not complete, and how many edges each has from others of them.

        A mutation may have put one instance below another: then it is not reopened by itself.
        """
        work, known, at = self._work, self._run.jobs, 0
        above, found = work.above, work.found
        reopened = work.ordered[0] if found else ""  # at once, whatever is above it
        while at < len(found) and self._steps > 0:
            children, is_last = self._next_children(known[found[at]])
            for child in children:
                if child.state in _BAD and child.id != reopened:
                    if child.id not in above and child.children:
                        found.append(child.id)
                    above[child.id] = above.get(child.id, 0) + 1
            at += is_last
        del found[:at]
        if at and not found:
            work.ordered = [name for name in work.ordered if not above[name]]

    def _decide(self) -> None:
        """Reopen what could start, parents before children."""
        work, known, at = self._work, self._run.jobs, 0
        if work.found:
            return
        ordered = work.ordered
        while at < len(ordered) and self._steps > 0:
            job = known[ordered[at]]
            if not work.is_decided:
                self._decide_one(job)
            is_last = True
            if job.children:
                children, is_last = self._next_children(job)
                self._pass_on(children)
            if is_last:
                work.is_decided = False
                at += 1
        del ordered[:at]
        if not ordered and not work.is_sorted:
            work.is_sorted = True
            work.above = {}

    def _decide_one(self, job: Job) -> None:
        waiting = self._parents_to_wait_for(job)
        self._steps -= len(job.parents) or 1
        self._work.is_decided = True
        self._work.is_reopened = waiting is not None
        if waiting is not None:
            self.reopen(job, waiting_for=waiting)
        else:
            self._work.others[job.id] = None

    def _pass_on(self, children: list[Job]) -> None:
        """Their parent is decided."""
        work, above = self._work, self._work.above
        for child in children:
            count = above.get(child.id, 0)
            if count:
                above[child.id] = count - 1
                if count == 1:
                    work.ordered.append(child.id)
            elif work.is_reopened:
                work.others[child.id] = None

    def _parents_to_wait_for(self, job: Job) -> int | None:
        """How many parents the job waits for; 0 when its trigger holds, None when it never can."""
        if job.trigger == "all_success":  # nearly all jobs, and there may be 100,000 of them
            waiting, known = 0, self._run.jobs
            for name in job.parents:
                state = as_parent(self._run, known[name])
                if state is not JobState.COMPLETED:
                    if state.is_over:
                        return None
                    waiting += 1
            return waiting
        found = assess(self._run, job)
        return None if found.verdict is Verdict.NEVER else found.waiting_for

    def _recount_others(self) -> None:
        """The other children of reopened jobs wait for them again."""
        work = self._work
        if not work.is_sorted:
            return
        counted = []
        for name in work.others:
            if self._steps <= 0:
                break
            job = self._run.jobs[name]
            self._steps -= len(job.parents) + 1
            self._wait_again(job)
            counted.append(name)
        for name in counted:
            del work.others[name]

    def _wait_again(self, child: Job) -> None:
        """One that was about to start is withdrawn."""
        waiting = jobs.waiting_for(self._run, child)
        if waiting and child.state is JobState.PENDING and not child.waiting_for:
            jobs.withdraw(self._turn, self._run, child)
        child.waiting_for = waiting
