"""The life of a job: the one place where its state changes and counts, indices and events follow.

Every change of state goes through `_move`. Graphs come from users and may be 100,000 deep, so effects
travel along edges by a queue, never by recursion. No handlers here: `runs.py`, `attempts.py`,
`cancels.py`, `reruns.py` and `clock.py` decide, this module carries out.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from titan.fsm import timers
from titan.fsm.events import JobChanged, JobReady, JobWithdrawn, RunChanged
from titan.fsm.handling import Turn
from titan.fsm.policy import Policy, backoff_ms, policy_of
from titan.fsm.standing import is_over, run_state
from titan.fsm.state import Attempt, Job, JobState, Run, is_ready
from titan.fsm.triggers import Verdict, assess, fires_early, verdict_at_end, why_never
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


def end(turn: Turn, run: Run, job: Job, *, to: JobState, reason: str = "") -> None:
    """Any live state → an ended one. The caller passes the job on to `settle`, and before that calls
    `withdraw` if the job might have been ready or held."""
    assert to.is_over
    assert not job.state.is_over
    assert not job.live
    job.reason = reason
    job.ended_ms = turn.at.now_ms
    _move(turn, run, job, to=to)


def retry_later(turn: Turn, run: Run, job: Job, *, policy: Policy) -> None:
    """RUNNING → PENDING after a failure that a retry may mend."""
    job.retries_used += 1
    _move(turn, run, job, to=JobState.PENDING)
    delay_ms = backoff_ms(
        job.retries_used, base_ms=policy.retry_backoff_ms, cap_ms=policy.retry_backoff_cap_ms
    )
    _resume(turn, run, job, policy=policy, delay_ms=delay_ms)


def give_back(turn: Turn, run: Run, job: Job) -> None:
    """RUNNING → PENDING, ready at once: its attempt came to nothing through no fault of its own."""
    _move(turn, run, job, to=JobState.PENDING)
    _resume(turn, run, job, policy=policy_of(job), delay_ms=0)


def _resume(turn: Turn, run: Run, job: Job, *, policy: Policy, delay_ms: int) -> None:
    """A job that had started is PENDING again. A parent may have been reopened meanwhile: then the
    trigger has the word again."""
    found = assess(run, job)
    if found.culprit is not None:
        end(turn, run, job, to=JobState.SKIPPED, reason=why_never(job, found.culprit))
        settle(turn, run, [job])
    elif found.verdict is Verdict.HOLDS:
        _hold(turn, run, job, policy=policy, delay_ms=delay_ms)


def reopen(turn: Turn, run: Run, job: Job) -> None:
    """An ended job → PENDING, as if it had never run, but with its history. Not yet unblocked."""
    job.retries_used = 0
    job.exit_code = None
    job.reason = ""
    job.started_ms = job.ended_ms = 0
    job.output = b""
    _move(turn, run, job, to=JobState.PENDING)


def unblock(turn: Turn, run: Run, job: Job) -> None:
    """Its trigger holds: ready after its delay."""
    policy = policy_of(job)
    _hold(turn, run, job, policy=policy, delay_ms=policy.delay_ms)


def _hold(turn: Turn, run: Run, job: Job, *, policy: Policy, delay_ms: int) -> None:
    if not delay_ms:
        make_ready(turn, run, job, policy=policy)
        return
    job.not_before_ms = turn.at.now_ms + delay_ms
    timers.set_timer(turn.state, timers.JOB, run.id, job.id, due_ms=job.not_before_ms)


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


def waiting_for(run: Run, job: Job) -> int:
    """`Job.waiting_for`, counted afresh from the job's parents."""
    waiting = 0
    for name in job.parents:
        state = run.jobs[name].state
        if fires_early(job.trigger, state):
            return 0
        if not state.is_over:
            waiting += 1
    return waiting


def settle(turn: Turn, run: Run, ended: Iterable[Job]) -> None:
    """Let the children of jobs that have just ended start, go on waiting, or be skipped in turn."""
    queue = deque(ended)
    while queue:
        parent = queue.popleft()
        for name in parent.children:
            child = run.jobs[name]
            if not child.waiting_for:
                continue  # decided earlier by another parent
            child.waiting_for -= 1
            still_waiting = child.waiting_for
            if fires_early(child.trigger, parent.state):
                child.waiting_for = 0
            if child.state is not JobState.PENDING:
                continue
            verdict = verdict_at_end(child.trigger, parent.state, still_waiting=still_waiting)
            if verdict is Verdict.HOLDS:
                unblock(turn, run, child)
            elif verdict is Verdict.NEVER:
                end(turn, run, child, to=JobState.SKIPPED, reason=why_never(child, parent))
                queue.append(child)


def place(turn: Turn, run: Run, jobs: Iterable[Job]) -> None:
    """Let jobs that have just become PENDING start, wait or be skipped, as their parents say.

    All are assessed before any of them ends: the children of those that end are left to `settle`.
    """
    never: list[Job] = []
    for job in jobs:
        found = assess(run, job)
        if found.verdict is Verdict.HOLDS:
            unblock(turn, run, job)
        elif found.culprit is not None:
            job.reason = why_never(job, found.culprit)
            never.append(job)
    for job in never:
        end(turn, run, job, to=JobState.SKIPPED, reason=job.reason)
    settle(turn, run, never)


def refresh_run(turn: Turn, run: Run) -> None:
    """Bring the run's own state up to date after its jobs changed; last in every turn at a run."""
    over = is_over(run)
    state = run_state(run)
    if state is run.state and over == bool(run.ended_ms):
        return
    run.state = state
    if over and not run.ended_ms:
        run.ended_ms = turn.at.now_ms
    elif not over:
        run.ended_ms = 0
    turn.events.append(RunChanged(run.id, state, over))
