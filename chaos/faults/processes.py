"""Kills and pauses of masters and workers."""

from __future__ import annotations

import asyncio

from chaos.control import Member
from chaos.faults.base import Injected, World

ROLL_TIMEOUT_S = 20.0


async def kill_leader(world: World) -> Injected:
    """SIGKILL to the leader; it comes back."""
    return await _kill(world, [await world.leader()])


async def kill_follower(world: World) -> Injected:
    """SIGKILL to a follower."""
    return await _kill(world, [await world.follower()])


async def kill_all(world: World) -> Injected:
    """SIGKILL to every master at once."""
    return await _kill(world, world.cluster.masters)


async def kill_worker(world: World) -> Injected:
    """SIGKILL to a worker."""
    return await _kill(world, [world.rng.choice(world.cluster.workers)])


async def pause_leader(world: World) -> Injected:
    """SIGSTOP to the leader: silent, with all its connections, certain that it leads when it wakes."""
    return _pause(await world.leader())


async def pause_follower(world: World) -> Injected:
    """SIGSTOP to a follower."""
    return _pause(await world.follower())


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
