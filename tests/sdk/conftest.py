"""Fake clusters that end with their test."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

import pytest

from tests.sdk.fake_cluster import FakeCluster

Make = Callable[..., Awaitable[FakeCluster]]


@pytest.fixture
async def make_cluster() -> AsyncIterator[Make]:
    """`await make_cluster(masters=3, fault_rate=0.2, seed=1)`."""
    made: list[FakeCluster] = []

    async def make(**options: float) -> FakeCluster:
        cluster = FakeCluster(**options)  # type: ignore[arg-type]
        made.append(cluster)
        return await cluster.start()

    yield make
    for cluster in made:
        await cluster.stop()


@pytest.fixture
def addresses() -> Iterator[tuple[str, FakeCluster]]:
    """A fake cluster in a thread, since the client under test blocks its own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    def call(work: Awaitable[object]) -> object:
        async def run() -> object:
            return await work

        return asyncio.run_coroutine_threadsafe(run(), loop).result(10)

    cluster = FakeCluster(masters=2)
    call(cluster.start())
    yield cluster.addresses, cluster
    call(cluster.stop())
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()
