"""Watches, locks and signals on a real cluster, through the death of the leader, and their commands."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import pytest

from tests.cluster.cluster import Cluster, titan
from titan.sdk import AsyncClient, TitanJob
from titan.sdk.watching import KeyChange

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(120)]
TASK = """
from titan.sdk import current
me = current()
for _ in range(3):
    me.progress(0.5, "half way")
first = me.wait_signal("go", timeout=60)
with me.commit() as c:
    c.store_put("told", first.payload["n"])
    c.set_output(first.payload)
"""


async def write(client: AsyncClient, written: list[str], stop: asyncio.Event) -> None:
    """Values of one key, as they were acknowledged, one after the other."""
    while not stop.is_set():
        value = str(len(written))
        await client.store_put("w/n", value)
        written.append(value)
    await client.store_put("w/end", "")


async def collect(client: AsyncClient) -> list[KeyChange]:
    seen = []
    async for change in client.watch("w/"):
        if change.key == "w/end":
            break
        seen.append(change)
    return seen


async def test_a_watch_and_a_queue_for_a_lock_outlive_the_leader(cluster: Cluster) -> None:
    clients = [AsyncClient(cluster.addresses) for _ in range(4)]
    writer, watcher, holder, waiter = clients
    try:
        await writer.store_put("w/n", "first")
        stop = asyncio.Event()
        watching = asyncio.create_task(collect(watcher))
        held, wanted = holder.lock("l", ttl_s=60), waiter.lock("l", ttl_s=60)
        assert await held.acquire()
        turn = asyncio.create_task(wanted.acquire())
        signal = asyncio.create_task(watcher.wait_for("flag", "up", timeout=60))

        async def waiting() -> int:
            return (await cluster.client.list_locks())[0].waiting

        await cluster.wait_until(waiting, lambda count: count == 1, timeout_s=10)
        written: list[str] = []
        writing = asyncio.create_task(write(writer, written, stop))

        async def progress() -> int:
            return len(written)

        for kills in range(1, 3):
            await cluster.wait_until(progress, lambda n, k=kills: n >= 100 * k, timeout_s=30)  # type: ignore[misc]
            dead = await cluster.leader()
            await cluster.kill_leader()
            await cluster.leader(unlike=dead.address)
            dead.start()
        stop.set()
        await writing
        token = held.token
        assert await held.release()
        assert await asyncio.wait_for(turn, 20)
        assert wanted.token > token
        await holder.store_put("flag", "up")
        assert await signal == "up"
        seen = await asyncio.wait_for(watching, 20)
        values = [change.item.value for change in seen if change.item is not None]
        assert values == ["first", *written]
        indices = [change.index for change in seen]
        assert indices == sorted(set(indices))
        assert len(written) > 200
    finally:
        await asyncio.gather(*[client.close() for client in clients])


async def test_a_task_is_told_by_the_command_line_and_what_it_does_is_shown(
    single: Cluster, tmp_path: Path
) -> None:
    client, masters = single.client, ",".join(single.addresses)
    script = tmp_path / "task.py"
    script.write_text(TASK)
    run = await client.submit_dag("n", [TitanJob("a", script)])

    async def call(*arguments: str, code: int = 0) -> str:
        got, out, err = await titan(*arguments, "--masters", masters)
        assert got == code, (got, out, err)
        assert "Traceback" not in err
        return out if code == 0 else err

    async def progress() -> float | None:
        return (await client.get_job("a", run)).progress

    await single.wait_until(progress, lambda seen: seen == 0.5, timeout_s=20)
    assert "50% half way" in await call("jobs", run.id)
    assert json.loads(await call("jobs", run.id, "--json"))[0]["note"] == "half way"
    assert "is not JSON" in await call("signal", f"{run.id}/a", "go", "{", code=2)
    assert "no job" in await call("signal", f"{run.id}/b", "go", code=4)
    assert (await call("signal", f"{run.id}/a", "go", '{"n": 7}')).strip() == "1"
    assert await run.wait(30) == "COMPLETED"
    assert await client.get_output("a", run) == {"n": 7}
    assert await client.store_get("told") == "7"
    assert "has ended" in await call("signal", run.id, "go", code=5)

    async with client.lock("l", data="here"):
        (listed,) = json.loads(await call("lock", "list", "--json"))
        assert (listed["name"], listed["holders"][0]["data"]) == ("l", "here")
        assert "here" in await call("lock", "list")
    await watch_from_the_command_line(client, masters)


async def watch_from_the_command_line(client: AsyncClient, masters: str) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "titan.cli.main", "store", "watch", "told"),
        *("--json", "--masters", masters),
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(20):
            first = json.loads(await process.stdout.readline())
            assert (first["key"], first["value"]) == ("told", "7")
            await client.store_delete("told")
            second = json.loads(await process.stdout.readline())
            assert (second["key"], second["gone"]) == ("told", True)
            assert second["index"] > first["index"]
    finally:
        process.kill()
        await process.wait()
