"""Kills and pauses of masters and workers."""

from __future__ import annotations

import asyncio

import psutil

from chaos.control import Member
from chaos.faults.base import Injected, World

ROLL_TIMEOUT_S = 20.0
ORPHANS_TIMEOUT_S = 1.5  # shorter than the longest jobs of the traffic


async def kill_leader(world: World) -> Injected:
    """SIGKILL to the leader; it comes back."""
    return await _kill(world, [await world.leader()])


async def kill_follower(world: World) -> Injected:
    """SIGKILL to a follower."""
    return await _kill(world, [await world.follower()])


async def kill_two(world: World) -> Injected:
    """SIGKILL to the leader and a follower at once: three of five go on."""
    return await _kill(world, await _leader_and_follower(world))


async def kill_all(world: World) -> Injected:
    """SIGKILL to every master at once."""
    return await _kill(world, world.cluster.masters)


async def kill_worker(world: World) -> Injected:
    """SIGKILL to a worker; nothing that it started may outlive it for long."""
    worker = world.rng.choice(world.cluster.workers)
    started = psutil.Process(worker.pid).children(recursive=True) if worker.is_alive else []
    injected = await _kill(world, [worker])
    _, left = await asyncio.to_thread(psutil.wait_procs, started, ORPHANS_TIMEOUT_S)
    names = [name for name in map(_describe, left) if name]
    if names:
        world.broken("jobs die with their worker", f"{worker.name} left {len(names)}", *names)
    return injected


async def pause_leader(world: World) -> Injected:
    """SIGSTOP to the leader: silent, with all its connections, certain that it leads when it wakes."""
    return _pause(await world.leader())


async def pause_follower(world: World) -> Injected:
    """SIGSTOP to a follower."""
    return _pause(await world.follower())


async def pause_two(world: World) -> Injected:
    """SIGSTOP to the leader and a follower; both wake with what they believed before."""
    both = [_pause(member) for member in await _leader_and_follower(world)]

    async def heal() -> None:
        for one in both:
            await one.heal()

    return Injected(", ".join(one.target for one in both), heal)


async def pause_worker(world: World) -> Injected:
    """SIGSTOP to a worker; held longer than its lease it is a zombie that reports when it wakes."""
    return _pause(world.rng.choice(world.cluster.workers))


async def rolling_restart(world: World) -> Injected:
    """SIGTERM and a new start, one master after another, each when the cluster is whole."""
    for master in world.cluster.masters:
        await master.stop()
        master.start()
        if not await world.monitor.wait_whole(timeout_s=ROLL_TIMEOUT_S):
            what = f"{master.name} was not back {ROLL_TIMEOUT_S:.0f} s after an orderly restart"
            world.broken("recovery", what)
            break
    return Injected("every master", _nothing)


async def _leader_and_follower(world: World) -> list[Member]:
    leader = await world.leader()
    return [leader, world.rng.choice([m for m in world.cluster.masters if m is not leader])]


def _describe(process: psutil.Process) -> str:
    """Who it is; "" when it is dead and only waits to be buried."""
    try:
        is_dead = process.status() == psutil.STATUS_ZOMBIE
        return "" if is_dead else f"{process.pid} {' '.join(process.cmdline())[:100]}"
    except psutil.NoSuchProcess:
        return ""


async def _nothing() -> None:
    """There is nothing to undo."""


async def _kill(world: World, members: list[Member]) -> Injected:
    await asyncio.gather(*(member.kill() for member in members))

    async def heal() -> None:
        for member in members:
            await world.cluster.restart(member)

    return Injected(", ".join(member.name for member in members), heal)


def _pause(member: Member) -> Injected:
    member.pause()

    async def heal() -> None:
        member.resume()

    return Injected(member.name, heal)
