"""Writes take effect once, whatever happens to connections and leaders."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

import pytest

from tests.sdk.fake_cluster import FakeCluster
from titan.errors import Conflict, ProtocolError, Unavailable, UnknownOutcome
from titan.sdk import AsyncClient
from titan.wire.session import Session

Make = Callable[..., Awaitable[FakeCluster]]


@pytest.mark.parametrize("seed", range(4))
async def test_every_increment_counts_once_through_cuts_and_failovers(
    make_cluster: Make, seed: int
) -> None:
    cluster = await make_cluster(masters=3, fault_rate=0.25, seed=seed)
    async with AsyncClient(cluster.addresses) as client:

        async def count(number: int) -> list[int]:
            return [await client.store_incr(f"k{number % 3}") for _ in range(8)]

        answers = await asyncio.gather(*(count(number) for number in range(6)))
    state = cluster.machine.state
    assert [state.kv[f"k{number}"].value for number in range(3)] == [b"16"] * 3
    for key in range(3):  # every answer was given once, in order for each writer
        given = [*answers[key], *answers[key + 3]]
        assert sorted(given) == list(range(1, 17))
        assert answers[key] == sorted(answers[key])
    assert len(cluster.faults) >= 4, f"the faults did not happen: {cluster.faults}"


async def test_a_write_that_was_taken_before_the_cut_is_answered_and_not_repeated(
    make_cluster: Make,
) -> None:
    cluster = await make_cluster()
    planned = ["cut_after", "cut_before", "unknown_after", ""]
    cluster.draw_fault = lambda: planned.pop(0)  # type: ignore[method-assign]
    async with AsyncClient(cluster.addresses) as client:
        assert await client.store_incr("k") == 1
    assert planned == []
    assert cluster.machine.state.kv["k"].value == b"1"


async def test_a_write_whose_fate_is_unknown_at_the_deadline_says_so(make_cluster: Make) -> None:
    cluster = await make_cluster()
    cluster.draw_fault = lambda: "cut_after"  # type: ignore[method-assign]
    async with AsyncClient(cluster.addresses, deadline_s=0.2) as client:
        with pytest.raises(UnknownOutcome, match="may have taken effect"):
            await client.store_incr("k")


async def test_a_write_that_no_master_took_is_unavailable(make_cluster: Make) -> None:
    cluster = await make_cluster()
    cluster.draw_fault = lambda: "unavailable"  # type: ignore[method-assign]
    async with AsyncClient(cluster.addresses, deadline_s=0.2) as client:
        with pytest.raises(Unavailable, match="election"):
            await client.store_incr("k")
    await cluster.stop()
    async with AsyncClient(cluster.addresses, deadline_s=0.2) as client:
        with pytest.raises(Unavailable, match="no master could be reached"):
            await client.store_incr("k")


async def test_one_master_is_enough_to_learn_all_and_to_survive_its_loss(
    make_cluster: Make,
) -> None:
    cluster = await make_cluster(masters=3)
    cluster.leader = 2
    async with AsyncClient(cluster.masters[0].address) as client:
        assert await client.store_incr("k") == 1
        assert set(client._transport.masters) == set(cluster.addresses.split(","))
        await cluster.masters[0].stop()
        await cluster.masters[2].stop()
        cluster.leader = 1
        assert await client.store_incr("k") == 2


async def test_a_closed_client_refuses_to_be_used(make_cluster: Make) -> None:
    cluster = await make_cluster()
    client = AsyncClient(cluster.addresses)
    await client.close()
    with pytest.raises(ProtocolError, match="closed"):
        await client.store_incr("k")


async def test_writes_inside_a_task_are_fenced(
    make_cluster: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = await make_cluster()
    monkeypatch.setenv("TITAN_ATTEMPT", "77")
    async with AsyncClient(cluster.addresses) as client:
        with pytest.raises(Conflict) as refused:
            await client.store_put("k", "v")
    assert refused.value.reason == "attempt_not_live"
    assert "replaced" in refused.value.hint


async def test_the_floor_never_passes_a_request_that_is_outstanding() -> None:
    session = Session()
    async with contextlib.AsyncExitStack() as first:
        assert await first.enter_async_context(session.request()) == 1
        async with session.request() as second:
            assert (second, session.floor) == (2, 1)
        assert session.floor == 1
    assert session.floor == 3


async def test_no_more_requests_are_outstanding_than_the_cluster_remembers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("titan.wire.session.SESSION_RESULTS_MAX", 2)
    session = Session()
    drawn: list[int] = []
    release = asyncio.Event()

    async def hold() -> None:
        async with session.request() as number:
            drawn.append(number)
            await release.wait()

    holders = [asyncio.create_task(hold()) for _ in range(4)]
    for _ in range(10):
        await asyncio.sleep(0)
    assert drawn == [1, 2]
    release.set()
    await asyncio.gather(*holders)
    assert sorted(drawn) == [1, 2, 3, 4]
