"""How many workers each pool should have: a pure decision from what waits, what is there and the time.

Up: to the minimum at once; beyond it for a queue that has lasted, no faster than doubling per cool-down,
never above the maximum, and after launches that failed only once the back-off is over. Down: workers
that have been idle for long, never a busy or a permanent one, never below the minimum, and none while
jobs wait that it could take. A demand that no pool can serve starts nothing. The state machine checks
the maximum and the idleness again (`titan.fsm.pools`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from titan.fsm.policy import backoff_ms
from titan.fsm.records.pools import Pool
from titan.ids import WorkerId
from titan.limits import (
    EPHEMERAL_IDLE_MS,
    LAUNCH_BACKOFF_CAP_MS,
    LAUNCH_BACKOFF_MS,
    LAUNCHES_PER_COMMAND_MAX,
    SATURATED_MS,
)
from titan.sched import rooms
from titan.sched.demand import Backlog
from titan.sched.rooms import Room
from titan.spec.model import DEFAULT_CAPABILITY

QUIET: Final = "quiet"  # as many as it needs
LAUNCHES: Final = "launches"
AT_MAX: Final = "at_max"
BACKS_OFF: Final = "backs_off"
COOLS_DOWN: Final = "cools_down"
STARTING: Final = "starting"  # what is on its way will do
SETTLING: Final = "settling"  # the queue may pass by itself


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """A worker that is online, as far as growing and shrinking goes."""

    worker: WorkerId
    pool: str = ""
    ephemeral: bool = False
    idle_ms: int = 0  # after which it leaves, as it said itself; 0: its pool's, or the default
    idle_since_ms: int | None = None  # None while it holds an attempt
    is_leaving: bool = False


class Situation(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that a decision depends on."""

    now_ms: int
    pools: Mapping[str, Pool]
    members: Sequence[Member]
    pending: Mapping[str, int]  # pool → launches whose worker has not registered
    backlogs: Sequence[Backlog]  # most urgent first


class LaunchWorkers(msgspec.Struct, frozen=True):
    """Start so many more."""

    pool: str
    count: int
    reason: str


class Retire(msgspec.Struct, frozen=True):
    """Let this one go."""

    worker: WorkerId
    reason: str


class Standing(msgspec.Struct, frozen=True):
    """Why a pool does what it does now. `wanted`: how many more workers the queue could use."""

    code: str
    text: str
    wanted: int = 0


class Decisions(msgspec.Struct, frozen=True, kw_only=True):
    """What to do now, and how each pool stands."""

    launches: tuple[LaunchWorkers, ...]
    retirements: tuple[Retire, ...]
    standings: dict[str, Standing]
    stranded: tuple[Backlog, ...]  # what no pool can serve, however large


def decide(seen: Situation) -> Decisions:
    """What follows from a situation. The same situation gives the same answer."""
    active = [seen.pools[name] for name in sorted(seen.pools) if not seen.pools[name].is_removed]
    plan = _spread(active, seen)
    launches: list[LaunchWorkers] = []
    standings: dict[str, Standing] = {}
    for pool in active:
        wanted = plan.wanted[pool.name]
        standing, launch = _grow(pool, seen, wanted=wanted)
        if standing.code == QUIET and pool.name in plan.waited_for:
            standing = _at_max(pool, wanted=0)
            if _present(seen, pool) < pool.workers_max:
                standing = Standing(SETTLING, "the queue may pass by itself")
        standings[pool.name] = standing
        if launch is not None:
            launches.append(launch)
    return Decisions(
        launches=tuple(launches),
        retirements=tuple(_shrink(seen, busy_pools=plan.waited_for)),
        standings=standings,
        stranded=tuple(plan.stranded),
    )


def serves(pool: Pool, backlog: Backlog) -> bool:
    """Whether an empty worker of the pool could take such a job."""
    return not rooms.lacks(
        backlog.need,
        capabilities=offered(pool),
        slots=pool.slots,
        resources=pool.resources,
    )


def offered(pool: Pool) -> tuple[str, ...]:
    """The tags of the pool's workers: every worker offers GENERAL."""
    return tuple(dict.fromkeys((DEFAULT_CAPABILITY, *pool.capabilities)))


# --- up -----------------------------------------------------------------------------------------------


class _Spread(msgspec.Struct):
    wanted: dict[str, int]  # pool → workers beyond those that exist or are on their way
    waited_for: dict[str, None]  # pools that something waits for
    stranded: list[Backlog]


def _spread(active: list[Pool], seen: Situation) -> _Spread:
    """Share the queue among the pools: what is on its way is filled first, the plainest pool first."""
    found = _Spread(dict.fromkeys((pool.name for pool in active), 0), {}, [])
    order = sorted(active, key=lambda pool: (len(offered(pool)), len(pool.resources), pool.name))
    coming = {
        pool.name: [_room(pool) for _ in range(seen.pending.get(pool.name, 0))] for pool in active
    }
    for backlog in seen.backlogs:
        able = [pool for pool in order if serves(pool, backlog)]
        if not able:
            found.stranded.append(backlog)
        left = backlog.count
        for pool in able:
            found.waited_for[pool.name] = None
        if seen.now_ms - backlog.since_ms < SATURATED_MS:
            continue
        for pool in able:
            for room in coming[pool.name]:
                left -= room.take(backlog.need, left)
        for pool in able:
            ceiling = pool.workers_max - _present(seen, pool)
            while left > 0 and found.wanted[pool.name] < ceiling:
                room = _room(pool)
                left -= room.take(backlog.need, left)
                coming[pool.name].append(room)
                found.wanted[pool.name] += 1
        if left and able:
            found.wanted[able[0].name] += 1  # it would use more than every maximum allows
    return found


def _room(pool: Pool) -> Room:
    return Room(slots=pool.slots, resources=pool.resources)


def _present(seen: Situation, pool: Pool) -> int:
    """Workers of the pool that stay, and those on their way."""
    staying = sum(one.pool == pool.name and not one.is_leaving for one in seen.members)
    return staying + seen.pending.get(pool.name, 0)


def _grow(pool: Pool, seen: Situation, *, wanted: int) -> tuple[Standing, LaunchWorkers | None]:
    """How the pool stands, and what it launches now."""
    present = _present(seen, pool)
    missing = pool.workers_min - present
    room = pool.workers_max - present
    resume_ms = _backs_off_until_ms(pool)
    if missing <= 0 and not wanted:
        code = STARTING if seen.pending.get(pool.name) else QUIET
        text = "what is on its way will do" if code == STARTING else "it has what it needs"
        return Standing(code, text), None
    if room <= 0:
        return _at_max(pool, wanted=wanted), None
    if seen.now_ms < resume_ms:
        text = f"it backs off for {resume_ms - seen.now_ms} ms: {pool.last_error}"
        return Standing(BACKS_OFF, text, wanted), None
    if pool.failures and seen.pending.get(pool.name):
        return Standing(STARTING, "it waits for one launch after others failed", wanted), None
    if pool.failures:
        return _launch(pool, 1, wanted, "tries again after launches that failed")
    if missing > 0:
        return _launch(pool, min(missing, room), wanted, f"has {present}, at least {missing} more")
    return _grow_for_queue(pool, seen, wanted=wanted, present=present)


def _at_max(pool: Pool, *, wanted: int) -> Standing:
    return Standing(AT_MAX, f"it has its maximum of {pool.workers_max}", wanted)


def _grow_for_queue(
    pool: Pool, seen: Situation, *, wanted: int, present: int
) -> tuple[Standing, LaunchWorkers | None]:
    cool_ms = pool.launched_ms + pool.cooldown_ms if pool.launched_ms else 0
    if seen.now_ms < cool_ms:
        text = f"it launches again in {cool_ms - seen.now_ms} ms"
        return Standing(COOLS_DOWN, text, wanted), None
    count = min(wanted, max(1, present), pool.workers_max - present)
    return _launch(pool, count, wanted, f"jobs wait that {wanted} more could take")


def _launch(
    pool: Pool, count: int, wanted: int, reason: str
) -> tuple[Standing, LaunchWorkers | None]:
    count = min(count, LAUNCHES_PER_COMMAND_MAX)
    return Standing(LAUNCHES, reason, wanted), LaunchWorkers(pool.name, count, reason)


def _backs_off_until_ms(pool: Pool) -> int:
    if not pool.failures:
        return 0
    wait_ms = backoff_ms(pool.failures, base_ms=LAUNCH_BACKOFF_MS, cap_ms=LAUNCH_BACKOFF_CAP_MS)
    return pool.failed_ms + wait_ms


# --- down ---------------------------------------------------------------------------------------------


def _shrink(seen: Situation, *, busy_pools: Mapping[str, None]) -> list[Retire]:
    """Who leaves: the longest idle first, so that the others have what they need to be idle too."""
    spare = {name: _spare(pool, seen) for name, pool in seen.pools.items()}
    found: list[Retire] = []
    idle = [one for one in seen.members if one.ephemeral and not one.is_leaving]
    for one in sorted(idle, key=lambda one: (one.idle_since_ms or 0, one.worker)):
        if one.idle_since_ms is None:
            continue
        pool = seen.pools.get(one.pool)
        idle_for_ms = seen.now_ms - one.idle_since_ms
        if pool is None:
            if idle_for_ms >= (one.idle_ms or EPHEMERAL_IDLE_MS):
                found.append(Retire(one.worker, f"idle for {idle_for_ms} ms"))
            continue
        above_max = spare[pool.name] > pool.workers_max - pool.workers_min
        is_due = idle_for_ms >= pool.idle_ms and pool.name not in busy_pools
        if spare[pool.name] > 0 and (above_max or is_due):
            spare[pool.name] -= 1
            reason = "above the maximum" if above_max else f"idle for {idle_for_ms} ms"
            found.append(Retire(one.worker, reason))
    return found


def _spare(pool: Pool, seen: Situation) -> int:
    """How many of its workers the pool could lose. Those on their way do not count: they may fail."""
    floor = 0 if pool.is_removed else pool.workers_min
    return sum(one.pool == pool.name and not one.is_leaving for one in seen.members) - floor
