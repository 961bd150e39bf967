"""Pools and what they launch: the records that outlive a leader.

The autoscaler may be wrong or late, and two leaders may believe that they reign: so the maximum of a
pool is checked here, and a worker that comes of a launch is let in once, while it is awaited.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

from titan.fsm import timers
from titan.fsm.commands import RecordLaunch, RemovePool, SetPool, SettleLaunch
from titan.fsm.events import PoolChanged, WorkerChanged
from titan.fsm.handling import Stamp, Turn, handles
from titan.fsm.outcomes import Applied, Outcome, Rejected
from titan.fsm.records.pools import ASKED, AWAITED, ENDING, JOINED, STARTED, Launch, Pool
from titan.fsm.state import State, Worker
from titan.ids import is_job_id
from titan.limits import (
    DURATION_MS_MAX,
    ERROR_TEXT_BYTES_MAX,
    LAUNCHES_MAX,
    LAUNCHES_PER_COMMAND_MAX,
    NAME_CHARS_MAX,
    POOL_WORKERS_MAX,
    POOLS_MAX,
    SECRET_CHARS_MAX,
    SLOTS_PER_WORKER_MAX,
    URL_CHARS_MAX,
)

PROVIDERS: Final = ("local", "webhook")
_OUTCOMES: Final = ("started", "failed", "ended")


# --- pools ------------------------------------------------------------------------------------------


@handles(SetPool)
def set_pool(state: State, cmd: SetPool, at: Stamp) -> Outcome:
    """Make a pool or change one."""
    known = state.pools.get(cmd.name)
    why = _wrong_pool(cmd) or _wrong_webhook(cmd, known)
    if why:
        return Rejected("invalid", why)
    if known is not None and known.provider != cmd.provider and _has_launches(state, known):
        why = f"pool {cmd.name} has workers of its {known.provider} provider; remove it first"
        return Rejected("invalid", why)
    if known is None and len(state.pools) >= POOLS_MAX:
        return Rejected("too_large", f"the cluster already has {POOLS_MAX} pools")
    turn = Turn(state, at)
    pool = Pool(**{name: getattr(cmd, name) for name in cmd.__struct_fields__})
    if known is not None:
        pool.secret = cmd.secret or (known.secret if cmd.provider == "webhook" else "")
        pool.launched_ms = known.launched_ms
    state.pools[cmd.name] = pool  # a change also ends a back-off: people mend what failed
    turn.events.append(PoolChanged(cmd.name))
    return turn.done("made" if known is None or known.is_removed else "changed")


def _wrong_pool(cmd: SetPool) -> str:
    if not is_job_id(cmd.name):
        return "a pool's name has 1 to 128 characters of A-Z a-z 0-9 . _ -"
    if cmd.provider not in PROVIDERS:
        return f"a provider is {' or '.join(PROVIDERS)}, not {cmd.provider}"
    if not 0 <= cmd.workers_min <= cmd.workers_max <= POOL_WORKERS_MAX:
        return f"min and max are 0 to {POOL_WORKERS_MAX}, and min is not above max"
    if not 1 <= cmd.slots <= SLOTS_PER_WORKER_MAX:
        return f"a worker has 1 to {SLOTS_PER_WORKER_MAX} slots"
    if any(amount < 0 for amount in cmd.resources.values()):
        return "a worker cannot offer less than nothing"
    times = (cmd.idle_ms, cmd.cooldown_ms, cmd.register_ms)
    if not all(0 <= time_ms <= DURATION_MS_MAX for time_ms in times) or not cmd.register_ms:
        return "idle and cool-down times are 0 or more, the time to register is more than 0"
    for tag in cmd.capabilities:
        if not tag or "," in tag or tag != tag.strip() or len(tag) > NAME_CHARS_MAX:
            return f"{tag!r} is not a capability tag"
    return ""


def _wrong_webhook(cmd: SetPool, known: Pool | None) -> str:
    if cmd.provider != "webhook":
        return "only a webhook has a URL and a secret" if cmd.url or cmd.secret else ""
    if not cmd.secret and (known is None or not known.secret):
        return "a webhook needs a secret: what it gets is signed with it"
    if len(cmd.url) > URL_CHARS_MAX or len(cmd.secret) > SECRET_CHARS_MAX:
        return f"a URL has at most {URL_CHARS_MAX} characters, a secret {SECRET_CHARS_MAX}"
    try:
        parts = urlsplit(cmd.url)
        is_whole = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return "the URL of a webhook cannot be read"
    if not is_whole or parts.username or parts.password:
        return "the URL of a webhook is http:// or https:// with a host and without a password"
    return ""


@handles(RemovePool)
def remove_pool(state: State, cmd: RemovePool, at: Stamp) -> Outcome:
    """Give up what is on its way; let its ephemeral workers finish and leave."""
    pool = state.pools.get(cmd.name)
    if pool is None or pool.is_removed:
        return Rejected("unknown_pool", f"there is no pool {cmd.name}")
    turn = Turn(state, at)
    pool.is_removed = True
    for launch in [launch for launch in state.launches.values() if launch.pool == cmd.name]:
        if launch.state in AWAITED:
            launch.state = ENDING
        worker = state.workers.get(launch.worker)
        if launch.state == JOINED and worker is not None and worker.ephemeral:
            worker.mode = "draining"
            turn.events.append(WorkerChanged(worker.id))
    _drop_if_done(turn, pool)
    turn.events.append(PoolChanged(cmd.name))
    return turn.done()


def _drop_if_done(turn: Turn, pool: Pool) -> None:
    if pool.is_removed and not _has_launches(turn.state, pool):
        del turn.state.pools[pool.name]


def _has_launches(state: State, pool: Pool) -> bool:
    return any(launch.pool == pool.name for launch in state.launches.values())


# --- launches ---------------------------------------------------------------------------------------


@handles(RecordLaunch)
def record_launch(state: State, cmd: RecordLaunch, at: Stamp) -> Outcome:
    """Note that workers are to be started, if the pool may have them."""
    pool = state.pools.get(cmd.pool)
    if pool is None or pool.is_removed:
        return Rejected("unknown_pool", f"there is no pool {cmd.pool}")
    fresh = [name for name in dict.fromkeys(cmd.launches) if name not in state.launches]
    if len(cmd.launches) > LAUNCHES_PER_COMMAND_MAX:
        return Rejected("too_large", f"at most {LAUNCHES_PER_COMMAND_MAX} can be asked for at once")
    if not all(is_job_id(name) for name in fresh):
        return Rejected("invalid", "a launch id has 1 to 128 characters of A-Z a-z 0-9 . _ -")
    present = population(state, pool.name)
    if present + len(fresh) > pool.workers_max:
        why = f"pool {pool.name} has {present} workers and may have {pool.workers_max}"
        return Rejected("pool_full", why)
    if len(state.launches) + len(fresh) > LAUNCHES_MAX:
        return Rejected("too_large", f"at most {LAUNCHES_MAX} launched workers are possible")
    turn = Turn(state, at)
    for name in fresh:
        due_ms = at.now_ms + pool.register_ms
        state.launches[name] = Launch(
            id=name,
            pool=pool.name,
            state=ASKED,
            asked_ms=at.now_ms,
            due_ms=due_ms,
            master=cmd.master,
        )
        timers.set_timer(state, timers.LAUNCH, name, due_ms=due_ms)
    if fresh:
        pool.launched_ms = at.now_ms
        turn.events.append(PoolChanged(pool.name))
    return turn.done(len(fresh))


def population(state: State, pool: str) -> int:
    """How many workers of the pool there are, or will be soon."""
    return sum(one.pool == pool and one.state != ENDING for one in state.launches.values())


@handles(SettleLaunch)
def settle_launch(state: State, cmd: SettleLaunch, at: Stamp) -> Outcome:
    """Take in what a provider said. What comes late, after the worker itself, changes nothing."""
    if cmd.outcome not in _OUTCOMES:
        return Rejected("invalid", f"a launch has {', '.join(_OUTCOMES[:-1])} or {_OUTCOMES[-1]}")
    launch = state.launches.get(cmd.launch)
    if launch is None:
        return Rejected("unknown_launch", f"there is no launch {cmd.launch}")
    turn = Turn(state, at)
    if cmd.outcome == "ended" and launch.state == ENDING:
        forget_launch(turn, launch)
    elif cmd.outcome == "failed" and launch.state in AWAITED:
        launch_failed(turn, launch, why=cmd.why)
    elif cmd.outcome == "started" and launch.state in AWAITED:
        launch.state = STARTED
        launch.master = cmd.master
    else:
        return Applied()
    turn.events.append(PoolChanged(launch.pool))
    return turn.done()


def launch_failed(turn: Turn, launch: Launch, *, why: str) -> None:
    """Its worker did not come, or will not: the pool backs off, and what is left of it is taken down."""
    pool = turn.state.pools[launch.pool]
    pool.failures += 1
    pool.failed_ms = turn.at.now_ms
    pool.last_error = why.encode()[:ERROR_TEXT_BYTES_MAX].decode(errors="ignore")
    launch.state = ENDING
    turn.events.append(PoolChanged(pool.name))


def forget_launch(turn: Turn, launch: Launch) -> None:
    """Nothing of it is left anywhere."""
    del turn.state.launches[launch.id]
    _drop_if_done(turn, turn.state.pools[launch.pool])


# --- workers that come of a launch ------------------------------------------------------------------


def refuses(state: State, launch_id: str, worker: str) -> Rejected | None:
    """Why a worker that names this launch is not let in; None when it may come.

    One launch lets one worker in. Providers that were called twice, by two leaders, started two.
    """
    launch = state.launches.get(launch_id)
    if launch is None or launch.state == ENDING:
        return Rejected("launch_over", f"launch {launch_id} is not awaited, or not any more")
    if launch.worker and launch.worker != worker:
        return Rejected("launch_over", f"launch {launch_id} has its worker already")
    return None


def joined(turn: Turn, worker: Worker, launch_id: str) -> None:
    """The worker of a launch is here: the pool has nothing to back off from."""
    if worker.launch != launch_id:
        worker_gone(turn, worker)
    launch = turn.state.launches[launch_id]
    launch.state, launch.worker = JOINED, worker.id
    worker.launch, worker.pool = launch.id, launch.pool
    pool = turn.state.pools[launch.pool]
    pool.failures, pool.last_error = 0, ""
    turn.events.append(PoolChanged(launch.pool))


def worker_gone(turn: Turn, worker: Worker) -> None:
    """The worker of a launch left or was lost. Its machine, if there is one, is to be taken down."""
    launch = turn.state.launches.get(worker.launch)
    if launch is not None and launch.state == JOINED:
        launch.state = ENDING
        turn.events.append(PoolChanged(launch.pool))
