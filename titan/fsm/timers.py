"""The heap of timers: setting one, telling whether it still counts, sweeping out those that do not.

A timer is never taken out of the middle of the heap. It counts only while the record it is about still
names its due time, so a stale one fires into nothing. What a timer does when it is due: `clock.py`.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from typing import Final

from titan import limits
from titan.fsm.records.pools import AWAITED
from titan.fsm.state import JobState, State, Timer
from titan.ids import Digest, JobId, RunId, WorkerId

BLOB: Final = "blob"  # an unreferenced blob's lease ends; key: digest
CHECKPOINT: Final = "checkpoint"  # of a job that is over; key: run, job
GATE: Final = "gate"  # a gate has waited too long; key: run, job
KIN: Final = "kin"  # a sub-run ended or lost its parent; key: the sub-run
ASK: Final = "ask"  # a job whose trigger holds asks what it asks first; key: run, job
JOB: Final = "job"  # a delay or a back-off ends; key: run, job
QUEUE: Final = "queue"  # a ready job was not assigned in time; key: run, job
KV: Final = "kv"  # a key reaches its time to live; key: the key
LOCK: Final = "lock"  # a hold of a lock or a place in its queue ends; key: lock, claim
ROLLOUT: Final = "rollout"  # a new version of a service is not healthy in time; key: the name
SESSION: Final = "session"  # a client may have been silent too long; key: the client
STAGE: Final = "stage"  # a submission was never completed; key: run
FORGET: Final = "forget"  # finished runs may be too many or too old; no key
WORKER: Final = "worker"  # a lost worker is forgotten; key: the worker
DRAIN: Final = "drain"  # a draining worker's time is up; key: the worker
PAY: Final = "pay"  # jobs of a run wait for a budget that may have room; key: the run
BUDGET: Final = "budget"  # the wall time of a budget ends; key: the budget
LAUNCH: Final = "launch"  # a launched worker has not come; key: the launch

# Of timers that are due at one instant, those with the lower number go first. How many entries it takes to
# carry out what sets them must not decide that, so some always go after all others:
_LATE: Final = {
    PAY: 1 << 60,
    KIN: 1 << 61,
}  # first jobs end, then what waits is paid, then runs end
IN_TURN: Final = (1 << 60) - 1  # the part of a number that tells the turn in which it was drawn
_PUSH_COST: Final = 8  # pushing one costs about as much as passing so many when all are heaped anew
_SWEEP_MIN: Final = 1024  # below it a sweep saves nothing


def set_timer(state: State, kind: str, *key: str, due_ms: int) -> None:
    """Add a timer. The record it is about must already name `due_ms`."""
    if len(state.timers) >= state.timers_sweep_at:
        sweep(state)
    seq = state.next_timer_seq | _LATE.get(kind, 0)
    heapq.heappush(state.timers, Timer(due_ms, seq, kind, key))
    state.next_timer_seq += 1


def set_timers(state: State, run: RunId, due: Sequence[tuple[int, str, JobId]]) -> None:
    """Add timers about jobs of a run, all at once: due time, kind and job of each."""
    if not due:
        return
    if len(state.timers) + len(due) > state.timers_sweep_at:
        sweep(state)
        state.timers_sweep_at = max(state.timers_sweep_at, 2 * (len(state.timers) + len(due)))
    seq = state.next_timer_seq
    new = [Timer(due_ms, seq + at, kind, (run, job)) for at, (due_ms, kind, job) in enumerate(due)]
    state.next_timer_seq += len(due)
    if len(new) * _PUSH_COST > len(state.timers):
        state.timers.extend(new)
        heapq.heapify(state.timers)
    else:
        for timer in new:
            heapq.heappush(state.timers, timer)


def make_room(state: State, count: int) -> None:
    """So many timers are about to be set, over several entries: no sweep in between."""
    state.timers_sweep_at = max(state.timers_sweep_at, 2 * (len(state.timers) + count))


def sweep(state: State) -> None:
    """Drop the timers that no longer count; runs when the heap has doubled, so its cost is spread."""
    state.timers = [timer for timer in state.timers if counts(state, timer)]
    heapq.heapify(state.timers)
    state.timers_sweep_at = max(_SWEEP_MIN, 2 * len(state.timers))


def counts(state: State, timer: Timer) -> bool:
    """Whether the record that the timer is about still waits for exactly this time."""
    return _AWAITED_MS[timer.kind](state, timer.key) == timer.due_ms


def _blob_ms(state: State, key: tuple[str, ...]) -> int:
    blob = state.blobs.get(Digest(key[0]))
    return blob.due_ms if blob else 0


def _checkpoint_ms(state: State, key: tuple[str, ...]) -> int:
    checkpoint = state.checkpoints.get(RunId(key[0]), {}).get(JobId(key[1]))
    return checkpoint.expires_ms if checkpoint else 0


def _job_ms(state: State, key: tuple[str, ...]) -> int:
    job = state.job(RunId(key[0]), JobId(key[1]))
    return job.not_before_ms if job else 0


def _queue_ms(state: State, key: tuple[str, ...]) -> int:
    job = state.job(RunId(key[0]), JobId(key[1]))
    return job.queue_due_ms if job else 0


def _gate_ms(state: State, key: tuple[str, ...]) -> int:
    run = state.runs.get(RunId(key[0]))
    job = run.jobs.get(JobId(key[1])) if run else None
    if run is None or job is None or job.state is not JobState.WAITING:
        return 0
    return run.gates[job.id].due_ms


def _kin_ms(state: State, key: tuple[str, ...]) -> int:
    kin = state.kin.get(RunId(key[0]))
    return kin.due_ms if kin else 0


def _kv_ms(state: State, key: tuple[str, ...]) -> int:
    item = state.kv.get(key[0])
    return item.expires_ms if item else 0


def _lock_ms(state: State, key: tuple[str, ...]) -> int:
    lock = state.locks.get(key[0])
    claim = lock.claim(key[1]) if lock else None
    return claim.due_ms if claim else 0


def _rollout_ms(state: State, key: tuple[str, ...]) -> int:
    known = state.services.get(JobId(key[0]))
    return known.deadline_ms if known else 0


def _session_ms(state: State, key: tuple[str, ...]) -> int:
    session = state.sessions.get(key[0])
    return session.expires_ms if session else 0


def _stage_ms(state: State, key: tuple[str, ...]) -> int:
    stage = state.stages.get(RunId(key[0]))
    return stage.expires_ms if stage else 0


def _forget_ms(state: State, key: tuple[str, ...]) -> int:  # noqa: ARG001
    return state.forget_due_ms


def _worker_ms(state: State, key: tuple[str, ...]) -> int:
    worker = state.workers.get(WorkerId(key[0]))
    if worker is None or worker.online:
        return 0
    return worker.expired_ms + limits.WORKER_FORGET_MS


def _drain_ms(state: State, key: tuple[str, ...]) -> int:
    worker = state.workers.get(WorkerId(key[0]))
    return worker.drain_due_ms if worker else 0


def _launch_ms(state: State, key: tuple[str, ...]) -> int:
    launch = state.launches.get(key[0])
    return launch.due_ms if launch and launch.state in AWAITED else 0


def _pay_ms(state: State, key: tuple[str, ...]) -> int:
    run = state.runs.get(RunId(key[0]))
    return run.pay_due_ms if run else 0


def _budget_ms(state: State, key: tuple[str, ...]) -> int:
    budget = state.budgets.get(key[0])
    return budget.due_ms if budget else 0


_AWAITED_MS: Final[dict[str, Callable[[State, tuple[str, ...]], int]]] = {
    BLOB: _blob_ms,
    CHECKPOINT: _checkpoint_ms,
    FORGET: _forget_ms,
    GATE: _gate_ms,
    ASK: _job_ms,
    JOB: _job_ms,
    KIN: _kin_ms,
    QUEUE: _queue_ms,
    KV: _kv_ms,
    LOCK: _lock_ms,
    ROLLOUT: _rollout_ms,
    SESSION: _session_ms,
    STAGE: _stage_ms,
    WORKER: _worker_ms,
    DRAIN: _drain_ms,
    PAY: _pay_ms,
    BUDGET: _budget_ms,
    LAUNCH: _launch_ms,
}
