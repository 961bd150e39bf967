"""Real clusters that grow, shrink, drain, and say why a job waits."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from tests.cluster.cluster import Cluster, titan
from tests.cluster.pipelines import deploy, write_pipeline
from titan.fsm.queries import WorkerView
from titan.master.providers.local import Folder, LocalProvider, launched_home
from titan.master.providers.webhook import signature

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(120)]

SECRET = "told to nobody"


async def call(cluster: Cluster, *arguments: str, code: int = 0, **env: str) -> str:
    known = {"TITAN_MASTERS": ",".join(cluster.addresses), **env}
    got, out, err = await titan(*arguments, env=known)
    assert got == code, (got, out, err)
    assert "Traceback" not in err
    return out if code == 0 else err


async def of_pool(cluster: Cluster, name: str = "here") -> list[WorkerView]:
    found = await cluster.list_workers()
    return [one for one in found if one.pool == name and one.state == "online"]


def launched(cluster: Cluster) -> list[Folder]:
    """Worker processes that masters of this cluster, dead or alive, have started."""
    return [
        folder
        for master in cluster.masters
        for folder in LocalProvider(
            launched_home(cluster.data / master.name), masters=lambda: ()
        ).running()
    ]


async def submit(cluster: Cluster, folder: Path, *jobs: dict[str, Any]) -> str:
    return await deploy(cluster, write_pipeline(folder / "pipe.yaml", list(jobs)))


async def test_load_starts_local_workers_and_idleness_retires_them(
    single: Cluster, tmp_path: Path
) -> None:
    await call(
        single, "pools", "set", "here", "--slots", "2", "--max", "2", "--idle", "1",
        "--cooldown", "0.2", "--resource", "disk=5",
    )  # fmt: skip
    jobs = [{"id": f"j{n}", "command": "sleep 1.5"} for n in range(12)]
    run = await submit(single, tmp_path, *jobs)
    most = 0

    async def look() -> list[WorkerView]:
        nonlocal most
        found = await of_pool(single)
        most = max(most, len(found), len(launched(single)))
        return found

    first, _ = await single.wait_until(look, lambda seen: len(seen) == 2, timeout_s=30)
    assert (first.slots, first.ephemeral, first.resources["disk"]) == (2, True, 5)
    await single.wait_over(run, timeout_s=40)
    used = {job.worker for job in (await single.jobs(run)).values()}
    assert len(used) == 3

    async def left() -> tuple[int, int]:
        await look()
        return len(await single.list_workers()), len(launched(single))

    await single.wait_until(left, lambda seen: seen == (1, 0), timeout_s=30)
    assert most == 2
    (pool,) = json.loads(await call(single, "pools", "--json"))
    assert (pool["workers"], pool["starting"], pool["failures"]) == (0, 0, 0)


async def test_a_leader_that_dies_in_the_middle_leaves_the_right_number(cluster: Cluster) -> None:
    await cluster.client.set_pool("here", min=3, max=3)

    async def begun() -> int:
        """As early as can be seen from outside: a folder is there before its process."""
        return len(list(cluster.data.glob("master-*/launched/*")))

    await cluster.wait_until(begun, lambda seen: seen >= 1, timeout_s=15)
    await cluster.kill_leader()

    async def settled() -> tuple[int, int]:
        return len(await of_pool(cluster)), len(launched(cluster))

    await cluster.wait_until(settled, lambda seen: seen == (3, 3), timeout_s=40)
    await call(cluster, "pools", "remove", "here")
    await cluster.wait_until(settled, lambda seen: seen == (0, 0), timeout_s=30)


class Hook:
    """A provider behind a webhook: starts a real worker for each key, once, and is slow to say so."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.calls: list[str] = []
        self.workers: dict[str, asyncio.subprocess.Process] = {}
        self.held = asyncio.Event()

    async def open(self) -> None:
        app = web.Application()
        app.add_routes([web.post("/", self.serve)])
        self.runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self.runner.setup()
        await web.TCPSite(self.runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self.runner.addresses[0][1]}/"

    async def serve(self, request: web.Request) -> web.Response:
        body = await request.read()
        stamp = request.headers["Titan-Timestamp"]
        assert request.headers["Titan-Signature"] == signature(SECRET, stamp, body)
        key = request.headers["Idempotency-Key"]
        self.calls.append(key)
        order = json.loads(body)
        if order["action"] == "launch" and key not in self.workers:
            self.workers[key] = await self.start(order)
            await self.held.wait()  # the leader never hears of it
        return web.Response(status=202)

    async def start(self, order: dict[str, Any]) -> asyncio.subprocess.Process:
        arguments = ["worker", "--masters", ",".join(order["masters"]), "--ephemeral"]
        arguments += ["--launch", order["launch_id"], "--slots", str(order["slots"])]
        arguments += ["--data", str(self.cluster.data / order["launch_id"])]
        for tag in order["capabilities"]:
            arguments += ["--capability", tag]
        return await asyncio.create_subprocess_exec(
            sys.executable, "-m", "titan.cli.main", *arguments, stderr=asyncio.subprocess.DEVNULL
        )

    async def close(self) -> None:
        self.held.set()
        for worker in self.workers.values():
            if worker.returncode is None:
                worker.kill()
            await worker.wait()
        await self.runner.cleanup()


@pytest.fixture
async def hook(cluster: Cluster) -> AsyncIterator[Hook]:
    made = Hook(cluster)
    await made.open()
    yield made
    await made.close()


async def test_a_webhook_is_called_again_after_a_leaders_death_with_one_effect(
    cluster: Cluster, hook: Hook, tmp_path: Path
) -> None:
    await call(
        cluster, "pools", "set", "cards", "--provider", "webhook", "--url", hook.url,
        "--capability", "GPU", "--max", "1", "--idle", "1", TITAN_WEBHOOK_SECRET=SECRET,
    )  # fmt: skip
    run = await submit(cluster, tmp_path, {"id": "g", "command": "sleep 1", "requirement": "GPU"})

    async def calls() -> list[str]:
        return hook.calls

    await cluster.wait_until(calls, lambda seen: len(seen) == 1, timeout_s=15)
    dead = await cluster.kill_leader()
    await cluster.leader(unlike=dead.address)
    assert (await cluster.wait_over(run, timeout_s=40)).state == "COMPLETED"
    (key,) = hook.workers
    process = hook.workers[key]
    assert await asyncio.wait_for(process.wait(), 30) == 0  # it was idle, and retired
    ended = key.replace(":launch", ":terminate")
    await cluster.wait_until(calls, lambda seen: ended in seen, timeout_s=15)
    assert set(hook.calls) == {key, ended}
    for member in cluster.processes.members:
        assert SECRET not in member.log.read_text()
    assert SECRET not in await call(cluster, "pools", "--json")


async def test_why_names_what_is_in_the_way_and_a_drain_moves_work(
    cluster: Cluster, tmp_path: Path
) -> None:
    go = tmp_path / "go"
    wait = f"while ! test -e {go}; do sleep 0.05; done"
    run = await submit(
        cluster,
        tmp_path,
        {"id": "long", "command": wait, "retries": 0},
        {"id": "card", "command": "true", "resources": {"cards": 1}},
        {"id": "after", "command": "true", "depends_on": ["long"]},
    )

    async def state() -> object:
        return (await cluster.jobs(run))["long"]

    job = await cluster.wait_until(state, lambda seen: seen.state == "RUNNING", timeout_s=15)
    assert (await cluster.client.why("long", run)).code == "running"
    assert (await cluster.client.why("after")).change.jobs == ("long",)
    answer = json.loads(await call(cluster, "why", "card", "--json"))
    assert (answer["code"], answer["change"]["resources"]) == ("size", {"cards": 1})
    assert answer["change"]["proven"]
    text = await call(cluster, "why", "card", "--run", run)
    assert "a worker with 1 cards and 1 free slot" in " ".join(text.split())
    await call(cluster, "why", "absent", code=4)

    await over_http(cluster, run)
    refused = await call(
        cluster, "pools", "set", "p", "--provider", "webhook", "--url", "ftp://x/", code=2,
        TITAN_WEBHOOK_SECRET=SECRET,
    )  # fmt: skip
    assert "http://" in refused
    assert "there is no pool" in await call(cluster, "workers", "launch", code=4)

    other = next(one for one in await cluster.list_workers() if one.id != job.worker)
    await call(cluster, "workers", "cordon", other.name)
    await call(cluster, "workers", "drain", job.worker, "--timeout", "0.5")
    waiting = await cluster.wait_until(state, lambda seen: seen.state == "PENDING", timeout_s=15)
    assert [record.cause for record in waiting.history] == ["drained"]
    closed = await cluster.client.why("long", run)
    assert (closed.code, closed.change.kind, closed.change.worker) == ("cordoned", "open", other.id)
    await call(cluster, "workers", "uncordon", other.id)
    moved = await cluster.wait_until(state, lambda seen: seen.state == "RUNNING", timeout_s=15)
    assert (moved.worker, moved.retries_used) == (other.id, 0)
    gone = next(one for one in cluster.workers if one.name != other.name)

    async def exit_code() -> int | None:
        return gone.exit_code

    assert await cluster.wait_until(exit_code, lambda seen: seen is not None, timeout_s=15) == 0
    go.touch()


async def over_http(cluster: Cluster, run: str) -> None:
    """Every master serves the same; a follower asks the leader."""
    headers = {"X-Titan-Request": "1"}
    async with aiohttp.ClientSession() as session:
        for master in cluster.masters:
            where = f"http://{master.http}/api/v1"
            async with session.get(f"{where}/runs/{run}/jobs/card/why") as answer:
                assert (answer.status, (await answer.json())["code"]) == (200, "size")
        async with session.get(f"{where}/pools") as answer:
            assert await answer.json() == {"items": [], "next": None}
        async with session.post(f"{where}/pools/no/launches", json={}, headers=headers) as answer:
            assert answer.status == 404, await answer.text()


async def test_a_worker_that_is_terminated_lets_its_jobs_end(
    single: Cluster, tmp_path: Path
) -> None:
    jobs = [{"id": f"j{n}", "command": "sleep 1.5", "retries": 0} for n in range(5)]
    run = await submit(single, tmp_path, *jobs)

    async def states() -> dict[str, int]:
        return (await single.run_view(run)).jobs

    await single.wait_until(states, lambda seen: seen.get("RUNNING", 0) >= 2, timeout_s=15)
    (worker,) = single.workers
    worker.send(signal.SIGTERM)
    await single.wait_until(states, lambda seen: seen.get("COMPLETED", 0) == 2, timeout_s=15)

    async def exit_code() -> int | None:
        return worker.exit_code

    assert await single.wait_until(exit_code, lambda seen: seen is not None, timeout_s=15) == 0
    assert await states() == {"COMPLETED": 2, "PENDING": 3}
    worker.start()
    assert (await single.wait_over(run, timeout_s=30)).state == "COMPLETED"
