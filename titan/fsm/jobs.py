"""The life of a job: the one place where its state changes and counts, indices and events follow.

Graphs come from users and may be 100,000 wide or deep, so effects travel along edges by a queue, never by
recursion, and no further in one entry than its budget allows (`settling.py`). No handlers here: `runs.py`,
`attempts.py`, `cancels.py`, `reruns.py` and `clock.py` decide, this module carries out.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from titan.fsm import budgets, checkpoints, dead, deployments, kin, retention, settling, timers
from titan.fsm.events import JobChanged, JobReady, JobWithdrawn, RunChanged
from titan.fsm.handling import Turn
from titan.fsm.policy import Policy, asks_first, backoff_ms, may_be_timed, policy_of
from titan.fsm.records.unsettled import Telling
from titan.fsm.standing import is_over, run_state
from titan.fsm.state import Attempt, Job, JobState, Run, is_ready
from titan.fsm.telling import tell_changed, tell_ready
from titan.fsm.triggers import (
    Verdict,
    as_parent,
    assess,
    fires_early,
    has_settled,
    verdict_at_end,
    why_never,
)
from titan.fsm.unattended import asks_for_worker
from titan.ids import JobId

# --- the transitions ------------------------------------------------------------------------------


def _move(turn: Turn, run: Run, job: Job, *, to: JobState) -> None:
    counts, old = run.counts, job.state
    left = counts[old] - 1
    if left:
        counts[old] = left
    else:
        del counts[old]
    counts[to] = counts.get(to, 0) + 1
    job.state = to
    turn.events.append(JobChanged(run.id, job.id, to))


def start(turn: Turn, run: Run, job: Job, *, attempt: Attempt) -> None:
    """PENDING → RUNNING: the job has been assigned."""
    job.live = attempt.id
    job.attempts = attempt.number
    job.worker = attempt.worker
    job.started_ms = attempt.assigned_ms
    job.queue_due_ms = 0
    if not run.started_ms:
        run.started_ms = attempt.assigned_ms
    _move(turn, run, job, to=JobState.RUNNING)


def begin(turn: Turn, run: Run, job: Job) -> None:
    """PENDING → RUNNING: a sub-run does the job's work, the one numbered `Job.attempts`."""
    job.attempts += 1
    job.not_before_ms = 0
    job.started_ms = turn.at.now_ms
    if not run.started_ms:
        run.started_ms = turn.at.now_ms
    _move(turn, run, job, to=JobState.RUNNING)


def wait_for_people(turn: Turn, run: Run, job: Job) -> None:
    """PENDING → WAITING: a gate opens."""
    job.not_before_ms = 0
    job.started_ms = turn.at.now_ms
    _move(turn, run, job, to=JobState.WAITING)


def end(turn: Turn, run: Run, job: Job, *, to: JobState, reason: str = "") -> None:
    """Any live state → an ended one. The caller passes the job on to `settle`, and before that calls
    `withdraw` if the job might have been ready or held."""
    assert to.is_over
    assert not job.state.is_over
    assert not job.live
    job.reason = reason
    job.ended_ms = turn.at.now_ms
    if turn.state.checkpoints:
        checkpoints.job_is_over(turn, run, job)
    if to is JobState.DEAD:
        dead.enter(turn.state, run, job)
    if job.unpaid:
        budgets.job_ended(run, job)
    _move(turn, run, job, to=to)


def retry_later(turn: Turn, run: Run, job: Job, *, policy: Policy) -> None:
    """RUNNING → PENDING after a failure that a retry may mend."""
    job.retries_used += 1
    _move(turn, run, job, to=JobState.PENDING)
    delay_ms = backoff_ms(
        job.retries_used, base_ms=policy.retry_backoff_ms, cap_ms=policy.retry_backoff_cap_ms
    )
    _resume(turn, run, job, policy=policy, delay_ms=delay_ms)


def give_back(turn: Turn, run: Run, job: Job, *, delay_ms: int = 0) -> None:
    """RUNNING → PENDING, ready at once or later: its attempt came to nothing, and that costs no retry."""
    _move(turn, run, job, to=JobState.PENDING)
    _resume(turn, run, job, policy=policy_of(job), delay_ms=delay_ms)


def take_back(turn: Turn, run: Run, job: Job) -> None:
    """RUNNING → PENDING: its attempt was revoked. The caller sees whether it is ready."""
    job.queue_due_ms = 0
    _move(turn, run, job, to=JobState.PENDING)


def _resume(turn: Turn, run: Run, job: Job, *, policy: Policy, delay_ms: int) -> None:
    """A job that had started is PENDING again. A parent may have been reopened meanwhile: then the
    trigger has the word again."""
    found = assess(run, job)
    if found.culprit is not None:
        end(turn, run, job, to=JobState.SKIPPED, reason=why_never(job, found.culprit))
        settle(turn, run, [job])
    elif found.verdict is Verdict.HOLDS:
        _hold(turn, run, job, policy=policy, delay_ms=delay_ms)


def unblock_all(turn: Turn, run: Run, free: Iterable[Job]) -> None:
    """Their triggers hold: ready after their conditions and their delays."""
    ready: list[JobId] = []
    for job in free:
        if job.unpaid:
            continue  # a budget has to pay first
        if asks_first(job):
            ask_soon(turn, run, job)
        elif may_be_timed(job) or not asks_for_worker(job):
            policy = policy_of(job)
            _hold(turn, run, job, policy=policy, delay_ms=policy.delay_ms)
        else:
            ready.append(job.id)
    tell_ready(turn, run, ready)


def ask_soon(turn: Turn, run: Run, job: Job, *, delay_ms: int = 0) -> None:
    """What the job asks first is asked in its turn; the job is held until then."""
    job.not_before_ms = turn.at.now_ms + delay_ms
    timers.set_timer(turn.state, timers.ASK, run.id, job.id, due_ms=job.not_before_ms)


def release(turn: Turn, run: Run, job: Job) -> None:
    """The answer was yes: ready after its delay."""
    policy = policy_of(job)
    _hold(turn, run, job, policy=policy, delay_ms=policy.delay_ms)


def _hold(turn: Turn, run: Run, job: Job, *, policy: Policy, delay_ms: int) -> None:
    if not delay_ms and asks_for_worker(job):
        make_ready(turn, run, job, policy=policy)
        return
    job.not_before_ms = turn.at.now_ms + delay_ms
    timers.set_timer(turn.state, timers.JOB, run.id, job.id, due_ms=job.not_before_ms)


def hold_again(turn: Turn, run: Run, job: Job, *, delay_ms: int) -> None:
    """A job that is ready or held is held from now on."""
    is_unasked = asks_first(job) and 0 < job.not_before_ms <= turn.at.now_ms
    withdraw(turn, run, job)
    if is_unasked:
        ask_soon(turn, run, job, delay_ms=delay_ms)
        return
    _hold(turn, run, job, policy=policy_of(job), delay_ms=delay_ms)


def make_ready(turn: Turn, run: Run, job: Job, *, policy: Policy) -> None:
    """Nothing but a worker is missing."""
    job.not_before_ms = 0
    if policy.queue_timeout_ms:
        job.queue_due_ms = turn.at.now_ms + policy.queue_timeout_ms
        timers.set_timer(turn.state, timers.QUEUE, run.id, job.id, due_ms=job.queue_due_ms)
    turn.events.append(JobReady(run.id, job.id))


def withdraw(turn: Turn, run: Run, job: Job) -> None:
    """The job is about to stop being ready or held, if it is, without having been assigned."""
    if is_ready(job):
        turn.events.append(JobWithdrawn(run.id, job.id))
    job.queue_due_ms = job.not_before_ms = 0


# --- along the edges ------------------------------------------------------------------------------


def link(parent: Job, *, child: JobId) -> None:
    """Add an edge. A tuple serves the usual one child; more are kept in a list."""
    if not parent.children:
        parent.children = (child,)
    elif isinstance(parent.children, list):
        parent.children.append(child)
    else:
        parent.children = [*parent.children, child]


def link_in_order(run: Run, parent: Job, *, child: Job) -> None:
    """Add an edge to a child that may have been submitted before other children of the parent."""
    link(parent, child=child.id)
    if len(parent.children) > 1:
        parent.children = sorted(parent.children, key=lambda name: run.jobs[name].seq)


def waiting_for(run: Run, job: Job) -> int:
    """`Job.waiting_for`, counted afresh from the job's parents."""
    waiting = 0
    for name in job.parents:
        state = as_parent(run, run.jobs[name])
        if fires_early(job.trigger, state):
            return 0
        if not state.is_over:
            waiting += 1
    return waiting


def settle(turn: Turn, run: Run, ended: Iterable[Job]) -> None:
    """Let the children of jobs that have just ended start, go on waiting, or be skipped in turn.

    What is beyond this entry's budget, or would overtake what is under way already, follows later.
    """
    _settle(turn, run, [job.id for job in ended if job.children and not has_settled(run, job)])


def settle_early(turn: Turn, run: Run, parent: Job) -> None:
    """The parent counts as COMPLETED from now on although it goes on: a service became healthy."""
    assert not has_settled(run, parent)
    run.services[parent.id].released = True
    _settle(turn, run, [parent.id] if parent.children else [])


def _settle(turn: Turn, run: Run, parents: list[JobId]) -> None:
    telling = Telling(turn.at.now_ms, parents)
    unsettled = turn.state.unsettled.get(run.id)
    if unsettled is not None:
        settling.join(turn, unsettled, telling)
    elif telling.parents:
        tell_children(turn, run, telling, steps=turn.at.budget.allowance)
        if telling.parents:
            settling.keep_telling(turn, run, telling)


def tell_children(turn: Turn, run: Run, telling: Telling, *, steps: int) -> None:
    """Go on with a telling over at most that many edges; it has no parents left when it is done."""
    parents, at, used = telling.parents, 0, 0
    while at < len(parents) and used < steps:
        parent = run.jobs[parents[at]]
        children, first = parent.children, telling.child
        last = first + steps - used
        if last < len(children):
            batch = children[first:last]
            telling.child = last
        else:
            batch = children[first:] if first else children
            telling.child = 0
            at += 1
        used += len(batch)
        never = _tell(turn, run, parent, batch)
        parents.extend([job.id for job in never if job.children and not has_settled(run, job)])
    del parents[:at]
    turn.at.budget.left -= used


def _tell(turn: Turn, run: Run, parent: Job, children: Sequence[JobId]) -> list[Job]:
    """Those of the children that are skipped because of how the parent ended. What a trigger says is
    asked once for all children alike, since there may be thousands of them."""
    known, state = run.jobs, as_parent(run, parent)
    verdict, asked, asked_last = Verdict.WAITS, "", False
    free: list[Job] = []
    never: list[Job] = []
    skipped: dict[str, list[Job]] = {}  # by trigger, which the reason tells
    for name in children:
        child = known[name]
        waiting = child.waiting_for
        if not waiting:
            continue  # decided earlier by another parent
        trigger, is_last = child.trigger, waiting == 1
        if trigger != asked or is_last is not asked_last:
            verdict = verdict_at_end(trigger, state, still_waiting=not is_last)
            asked, asked_last = trigger, is_last
            never = skipped.setdefault(trigger, [])
        holds = verdict is Verdict.HOLDS
        child.waiting_for = (
            0 if holds else waiting - 1
        )  # one that holds early needs no other parent
        if child.state is not JobState.PENDING:
            continue
        if holds:
            free.append(child)
        elif verdict is Verdict.NEVER:
            never.append(child)
    for alike in skipped.values():
        if alike:
            _skip(turn, run, alike, reason=why_never(alike[0], parent))
    unblock_all(turn, run, free)
    return [child for alike in skipped.values() for child in alike]


def _skip(turn: Turn, run: Run, never: Sequence[Job], *, reason: str) -> None:
    """PENDING → SKIPPED for jobs that were never ready. The caller settles."""
    now_ms = turn.at.now_ms
    for job in never:
        job.state = JobState.SKIPPED
        job.reason = reason
        job.ended_ms = now_ms
        if job.unpaid:
            budgets.job_ended(run, job)
    if turn.state.checkpoints:
        for job in never:
            checkpoints.job_is_over(turn, run, job)
    counts = run.counts
    counts[JobState.PENDING] -= len(never)
    if not counts[JobState.PENDING]:
        del counts[JobState.PENDING]
    counts[JobState.SKIPPED] = counts.get(JobState.SKIPPED, 0) + len(never)
    tell_changed(turn, run, [job.id for job in never], to=JobState.SKIPPED)


def place(turn: Turn, run: Run, jobs: Iterable[Job]) -> None:
    """Let jobs that have just become PENDING start, wait or be skipped, as their parents say.

    All are assessed before any of them ends: the children of those that end are left to `settle`.
    """
    free: list[Job] = []
    never: list[Job] = []
    for job in jobs:
        found = assess(run, job)
        if found.verdict is Verdict.HOLDS:
            free.append(job)
        elif found.culprit is not None:
            job.reason = why_never(job, found.culprit)
            never.append(job)
    unblock_all(turn, run, free)
    for job in never:
        end(turn, run, job, to=JobState.SKIPPED, reason=job.reason)
    settle(turn, run, never)


def refresh_run(turn: Turn, run: Run) -> None:
    """Bring the run's own state up to date after its jobs changed; last in every turn at a run."""
    if run.services:
        deployments.follow_ends(turn, run)
    over = is_over(run)
    state = run_state(run)
    if over:
        run.ended_ms = run.ended_ms or _last_ms(turn, run)
        is_news = not retention.is_shelved(turn.state, run)
        retention.run_is_over(turn, run)
        kin.has_ended(turn, run)
    else:
        run.ended_ms = 0
        is_news = retention.run_is_live(turn.state, run)
    if is_news or state is not run.state:
        run.state = state
        turn.events.append(RunChanged(run.id, state, over))


def _last_ms(turn: Turn, run: Run) -> int:
    """When the last job ended. What is carried out later counts as done when it began, so in a run
    that is not settled a job may have ended after this turn's time."""
    unsettled = turn.state.unsettled.get(run.id)
    return turn.at.now_ms if unsettled is None else unsettled.last_ms
