"""Watches tell every change once, whatever breaks; whoever waits for one thing is told, not polling."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable

import pytest

from tests.sdk.fake_cluster import FakeCluster
from titan.errors import Conflict, TimedOut
from titan.fsm.commands import KvDelete, KvPut, KvSetAdd
from titan.master import key_history
from titan.sdk import ANY, AsyncClient
from titan.sdk.watching import KeyChange

Make = Callable[..., Awaitable[FakeCluster]]
Told = list[tuple[str, int, str | None]]


async def collect(client: AsyncClient, told: Told, *, last: str) -> None:
    async for change in client.watch("k/"):
        told.append((change.key, change.index, value_of(change)))
        if change.key == last:
            return


def value_of(change: KeyChange) -> str | None:
    return None if change.item is None else str(change.item.value)


def write_something(cluster: FakeCluster, dice: random.Random, expected: Told) -> None:
    key = f"{dice.choice('kx')}/{dice.randrange(3)}"
    if dice.random() < 0.3:
        gone = cluster.propose(KvDelete(key=key))
        if key.startswith("k/") and gone.value:  # type: ignore[union-attr]
            expected.append((key, cluster.machine.state.index, None))
        return
    value = str(dice.randrange(10**6))
    cluster.propose(KvPut(key=key, value=value.encode()))
    if key.startswith("k/"):
        expected.append((key, cluster.machine.state.index, value))


@pytest.mark.parametrize("pieces", [0, 2, 3, 7])
async def test_every_change_is_told_once_and_in_order_though_the_watch_breaks_again_and_again(
    make_cluster: Make, pieces: int
) -> None:
    cluster = await make_cluster(masters=3)
    dice, told, expected = random.Random(pieces), Told(), Told()
    async with AsyncClient(cluster.addresses) as client, asyncio.timeout(30):
        watching = asyncio.create_task(collect(client, told, last="k/end"))
        await client.store_put("x/first", "")
        while not cluster.watches.keys._prefixes:
            await asyncio.sleep(0.001)
        cluster.pieces_before_cut = pieces
        for _ in range(300):
            write_something(cluster, dice, expected)
            if dice.random() < 0.1:
                await asyncio.sleep(0)
        cluster.propose(KvPut(key="k/end", value=b"1"))
        await watching
    assert told[:-1] == expected


async def test_a_watcher_whose_place_is_forgotten_ends_with_the_right_state(
    make_cluster: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(key_history, "KEY_CHANGES_KEPT", 5)
    cluster = await make_cluster(masters=2)
    dice, told = random.Random(1), Told()
    async with AsyncClient(cluster.addresses) as client, asyncio.timeout(30):
        watching = asyncio.create_task(collect(client, told, last="k/end"))
        cluster.pieces_before_cut = 9
        for _ in range(600):
            write_something(cluster, dice, [])
            if dice.random() < 0.05:
                await asyncio.sleep(0.001)
        cluster.pieces_before_cut = 0
        while told and told[-1][1] < cluster.machine.state.index - 5:
            await asyncio.sleep(0.001)
        cluster.propose(KvPut(key="k/end", value=b"1"))
        await watching
    seen: dict[str, str] = {}
    for key, _, value in told:
        if value is None:
            del seen[key]  # never told gone before it was told there
        else:
            seen[key] = value
    kept = cluster.machine.state.kv
    assert seen == {key: kept[key].value.decode() for key in kept if key.startswith("k/")}
    assert len(told) == len(set(told)), "a change was told twice"


async def test_sets_are_told_as_they_are(make_cluster: Make) -> None:
    cluster = await make_cluster()
    async with AsyncClient(cluster.addresses) as client, asyncio.timeout(10):
        changes = client.watch("s")
        cluster.propose(KvSetAdd(key="s", member="a"))
        first = await anext(changes)
        assert first.item is not None
        assert first.item.members == ["a"]
        cluster.propose(KvSetAdd(key="s", member="b"))
        second = await anext(changes)
        assert second.item is not None
        assert second.item.members == ["a", "b"]
        await changes.aclose()


async def test_waiting_for_a_key_ends_when_it_is_as_expected(make_cluster: Make) -> None:
    cluster = await make_cluster(masters=2)
    cluster.pieces_before_cut = 2
    async with AsyncClient(cluster.addresses) as client, asyncio.timeout(20):
        waits = [
            asyncio.create_task(client.wait_for("k", expected))
            for expected in (ANY, 3, "5", lambda value: value is not None and int(value) > 6)
        ]
        await asyncio.sleep(0)
        for number in range(1, 8):
            cluster.propose(KvPut(key="k", value=str(number).encode()))
            while waits and number in (3, 5) and not waits[1 if number == 3 else 2].done():
                await asyncio.sleep(0.001)
        first, *rest = await asyncio.gather(*waits)
        assert first is not None
        assert rest == ["3", "5", "7"]
        gone = asyncio.create_task(client.wait_for("k", None))
        cluster.propose(KvDelete(key="k"))
        assert await gone is None
        with pytest.raises(TimedOut, match="not as expected"):
            await client.wait_for("k", timeout=0.05)
        cluster.propose(KvSetAdd(key="k", member="m"))
        with pytest.raises(Conflict, match="store_smembers"):
            await client.wait_for("k")
