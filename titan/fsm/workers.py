"""Workers: joining, leaving, and whether they take work.

Heartbeats are not here: they never enter the log, only what they change does.
"""

from __future__ import annotations

from typing import Final

from titan.config import PORT_MAX
from titan.fsm import attempts, pools, services, timers
from titan.fsm.commands import (
    DescribeWorker,
    ExpireWorker,
    JoinWorker,
    RetireWorker,
    SetWorkerMode,
)
from titan.fsm.events import WorkerChanged, WorkerExpired, WorkerJoined
from titan.fsm.handling import Stamp, Turn, handles
from titan.fsm.outcomes import Applied, Outcome, Rejected
from titan.fsm.state import State, Worker
from titan.limits import (
    DURATION_MS_MAX,
    HOST_CHARS_MAX,
    NAME_CHARS_MAX,
    SLOTS_PER_WORKER_MAX,
    WORKER_FORGET_MS,
    WORKERS_MAX,
)

MODES: Final = ("open", "cordoned", "draining")


@handles(JoinWorker)
def join_worker(state: State, cmd: JoinWorker, at: Stamp) -> Outcome:
    """A worker is here, for the first time, again, or in a new life.

    Attempts of its former life that it does not hold died with it and are closed as lost. Whether
    another live process uses the same id is for the leader to find out before it proposes this.
    """
    refusal = _why_not(state, cmd)
    if refusal is not None:
        return refusal
    worker = state.workers.get(cmd.worker)
    if worker is not None and worker.incarnation != cmd.incarnation:
        gone = [number for number in worker.live if number not in cmd.holds]
        refusal = attempts.why_not_lost(state, gone)
        if refusal is not None:
            return refusal
    turn = Turn(state, at)
    if worker is None:
        worker = Worker(
            id=cmd.worker,
            incarnation=cmd.incarnation,
            name=cmd.name,
            capabilities=(),
            slots=cmd.slots,
            resources={},
            joined_ms=at.now_ms,
        )
        state.workers[cmd.worker] = worker
    elif worker.incarnation != cmd.incarnation:
        _begin_new_life(turn, worker, cmd)
    worker.name = cmd.name
    worker.capabilities = cmd.capabilities
    worker.slots = cmd.slots
    worker.resources = cmd.resources
    worker.version = cmd.version
    worker.ephemeral = cmd.ephemeral
    worker.idle_ms = cmd.idle_ms
    worker.online = True
    worker.expired_ms = 0
    if cmd.launch:
        pools.joined(turn, worker, cmd.launch)
    turn.events.append(WorkerJoined(worker.id))
    return turn.done()


def _why_not(state: State, cmd: JoinWorker) -> Rejected | None:
    if not cmd.worker or len(cmd.worker) > NAME_CHARS_MAX:
        return Rejected("invalid", f"a worker id has 1 to {NAME_CHARS_MAX} characters")
    if not 1 <= cmd.slots <= SLOTS_PER_WORKER_MAX:
        return Rejected("invalid", f"a worker has 1 to {SLOTS_PER_WORKER_MAX} slots")
    if any(amount < 0 for amount in cmd.resources.values()):
        return Rejected("invalid", "a worker cannot offer less than nothing")
    if cmd.worker not in state.workers and len(state.workers) >= WORKERS_MAX:
        return Rejected("too_large", f"the cluster already knows {WORKERS_MAX} workers")
    if not 0 <= cmd.idle_ms <= DURATION_MS_MAX:
        return Rejected("invalid", "an idle time is 0 or more")
    return pools.refuses(state, cmd.launch, cmd.worker) if cmd.launch else None


def _begin_new_life(turn: Turn, worker: Worker, cmd: JoinWorker) -> None:
    for number in list(worker.live):
        attempt = turn.state.attempts[number]
        if number in cmd.holds:
            attempt.incarnation = cmd.incarnation
        else:
            attempts.release(turn, attempt, cause="lost")
    worker.incarnation = cmd.incarnation
    worker.joined_ms = turn.at.now_ms
    if worker.mode == "draining":
        worker.mode = (
            "open"  # it has left, as it was told to; it is here because it was started again
        )
        worker.drain_due_ms = 0


@handles(ExpireWorker)
def expire_worker(state: State, cmd: ExpireWorker, at: Stamp) -> Outcome:
    """The worker is gone: its attempts are lost, and so is the worker itself a day later."""
    worker = state.workers.get(cmd.worker)
    if worker is None:
        return Rejected("unknown_worker", f"there is no worker {cmd.worker}")
    if worker.incarnation != cmd.incarnation:
        return Rejected("stale_incarnation", f"worker {cmd.worker} has begun another life")
    if not worker.online:
        return Applied()
    refusal = attempts.why_not_lost(state, worker.live)
    if refusal is not None:
        return refusal
    turn = Turn(state, at)
    worker.online = False
    worker.expired_ms = at.now_ms
    worker.drain_due_ms = 0
    has_left = cmd.cause == "left"
    turn.events.append(WorkerExpired(worker.id))
    for number in list(worker.live):
        attempts.release(turn, state.attempts[number], cause="left" if has_left else "lost")
    pools.worker_gone(turn, worker)
    if has_left and worker.ephemeral:
        del state.workers[worker.id]  # it was not to last: nobody waits for its return
    else:
        timers.set_timer(state, timers.WORKER, worker.id, due_ms=at.now_ms + WORKER_FORGET_MS)
    return turn.done()


# --- whether they take work -------------------------------------------------------------------------


@handles(SetWorkerMode)
def set_worker_mode(state: State, cmd: SetWorkerMode, at: Stamp) -> Outcome:
    """Open, cordon or drain a worker. A drain may have a limit, and a second one may change it."""
    if cmd.mode not in MODES:
        return Rejected("invalid", f"a worker is {', '.join(MODES[:-1])} or {MODES[-1]}")
    timeout_ms = cmd.timeout_ms
    if timeout_ms is not None and (cmd.mode != "draining" or not 0 <= timeout_ms < DURATION_MS_MAX):
        return Rejected("invalid", "only a drain has a time limit, and that is 0 or more")
    worker = state.workers.get(cmd.worker)
    if worker is None:
        return Rejected("unknown_worker", f"there is no worker {cmd.worker}")
    if worker.mode == cmd.mode and timeout_ms is None:
        return Applied()
    if cmd.mode == "draining":
        moved = worker.live if timeout_ms == 0 else services.of_worker(state, worker)
        refusal = attempts.why_not_lost(state, moved)
        if refusal is not None:
            return refusal
    turn = Turn(state, at)
    worker.mode = cmd.mode
    worker.drain_due_ms = 0
    turn.events.append(WorkerChanged(worker.id))
    if cmd.mode == "draining":
        _drain(turn, worker, timeout_ms=timeout_ms)
    return turn.done()


def _drain(turn: Turn, worker: Worker, *, timeout_ms: int | None) -> None:
    """Move at once what does not end by itself; all else has until the limit, if there is one."""
    if timeout_ms == 0:
        clear_out(turn, worker)
        return
    services.leave_worker(turn, worker)
    if timeout_ms is not None and worker.online:
        worker.drain_due_ms = turn.at.now_ms + timeout_ms
        timers.set_timer(turn.state, timers.DRAIN, worker.id, due_ms=worker.drain_due_ms)


def clear_out(turn: Turn, worker: Worker) -> None:
    """Take everything from a draining worker: its jobs go elsewhere and spend no retry."""
    worker.drain_due_ms = 0
    for number in list(worker.live):
        attempts.release(turn, turn.state.attempts[number], cause="drained")


@handles(RetireWorker)
def retire_worker(state: State, cmd: RetireWorker, at: Stamp) -> Outcome:
    """Let an ephemeral worker go that has nothing to do: what was true when it was asked may not be now."""
    worker = state.workers.get(cmd.worker)
    if worker is None or worker.incarnation != cmd.incarnation:
        return Rejected("unknown_worker", f"there is no such worker {cmd.worker}")
    if not worker.ephemeral:
        return Rejected("permanent", f"worker {cmd.worker} is permanent")
    if worker.live:
        return Rejected("worker_busy", f"worker {cmd.worker} holds {len(worker.live)} attempts")
    if not worker.online or worker.mode == "draining":
        return Applied()
    turn = Turn(state, at)
    worker.mode = "draining"
    turn.events.append(WorkerChanged(worker.id))
    return turn.done()


@handles(DescribeWorker)
def describe_worker(state: State, cmd: DescribeWorker, at: Stamp) -> Outcome:
    """Note where a worker's services can be reached."""
    worker = state.workers.get(cmd.worker)
    if worker is None:
        return Rejected("unknown_worker", f"there is no worker {cmd.worker}")
    first, last = cmd.ports
    if not 0 < first <= last <= PORT_MAX or max(len(cmd.host), len(cmd.machine)) > HOST_CHARS_MAX:
        return Rejected(
            "invalid", f"ports are 1 to {PORT_MAX}, names have {HOST_CHARS_MAX} characters"
        )
    if (worker.host, worker.machine, worker.ports) == (cmd.host, cmd.machine, cmd.ports):
        return Applied()
    turn = Turn(state, at)
    worker.host, worker.machine, worker.ports = cmd.host, cmd.machine, cmd.ports
    turn.events.append(WorkerChanged(worker.id))
    return turn.done()
