"""Changing a run in one piece: what a checked draft asks for happens, and the revision is noted.

The graph changes within the entry. What follows along its edges may take several (`settling.py`): then it
is an operation of the run, carried out in the order of `Mutating`. Adding jobs alone is `runs.add_jobs`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from titan import limits
from titan.fsm import attempts, cancels, edges, edits, jobs, reruns, revisions, settling
from titan.fsm.alike import Endings
from titan.fsm.commands import MutateRun
from titan.fsm.edits import Draft
from titan.fsm.events import JobChanged, JobReady
from titan.fsm.growth import grow
from titan.fsm.handling import Stamp, Turn, handles
from titan.fsm.outcomes import Applied, Outcome, Rejected
from titan.fsm.policy import policy_of
from titan.fsm.records.revisions import Revision
from titan.fsm.records.unsettled import CancellingJob, Mutating, Retrying, Telling
from titan.fsm.state import Job, JobState, Run, State, is_ready
from titan.fsm.triggers import Verdict, assess, has_settled, why_never
from titan.ids import JobId

_REMOVED: Final = "its addition was undone"


@handles(MutateRun)
def mutate_run(state: State, cmd: MutateRun, at: Stamp) -> Outcome:
    """Change a run: all edits or none. Answers its revision, the same when it was as asked already."""
    run = state.runs.get(cmd.run)
    if run is None:
        return Rejected("unknown_run", f"there is no run {cmd.run}")
    refusal = _why_not(state, cmd, at) or settling.why_not_now(state, run)
    if refusal is not None:
        return refusal
    if cmd.if_revision and cmd.if_revision != run.revision:
        why = f"run {run.id} is at revision {run.revision}, not {cmd.if_revision}"
        return Rejected("revision_changed", why)
    draft = edits.draft(state, run, cmd.edits, budget=at.budget)
    if isinstance(draft, Rejected):
        return draft
    if draft.is_empty:
        return Applied(run.revision)
    turn = Turn(state, at)
    revision = _revision(turn, draft, cmd)
    _carry_out(turn, draft, reason=_reason(revision))
    revisions.note(state, run, revision)
    jobs.refresh_run(turn, run)
    return turn.done(run.revision)


def _why_not(state: State, cmd: MutateRun, at: Stamp) -> Rejected | None:
    attempt = state.attempts.get(at.attempt)
    if attempt is not None and attempt.run != cmd.run:
        return Rejected("not_own_run", f"a task of run {attempt.run} changes that run only")
    if not 0 < len(cmd.edits) <= limits.EDITS_PER_MUTATION_MAX:
        most = limits.EDITS_PER_MUTATION_MAX
        return Rejected("invalid", f"{len(cmd.edits)} edits; one change has 1 to {most}")
    if len(cmd.by) > limits.NAME_CHARS_MAX or len(cmd.note) > limits.ERROR_TEXT_BYTES_MAX // 4:
        return Rejected("too_large", "who and why are a few words each")
    return None


def _revision(turn: Turn, draft: Draft, cmd: MutateRun) -> Revision:
    reruns = draft.having("rerun") or draft.failed
    return Revision(
        number=revisions.next_number(turn.state, draft.run, turn.at),
        before=draft.run.revision,
        at_ms=turn.at.now_ms,
        by=revisions.who(turn.state, turn.at, cmd.by),
        note=cmd.note,
        first_added=turn.state.next_job_seq if draft.new else 0,
        added=len(draft.new),
        changed=tuple(draft.changed),
        skipped=tuple(draft.having("skip")),
        cancelled=tuple(draft.having("cancel")),
        rerun=tuple(reruns[: limits.REVISION_NAMES_MAX]),
        reruns=len(reruns),
        restarted=tuple(draft.having("restart")),
        undone=draft.undone,
        removed=len(draft.having("remove")),
    )


def _reason(revision: Revision) -> str:
    """Why a job was skipped."""
    by = f"skipped by {revision.by}" if revision.by else "skipped on request"
    return f"{by}: {revision.note}" if revision.note else by


# --- the graph ------------------------------------------------------------------------------------


def _carry_out(turn: Turn, draft: Draft, *, reason: str) -> None:
    run = draft.run
    for name in draft.having("restart"):
        job = run.jobs[name]
        attempts.revoke(turn, turn.state.attempts[job.live], cause="rerouted")
        jobs.take_back(turn, run, job)
    was_free = [
        run.jobs[name]
        for name in draft.parents
        if run.jobs[name].state is JobState.PENDING and not run.jobs[name].waiting_for
    ]
    for name, made in draft.made.items():
        _redeclare(turn, run, run.jobs[name], made, is_back=draft.fates.get(name) == "restart")
    grow(turn.state, run, draft.new)
    turn.events.extend(JobChanged(run.id, job.id, job.state) for job in draft.new)
    edges.relink(run, draft.parents)
    ended = _replace(turn, draft, was_free=was_free)
    ended += _end(turn, run, draft.having("skip"), reason=reason)
    ended += _end(turn, run, draft.having("remove"), reason=_REMOVED)
    turn.at.budget.left -= len(ended) + len(draft.new) + len(draft.made)
    work = Mutating(
        turn.at.now_ms,
        told=[job.id for job in ended if job.children and not has_settled(run, job)],
        todo=[(fate, name) for fate in ("cancel", "rerun") for name in draft.having(fate)],
        failed=draft.failed,
    )
    if draft.having("rerun") or draft.failed:
        run.cancelled = False
    if go_on(turn, run, work, steps=turn.at.budget.allowance):
        return
    if work.todo or work.failed:
        settling.keep_operation(turn, run, work)
    else:
        settling.keep_telling(turn, run, Telling(work.now_ms, work.told, work.child))


def _redeclare(turn: Turn, run: Run, job: Job, made: Job, *, is_back: bool) -> None:
    job.spec = made.spec
    job.demand = made.demand
    job.priority = made.priority
    job.affinity = made.affinity
    turn.events.append(JobChanged(run.id, job.id, job.state))
    if is_ready(job) and not is_back:
        turn.events.append(JobReady(run.id, job.id))  # the planner has to look at it again


def _replace(turn: Turn, draft: Draft, *, was_free: Sequence[Job]) -> list[Job]:
    """Let jobs whose place in the graph is new start, wait or be skipped, as their parents say. All are
    assessed before any ends; answers those that did."""
    run = draft.run
    restarted = dict.fromkeys(draft.having("restart"))
    free: list[Job] = []
    never: list[tuple[Job, str]] = []
    known = {job.id: None for job in was_free}
    for job in (*(run.jobs[name] for name in (*draft.parents, *restarted)), *draft.new):
        found = assess(run, job)
        if found.verdict is not Verdict.HOLDS and job.id in known:
            jobs.withdraw(turn, run, job)
        job.waiting_for = jobs.waiting_for(run, job)
        if found.culprit is not None:
            never.append((job, why_never(job, found.culprit)))
        elif found.verdict is Verdict.HOLDS and job.id not in known:
            free.append(job)
    jobs.unblock_all(turn, run, [job for job in free if job.id not in restarted])
    for job in free:
        if job.id in restarted:  # its delay is behind it
            jobs.make_ready(turn, run, job, policy=policy_of(job))
    for job, why in never:
        jobs.end(turn, run, job, to=JobState.SKIPPED, reason=why)
    return [job for job, _ in never]


def _end(turn: Turn, run: Run, names: Sequence[JobId], *, reason: str) -> list[Job]:
    """PENDING → SKIPPED for jobs that will not run. The caller tells their children."""
    endings = Endings(turn, run, to=JobState.SKIPPED, reason=reason)
    doomed = [run.jobs[name] for name in names]
    for job in doomed:
        endings.add(job)
    endings.done()
    return doomed


# --- what follows ---------------------------------------------------------------------------------


def go_on(turn: Turn, run: Run, work: Mutating, *, steps: int) -> bool:
    """Carry on with what follows from a change; whether it is done."""
    floor = turn.at.budget.left - steps
    while (left := turn.at.budget.left - floor) > 0:
        if work.told:
            telling = Telling(work.now_ms, work.told, work.child)
            jobs.tell_children(turn, run, telling, steps=left)
            work.child = telling.child
        elif work.part is not None:
            if _go_on_with(turn, run, work.part, steps=left):
                work.part = None
        elif work.at < len(work.todo) + len(work.failed):
            fate, name = _next(work)
            if fate == "rerun" and not work.is_refreshed:
                work.is_refreshed = True
                jobs.refresh_run(turn, run)  # what has ended did so, though it may be reopened now
            work.at += 1
            turn.at.budget.left -= 1 + len(run.jobs[name].parents)
            work.part = _begin(turn, run, run.jobs[name], fate=fate)
        else:
            break
    is_all = work.at == len(work.todo) + len(work.failed)
    return is_all and not work.told and work.part is None


def _next(work: Mutating) -> tuple[str, JobId]:
    if work.at < len(work.todo):
        return work.todo[work.at]
    return "rerun", work.failed[work.at - len(work.todo)]


def _begin(turn: Turn, run: Run, job: Job, *, fate: str) -> CancellingJob | Retrying | None:
    """The next job's turn. Another's may have brought it where it should be."""
    if fate == "cancel":
        return None if job.state.is_over else cancels.begin(turn, run, job)
    found = assess(run, job)
    if not job.state.is_over or found.culprit is not None:
        return None
    return reruns.begin(turn, run, job, waiting_for=found.waiting_for)


def _go_on_with(turn: Turn, run: Run, part: CancellingJob | Retrying, *, steps: int) -> bool:
    if isinstance(part, CancellingJob):
        return cancels.go_on_with_job(turn, run, part, steps=steps)
    return reruns.go_on_with_retry(turn, run, part, steps=steps)
