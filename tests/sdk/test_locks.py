"""Locks in the hands of clients: waited for in turn, kept while in use, lost without harm."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from tests.sdk.fake_cluster import FakeCluster
from titan.errors import Conflict, TimedOut
from titan.fsm.commands import AdvanceTime
from titan.sdk import AsyncClient, TitanClient, locks

Make = Callable[..., Awaitable[FakeCluster]]


async def waiting(cluster: FakeCluster, count: int) -> None:
    async with asyncio.timeout(10):
        while len(cluster.machine.state.locks["l"].waiters) != count:
            await asyncio.sleep(0.001)


async def test_holders_follow_one_another_in_the_order_in_which_they_came(
    make_cluster: Make,
) -> None:
    cluster = await make_cluster(masters=2)
    cluster.pieces_before_cut = 2
    order: list[tuple[int, int]] = []

    async def work(client: AsyncClient, number: int) -> None:
        async with client.lock("l") as lock:
            order.append((number, lock.token))
            assert lock.is_held

    async with AsyncClient(cluster.addresses) as client, asyncio.timeout(20):
        async with client.lock("l", data="me") as first:
            tasks = []
            for number in range(5):
                tasks.append(asyncio.create_task(work(client, number)))
                await waiting(cluster, number + 1)
            held = await client.list_locks()
            assert [(one.name, one.waiting, one.holders[0].data) for one in held] == [
                ("l", 5, "me")
            ]
            token = first.token
        await asyncio.gather(*tasks)
        assert [number for number, _ in order] == [0, 1, 2, 3, 4]
        tokens = [token, *[one for _, one in order]]
        assert tokens == sorted(set(tokens))
        assert not cluster.machine.state.locks


async def test_through_faults_every_increment_under_the_lock_counts(make_cluster: Make) -> None:
    cluster = await make_cluster(masters=3, fault_rate=0.1, seed=4)

    async def add(client: AsyncClient) -> None:
        async with client.lock("l") as lock:
            value = int(await client.store_get("n") or 0)
            await client.store_put("n", value + 1, if_lock=lock)

    clients = [AsyncClient(cluster.addresses) for _ in range(4)]
    async with asyncio.timeout(50):
        await asyncio.gather(*[add(client) for client in clients for _ in range(3)])
        assert await clients[0].store_get("n") == "12"
        await asyncio.gather(*[client.close() for client in clients])
    assert cluster.faults


async def test_whoever_does_not_want_to_wait_is_told_and_leaves_no_trace(
    make_cluster: Make,
) -> None:
    cluster = await make_cluster()
    async with AsyncClient(cluster.addresses) as client, asyncio.timeout(20):
        one, other = client.lock("l"), client.lock("l")
        assert await one.acquire()
        assert await other.acquire(wait=False) is False
        assert await other.acquire(timeout=0.05) is False
        with pytest.raises(TimedOut, match="not free"):
            async with client.lock("l", timeout=0.05):
                pass
        giving_up = asyncio.create_task(other.acquire())
        await waiting(cluster, 1)
        giving_up.cancel()
        await asyncio.wait({giving_up})
        await waiting(cluster, 0)
        with pytest.raises(Conflict, match="acquired already"):
            await one.acquire()
        assert await one.release() is True
        assert await one.release() is False
        assert await other.acquire(wait=False) is True


async def test_a_lock_that_is_lost_is_noticed_and_harms_nobody(make_cluster: Make) -> None:
    cluster = await make_cluster()
    async with AsyncClient(cluster.addresses) as client, asyncio.timeout(20):
        lock = client.lock("l", ttl_s=0.05)
        assert await lock.acquire()
        token = lock.token
        await client.store_put("k", "good", if_lock=lock)
        while lock.is_held or cluster.machine.state.locks:
            await asyncio.sleep(0.005)
            cluster.propose(AdvanceTime())
        with pytest.raises(Conflict, match="lock_lost"):
            await client.store_put("k", "bad", if_lock=("l", token))
        with pytest.raises(Conflict, match="lock_lost"):
            await lock.renew()
        assert await lock.release() is False
        with pytest.raises(ValueError, match="acquire it first"):
            await client.store_put("k", "bad", if_lock=lock)
        assert await client.store_get("k") == "good"
        with pytest.raises(Conflict, match="was lost before the block ended"):  # noqa: PT012 - its end is what raises
            async with client.lock("l", ttl_s=30):
                cluster.machine.state.locks["l"].holders.clear()
                del cluster.machine.state.locks["l"]


async def test_a_block_keeps_its_lock_longer_than_its_time_to_live(make_cluster: Make) -> None:
    cluster = await make_cluster()
    async with AsyncClient(cluster.addresses) as client, asyncio.timeout(20):
        async with client.lock("l", ttl_s=1) as lock:
            first_ms = cluster.machine.state.locks["l"].holders[lock._claim].due_ms
            while cluster.machine.state.now_ms <= first_ms:
                cluster.propose(AdvanceTime())
                await asyncio.sleep(0.005)
            assert lock.is_held
            assert cluster.machine.state.locks["l"].holders
        assert not client._side_tasks


async def test_who_waits_long_keeps_its_place_and_who_lost_it_queues_again(
    make_cluster: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locks, "LOCK_WAIT_MS", 60)
    cluster = await make_cluster()
    async with AsyncClient(cluster.addresses) as client, asyncio.timeout(20):
        first, second = client.lock("l"), client.lock("l")
        await first.acquire()
        waits = asyncio.create_task(second.acquire())
        await waiting(cluster, 1)
        (claim,) = cluster.machine.state.locks["l"].waiters.values()
        kept_ms = claim.due_ms
        while claim.due_ms == kept_ms:
            await asyncio.sleep(0.005)
        cluster.machine.state.locks["l"].waiters.clear()
        cluster.machine.state.claims -= 1
        await waiting(cluster, 1)
        await first.release()
        assert await waits is True


def test_code_without_asyncio_has_the_same_locks(addresses: tuple[str, FakeCluster]) -> None:
    with TitanClient(addresses[0]) as client:
        with client.lock("l", data="d") as lock:
            assert lock.is_held
            assert client.store_put("k", "v", if_lock=lock)
            assert client.lock("l").acquire(wait=False) is False
            assert client.list_locks()[0].holders[0].token == lock.token
        assert client.list_locks() == []
        assert client.wait_for("k", "v", timeout=5) == "v"
