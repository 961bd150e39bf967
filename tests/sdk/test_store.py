"""The key-value store through the client."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from tests.sdk.fake_cluster import FakeCluster
from titan.errors import Conflict, LimitExceeded
from titan.limits import KV_VALUE_BYTES_MAX
from titan.sdk import AsyncClient

Make = Callable[..., Awaitable[FakeCluster]]


async def test_values_come_back_as_they_went(make_cluster: Make) -> None:
    cluster = await make_cluster()
    async with AsyncClient(cluster.addresses) as client:
        assert await client.store_get("k") is None
        version = await client.store_put("k", "text, é|;\n")
        assert version > 0
        assert await client.store_get("k") == "text, é|;\n"
        await client.store_put("k", b"\xff\0")
        assert await client.store_get("k") == b"\xff\0"
        await client.store_put("k", 5)
        assert await client.store_incr("k", 2) == 7
        assert await client.store_cas("k", 7, "8") is True
        assert await client.store_cas("k", 7, "9") is False
        assert await client.store_cas("new", None, "1", ttl_s=60) is True
        assert [item.key for item in await client.store_list()] == ["k", "new"]
        assert await client.store_delete("k") is True
        assert await client.store_delete("k") is False
        with pytest.raises(TypeError, match=r"json\.dumps"):
            await client.store_put("k", {"a": 1})  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="ttl_s"):
            await client.store_put("k", "v", ttl_s=0)
        with pytest.raises(LimitExceeded):
            await client.store_put("k", "x" * (KV_VALUE_BYTES_MAX + 1))


async def test_sets_answer_whether_something_changed_and_keep_commas(make_cluster: Make) -> None:
    cluster = await make_cluster()
    async with AsyncClient(cluster.addresses) as client:
        assert await client.store_smembers("s") == []
        assert await client.store_sadd("s", "a,b") == 1
        assert await client.store_sadd("s", "a,b") == 0
        assert await client.store_sadd("s", "c") == 1
        assert await client.store_smembers("s") == ["a,b", "c"]
        assert await client.store_srem("s", "c") == 1
        assert await client.store_srem("s", "c") == 0
        with pytest.raises(Conflict, match="store_smembers"):
            await client.store_get("s")


async def test_a_watch_tells_what_is_there_what_changes_and_what_went_meanwhile(
    make_cluster: Make,
) -> None:
    cluster = await make_cluster()
    async with AsyncClient(cluster.addresses) as client, asyncio.timeout(10):
        await client.store_put("a/1", "x")
        await client.store_put("a/2", "y")
        await client.store_put("b", "z")
        changes = client.watch("a/")
        assert [(await anext(changes)).key for _ in range(2)] == ["a/1", "a/2"]
        await client.store_put("a/3", "new")
        assert (await anext(changes)).key == "a/3"  # and not the others again
        await client.store_delete("a/1")
        await client.store_put("a/2", "yy")
        gone, changed = await anext(changes), await anext(changes)
        assert (gone.key, gone.item) == ("a/1", None)
        assert changed.item is not None
        assert (changed.key, changed.item.value) == ("a/2", "yy")
        await changes.aclose()  # type: ignore[attr-defined]
