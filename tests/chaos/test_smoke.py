"""Short runs against real processes: the harness works, and the product keeps its promises meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from chaos.checkers.everything import check
from chaos.control import kill_jobs
from chaos.history import History, load
from chaos.network.base import Place
from chaos.network.proxy import Proxy
from chaos.report.figures import spans
from chaos.runner import Settings, run
from chaos.scenarios import SCENARIOS, Scenario

SMOKE = Scenario(
    "smoke",
    "kills and pauses, close together",
    (("kill-leader", "pause-leader", "kill-follower"), ("kill-worker", "pause-worker")),
    gap_s=(0.2, 1.0),
)


async def judged(settings: Settings, scenario: Scenario, out: Path) -> History:
    await run(settings, scenario, out=out)
    history = load(out / "history.jsonl")
    violations = check(history)
    assert not violations, "\n".join(map(str, violations))
    assert kill_jobs(out / "cluster" / "records") == 0
    return history


@pytest.mark.cluster
async def test_promises_hold_while_members_are_killed_and_paused(tmp_path: Path) -> None:
    settings = Settings("kills-and-pauses", seed=11, duration_s=20)
    history = await judged(settings, SMOKE, tmp_path)
    assert len(spans(history)) >= 4
    assert sum(op.known for op in history.ops) > 100
    assert any(op.known for op in history.with_verb("submit"))


@pytest.mark.cluster
async def test_promises_hold_across_partitions_by_proxy(tmp_path: Path) -> None:
    settings = Settings("partitions", seed=12, duration_s=10, network="proxy", workers=0)
    history = await judged(settings, SCENARIOS["partitions"], tmp_path)
    assert spans(history)
    assert history.meta["network_used"] == "proxy"


# --- the proxy alone ----------------------------------------------------------------------------


@pytest.fixture
async def echo() -> AsyncIterator[str]:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(100):
            writer.write(data)
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    server.close()


async def test_a_cut_direction_holds_bytes_back_until_it_is_mended(echo: str) -> None:
    proxy = Proxy(masters=2)
    proxy.places[1] = Place(echo, "")
    await proxy.open()
    try:
        port = proxy._ports[0, 1]
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"one")
        assert await asyncio.wait_for(reader.readexactly(3), 5) == b"one"
        await proxy.cut(1, 0)
        writer.write(b"two")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.readexactly(3), 0.2)
        await proxy.mend(1, 0)
        assert await asyncio.wait_for(reader.readexactly(3), 5) == b"two"
        writer.close()
    finally:
        await proxy.close()
