"""Runs outlive the death of leaders, of workers, and of all masters at once."""

from __future__ import annotations

import asyncio
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cluster.cluster import Cluster
from tests.cluster.pipelines import deploy, levels, starts, write_pipeline
from titan.sdk import AsyncClient

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(180)]


def listed(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def finished(folder: Path) -> int:
    return sum(name.endswith(".done") for name in listed(folder))


async def wait_finished(cluster: Cluster, folder: Path, at_least: int) -> None:
    async def look() -> int:
        return finished(folder)

    await cluster.wait_until(look, lambda count: count >= at_least, timeout_s=60)


class Writer:
    """Writes one key after the other; knows how many were acknowledged and the longest pause between."""

    def __init__(self, cluster: Cluster) -> None:
        self._client = AsyncClient(cluster.addresses)
        self._task: asyncio.Task[None] | None = None
        self._moved = asyncio.Event()
        self._stopping = False
        self._last = time.monotonic()
        self.written = 0
        self.longest_gap_s = 0.0

    async def __aenter__(self) -> Writer:
        self._task = asyncio.create_task(self._write(), name="writer")
        await self.next_write()
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._task is not None
        self._stopping = True
        await self._task
        await self._client.close()

    async def next_write(self) -> None:
        self._moved.clear()
        async with asyncio.timeout(30):
            await self._moved.wait()

    async def _write(self) -> None:
        while not self._stopping:
            await self._client.store_put(f"written/{self.written:06}", str(self.written))
            self.written += 1
            now = time.monotonic()
            self.longest_gap_s = max(
                self.longest_gap_s, now - self._last if self.written > 1 else 0
            )
            self._last = now
            self._moved.set()


async def test_a_run_outlives_three_leaders_and_no_job_starts_twice(
    cluster: Cluster, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    jobs = levels(tmp_path, depth=5, width=12, sleep_s=0.4)
    run = await deploy(cluster, write_pipeline(tmp_path / "levels.yaml", jobs))
    async with Writer(cluster) as writer:
        for at_least in (6, 22, 38):
            await wait_finished(cluster, tmp_path, at_least)
            dead = await cluster.kill_leader()
            assert finished(tmp_path) < len(jobs), "the kill came too late to prove anything"
            await cluster.leader(unlike=dead.address)
            await writer.next_write()
            dead.start()
        view = await cluster.wait_over(run, timeout_s=90)
    record_property("longest_write_gap_ms", round(writer.longest_gap_s * 1000))
    sys.stdout.write(
        f"{writer.written} writes, the longest gap {writer.longest_gap_s * 1000:.0f} ms\n"
    )
    kept = {item.key: item.value for item in await cluster.client.store_list("written/")}
    assert kept == {f"written/{number:06}": str(number) for number in range(writer.written)}
    assert view.jobs == {"COMPLETED": 60}
    assert set(starts(tmp_path, jobs).values()) == {1}
    assert {job.attempts for job in (await cluster.jobs(run)).values()} == {1}


async def test_jobs_of_a_killed_worker_run_again_elsewhere_and_are_accepted_once(
    cluster: Cluster, tmp_path: Path
) -> None:
    jobs = levels(tmp_path, depth=2, width=8, sleep_s=1.5)
    run = await deploy(cluster, write_pipeline(tmp_path / "levels.yaml", jobs))

    async def running() -> Counter[str]:
        return Counter(job.worker for job in (await cluster.jobs(run)).values() if job.live)

    spread = await cluster.wait_until(running, lambda seen: len(seen) == 2, timeout_s=20)
    before = {job.id for job in (await cluster.jobs(run)).values() if job.live}
    await cluster.kill_worker(0)
    victim = next(w.id for w in await cluster.list_workers() if w.name == "worker-1")
    assert spread[victim] > 0
    view = await cluster.wait_over(run, timeout_s=90)
    assert view.jobs == {"COMPLETED": 16}
    after = await cluster.jobs(run)
    again = [job for job in after.values() if job.attempts > 1]
    assert again, "the killed worker held nothing"
    assert {job.id for job in again} <= before | {job.id for job in again if job.history}
    for job in again:
        assert job.worker != victim
        assert job.retries_used == 0, "a lost worker spends no retry"
        assert [past.worker for past in job.history if past.cause == "lost"] == [victim]


async def test_all_masters_killed_at_once_lose_nothing_that_was_acknowledged(
    cluster: Cluster, tmp_path: Path
) -> None:
    jobs = levels(tmp_path, depth=4, width=6, sleep_s=0.5)
    run = await deploy(cluster, write_pipeline(tmp_path / "levels.yaml", jobs))
    written = 0
    while finished(tmp_path) < 8:
        await cluster.client.store_put(f"acknowledged/{written}", str(written))
        written += 1
    over_before = {job.id for job in (await cluster.jobs(run)).values() if job.state == "COMPLETED"}
    cluster.kill_all_masters()
    for master in cluster.masters:
        master.start()
    view = await cluster.wait_over(run, timeout_s=90)
    # Each job fails when a parent has not left its file, so COMPLETED also says: no child too early.
    assert view.jobs == {"COMPLETED": 24}
    after = await cluster.jobs(run)
    assert all(after[job].attempts == 1 for job in over_before)
    for number in range(written):
        assert await cluster.client.store_get(f"acknowledged/{number}") == str(number)


async def test_a_paused_leader_is_replaced_and_does_no_harm_when_it_wakes(
    cluster: Cluster, tmp_path: Path
) -> None:
    jobs = levels(tmp_path, depth=3, width=6, sleep_s=0.5)
    run = await deploy(cluster, write_pipeline(tmp_path / "levels.yaml", jobs))
    await wait_finished(cluster, tmp_path, 3)
    old = await cluster.leader()
    cluster.pause(old)
    others = [member.address for member in cluster.masters if member is not old]

    async def leader_of_the_rest() -> str:
        return str((await cluster.client.cluster_info()).leader)

    await cluster.wait_until(leader_of_the_rest, lambda found: found in others, timeout_s=20)
    cluster.resume(old)
    view = await cluster.wait_over(run, timeout_s=90)
    assert view.jobs == {"COMPLETED": 18}
    assert set(starts(tmp_path, jobs).values()) == {1}
