"""Partitions of every shape, and slow links, between masters. Clients and workers reach everyone, so
that both sides of a partition are asked."""

from __future__ import annotations

from collections.abc import Iterable

from chaos.faults.base import Injected, World

Pair = tuple[int, int]
DELAYS_MS = (50, 150, 400)


async def isolate_leader(world: World) -> Injected:
    """Nothing passes between the leader and the others."""
    leader = await world.leader()
    return await _cut(world, _around(world, world.number(leader)), leader.name)


async def isolate_follower(world: World) -> Injected:
    """Nothing passes between a follower and the others."""
    follower = await world.follower()
    return await _cut(world, _around(world, world.number(follower)), follower.name)


async def leader_in_minority(world: World) -> Injected:
    """The leader and one follower on one side, the majority on the other."""
    leader, follower = await world.leader(), await world.follower()
    few = [world.number(leader), world.number(follower)]
    many = [n for n in range(len(world.cluster.masters)) if n not in few]
    pairs = [pair for a in few for b in many for pair in ((a, b), (b, a))]
    return await _cut(world, pairs, f"{leader.name}, {follower.name}")


async def deaf_leader(world: World) -> Injected:
    """The leader's messages arrive, the answers do not."""
    leader = await world.leader()
    n = world.number(leader)
    return await _cut(world, [pair for pair in _around(world, n) if pair[1] == n], leader.name)


async def mute_leader(world: World) -> Injected:
    """The others' messages arrive at the leader, its own nowhere."""
    leader = await world.leader()
    n = world.number(leader)
    return await _cut(world, [pair for pair in _around(world, n) if pair[0] == n], leader.name)


async def bridge(world: World) -> Injected:
    """Every master but one sees only that one: with three, the leader loses one of two followers; with
    five, two pairs that share a member."""
    masters = list(range(len(world.cluster.masters)))
    world.rng.shuffle(masters)
    middle, *rest = masters
    half = len(rest) // 2
    pairs = [pair for a in rest[:half] for b in rest[half:] for pair in ((a, b), (b, a))]
    return await _cut(world, pairs, f"bridge at {world.cluster.masters[middle].name}")


async def ring(world: World) -> Injected:
    """Each master is heard by the next one only: messages go round one way."""
    count = len(world.cluster.masters)
    pairs = [(i, j) for i in range(count) for j in range(count) if i != j and j != (i + 1) % count]
    return await _cut(world, pairs, "one-way ring")


async def slow_master(world: World) -> Injected:
    """Everything that one master sends to the others is late."""
    master = world.rng.choice(world.cluster.masters)
    n, delay_ms = world.number(master), world.rng.choice(DELAYS_MS)
    await world.cluster.network.slow(n, delay_ms=delay_ms)

    async def heal() -> None:
        await world.cluster.network.slow(n, delay_ms=0)

    return Injected(f"{master.name} by {delay_ms} ms", heal)


def _around(world: World, n: int) -> list[Pair]:
    others = [other for other in range(len(world.cluster.masters)) if other != n]
    return [pair for other in others for pair in ((n, other), (other, n))]


async def _cut(world: World, pairs: Iterable[Pair], target: str) -> Injected:
    cut = list(pairs)
    for pair in cut:
        await world.cluster.network.cut(*pair)

    async def heal() -> None:
        for pair in cut:
            await world.cluster.network.mend(*pair)

    return Injected(target, heal)
