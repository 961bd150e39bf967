"""Committed time moves: what each kind of timer does when it is due. See `timers.py` for the heap."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import Final

from titan import limits
from titan.fsm import (
    blobs,
    carry,
    checkpoints,
    conditions,
    gates,
    jobs,
    kin,
    locks,
    payments,
    pools,
    retention,
    services,
    stages,
    subruns,
    timers,
    workers,
)
from titan.fsm.commands import AdvanceTime
from titan.fsm.events import KeyChanged, WorkerChanged
from titan.fsm.handling import Stamp, Turn, handles
from titan.fsm.outcomes import Outcome
from titan.fsm.policy import policy_of
from titan.fsm.state import JobState, State, Timer
from titan.fsm.unattended import asks_for_worker
from titan.ids import Digest, JobId, RunId, WorkerId
from titan.limits import (
    EVENTS_PER_ADVANCE_MAX,
    SESSION_IDLE_MS,
    SUBRUN_JOBS_PER_ENTRY,
    TIMERS_PER_ENTRY_MAX,
)

_OF_RUNS: Final = (timers.JOB, timers.QUEUE, timers.GATE, timers.CHECKPOINT, timers.ROLLOUT)
_TIMER_STEPS: Final = 4  # what firing one takes, in edges
Key = tuple[str, ...]


@handles(AdvanceTime)
def advance_time(state: State, cmd: AdvanceTime, at: Stamp) -> Outcome:  # noqa: ARG001
    """Go on with what is unsettled, then fire timers that are due, earliest first, each once. Answers
    how many still counted.

    At most `TIMERS_PER_ENTRY_MAX`, or fewer when the entry's budget is short or `_is_enough`: then others
    are still due, and the leader proposes the next turn.
    """
    turn = Turn(state, at)
    carry.go_on(turn)
    fired, first_seq = 0, state.next_job_seq
    at_once = max(at.budget.left // _TIMER_STEPS, limits.SETTLE_STEPS_EACH)
    for _ in range(min(TIMERS_PER_ENTRY_MAX, at_once)):
        if at.budget.read_bytes >= limits.EXPRESSION_BYTES_PER_ENTRY:
            break
        if _is_enough(turn, jobs_begun=state.next_job_seq - first_seq):
            break
        if not state.timers or state.timers[0].due_ms > at.now_ms:
            break
        timer = heapq.heappop(state.timers)
        if timers.counts(state, timer) and not _is_parked(state, timer):
            at.budget.left -= _TIMER_STEPS
            _FIRE[timer.kind](turn, timer.key)
            fired += 1
    return turn.done(fired)


def _is_enough(turn: Turn, *, jobs_begun: int) -> bool:
    """Whether this entry has done as much as one should, by what it told and the jobs of new sub-runs."""
    return len(turn.events) >= EVENTS_PER_ADVANCE_MAX or jobs_begun >= SUBRUN_JOBS_PER_ENTRY


def _is_parked(state: State, timer: Timer) -> bool:
    """Whether the timer is about a job of a run that nothing may touch now: then it waits there."""
    if timer.kind == timers.KIN:
        unsettled = kin.keeper(state, RunId(timer.key[0]))
        if unsettled is None:
            return False
    elif timer.kind in (timers.ASK, timers.PAY):
        unsettled = state.unsettled.get(RunId(timer.key[0]))
        if unsettled is None:
            return False
        # An answer is about a settled run, and may add jobs to it; nobody pays for jobs that are over.
        unsettled.is_wanted = True
    elif timer.kind in _OF_RUNS:
        run = RunId(timer.key[0])
        if timer.kind == timers.ROLLOUT:
            run = state.services[JobId(timer.key[0])].candidate
        unsettled = state.unsettled.get(run)
        if unsettled is None or unsettled.operation is None:
            return False
    else:
        return False
    unsettled.parked.append(timer)
    return True


def _hold_ends(turn: Turn, key: Key) -> None:
    run = turn.state.runs[RunId(key[0])]
    job = run.jobs[JobId(key[1])]
    policy = policy_of(job)
    if asks_for_worker(job):
        jobs.make_ready(turn, run, job, policy=policy)
    elif policy.type == "gate":
        gates.open_gate(turn, run, job)
    else:
        subruns.start(turn, run, job)


def _queue_timeout(turn: Turn, key: Key) -> None:
    run = turn.state.runs[RunId(key[0])]
    job = run.jobs[JobId(key[1])]
    reason = f"no worker took it within {policy_of(job).queue_timeout_ms} ms"
    jobs.withdraw(turn, run, job)
    jobs.end(turn, run, job, to=JobState.FAILED, reason=reason)
    jobs.settle(turn, run, [job])
    jobs.refresh_run(turn, run)


def _key_expires(turn: Turn, key: Key) -> None:
    del turn.state.kv[key[0]]
    turn.events.append(KeyChanged(key[0]))


def _claim_ends(turn: Turn, key: Key) -> None:
    locks.drop(turn, key[0], key[1])


def _session_idles(turn: Turn, key: Key) -> None:
    """Using a session does not set a timer each time, so look again if it was used meanwhile."""
    session = turn.state.sessions[key[0]]
    idle_at_ms = session.last_ms + SESSION_IDLE_MS
    if idle_at_ms <= turn.at.now_ms:
        del turn.state.sessions[key[0]]
        return
    session.expires_ms = idle_at_ms
    timers.set_timer(turn.state, timers.SESSION, key[0], due_ms=idle_at_ms)


def _rollout_due(turn: Turn, key: Key) -> None:
    services.rollout_due(turn, JobId(key[0]))


def _stage_expires(turn: Turn, key: Key) -> None:
    stages.clear(turn, RunId(key[0]))


def _worker_forgotten(turn: Turn, key: Key) -> None:
    del turn.state.workers[WorkerId(key[0])]
    turn.events.append(WorkerChanged(WorkerId(key[0])))


def _runs_forgotten(turn: Turn, key: Key) -> None:  # noqa: ARG001
    retention.forget(turn)


def _drain_times_out(turn: Turn, key: Key) -> None:
    workers.clear_out(turn, turn.state.workers[WorkerId(key[0])])


def _launch_fails(turn: Turn, key: Key) -> None:
    pools.launch_failed(
        turn, turn.state.launches[key[0]], why="its worker did not register in time"
    )


def _blob_lapses(turn: Turn, key: Key) -> None:
    blobs.timer_fired(turn, Digest(key[0]))


def _checkpoint_expires(turn: Turn, key: Key) -> None:
    checkpoints.timer_fired(turn, RunId(key[0]), JobId(key[1]))


_FIRE: Final[dict[str, Callable[[Turn, Key], None]]] = {
    timers.BLOB: _blob_lapses,
    timers.CHECKPOINT: _checkpoint_expires,
    timers.ASK: conditions.ask,
    timers.FORGET: _runs_forgotten,
    timers.GATE: gates.time_out,
    timers.JOB: _hold_ends,
    timers.KIN: subruns.look_at_kin,
    timers.QUEUE: _queue_timeout,
    timers.KV: _key_expires,
    timers.LOCK: _claim_ends,
    timers.ROLLOUT: _rollout_due,
    timers.SESSION: _session_idles,
    timers.STAGE: _stage_expires,
    timers.WORKER: _worker_forgotten,
    timers.DRAIN: _drain_times_out,
    timers.PAY: payments.pay,
    timers.BUDGET: payments.time_is_over,
    timers.LAUNCH: _launch_fails,
}
