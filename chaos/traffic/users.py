"""All clients of a run: some follow the leader, one is pinned to each master, some want locks or runs."""

from __future__ import annotations

import asyncio
from typing import Final, Protocol

from chaos.client import PinnedClient
from chaos.faults.base import World
from chaos.traffic.kv import Keys, KvTraffic, Store
from chaos.traffic.locks import LockTraffic
from chaos.traffic.runs import RunTraffic
from chaos.traffic.services import service_users
from titan.sdk import AsyncClient

CLIENT_DEADLINE_S: Final = 8.0
FOLLOWING_CLIENTS: Final = 4
LOCK_CLIENTS: Final = 2
RUN_CLIENTS: Final = 2
RUN_REST_S: Final = 1.0


class User(Protocol):
    """Somebody who uses the cluster until told to stop."""

    name: str

    async def run(self, until: asyncio.Event) -> None: ...


def start_users(
    world: World, *, seed: int, rest_ms: float, runs: bool, until: asyncio.Event
) -> list[asyncio.Task[None]]:
    """Start everyone; `runs` needs workers."""
    users = [*_keepers(world, seed, rest_ms / 1000), *_lockers(world, seed)]
    if runs:
        users += [*_runners(world, seed), *service_users(world, seed)]
    return [asyncio.create_task(user.run(until), name=user.name) for user in users]


def _keepers(world: World, seed: int, rest_s: float) -> list[User]:
    """Of the store. They share keys, so that they meet."""
    keys = Keys()
    stores: dict[str, Store] = {}
    for n in range(FOLLOWING_CLIENTS):
        stores[f"follow-{n}"] = _follower(world)
    for n, address in enumerate(world.cluster.addresses):
        stores[f"pinned-{n}"] = PinnedClient(address)
    return [
        KvTraffic(name, store, keys, world.recorder, seed=f"{seed}/{name}", rest_s=rest_s)
        for name, store in stores.items()
    ]


def _lockers(world: World, seed: int) -> list[User]:
    names = [f"locker-{n}" for n in range(LOCK_CLIENTS)]
    return [
        LockTraffic(name, _follower(world), world.recorder, seed=f"{seed}/{name}") for name in names
    ]


def _runners(world: World, seed: int) -> list[User]:
    cluster = world.cluster
    return [
        RunTraffic(
            f"runner-{n}",
            cluster.addresses,
            world.recorder,
            records=cluster.records,
            seed=f"{seed}/runner-{n}",
            rest_s=RUN_REST_S,
        )
        for n in range(RUN_CLIENTS)
    ]


def _follower(world: World) -> AsyncClient:
    return AsyncClient(list(world.cluster.addresses), deadline_s=CLIENT_DEADLINE_S)
