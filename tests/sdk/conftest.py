"""Fake clusters that end with their test."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

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
