"""A run of 100,000 jobs: submitted, listed, watched and cancelled while others are served."""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path

import pytest

from tests.load.conftest import Watched
from titan.sdk import AsyncClient, TitanJob

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(120)]
JOBS = 100_000


async def test_a_run_of_100_000_jobs_does_not_move_the_leader(three: Watched) -> None:
    client = three.cluster.client
    writer = asyncio.create_task(keep_writing(three.cluster.addresses))
    jobs = [
        TitanJob(f"job-{n}", command=["true"], parents=[f"job-{n - 50_000}"] if n >= 50_000 else [])
        for n in range(JOBS)
    ]
    jobs.reverse()  # children before parents, as declared: the client sorts them
    started = time.perf_counter()
    run = await client.submit_dag("large", jobs)
    sys.stdout.write(f"\nsubmitted in {time.perf_counter() - started:.1f} s")
    await three.check("submit")
    view = await client.get_run(run)
    assert (view.state, view.jobs) == ("PENDING", {"PENDING": JOBS})

    assert len({job.id for job in await run.jobs()}) == JOBS
    await three.check("list")
    seen: set[str] = set()
    async for change in run.watch():
        seen.update(job.id for job in change.jobs)
        if len(seen) == JOBS:
            break
    await three.check("watch")

    await run.cancel()
    await three.settled()
    assert (await client.get_run(run)).jobs == {"CANCELLED": JOBS}
    await three.check("cancel")
    await client.retry("job-1", run)
    view = await client.get_run(run)
    assert view.jobs == {"CANCELLED": JOBS - 2, "PENDING": 2}  # the job and its child
    writer.cancel()
    written = await asyncio.gather(writer, return_exceptions=True)
    assert isinstance(written[0], asyncio.CancelledError), written
    await three.check("retry")


@pytest.mark.parametrize("three", [1], indirect=True)
async def test_a_root_with_100_000_children_ends_is_cancelled_and_retried(
    three: Watched, tmp_path: Path
) -> None:
    """What follows from one command takes dozens of entries; nobody else waits for it to be through."""
    client = three.cluster.client
    writer = asyncio.create_task(keep_writing(three.cluster.addresses))
    children = [
        TitanJob(f"job-{n}", command=["true"], parents=["root"], requirement="NOWHERE")
        for n in range(JOBS)
    ]
    gate = tmp_path / "exit-code"
    wait = f"until [ -e {gate} ]; do sleep 0.02; done; exit $(cat {gate})"
    root = TitanJob("root", command=["bash", "-c", wait], retries=0)
    started = time.perf_counter()
    run = await client.submit_dag("fan-out", [root, *children])
    sys.stdout.write(f"\nsubmitted in {time.perf_counter() - started:.1f} s")

    await until(three, run.id, {"RUNNING": 1, "PENDING": JOBS}, "root runs")
    gate.write_text("1")
    await until(three, run.id, {"FAILED": 1, "SKIPPED": JOBS}, "root failed")
    gate.unlink()
    await client.retry("root", run)
    await until(three, run.id, {"RUNNING": 1, "PENDING": JOBS}, "root retried")
    await client.cancel("root", run)
    await until(three, run.id, {"CANCELLED": JOBS + 1}, "root cancelled")
    await client.retry("root", run)
    gate.write_text("0")
    await until(three, run.id, {"COMPLETED": 1, "PENDING": JOBS}, "root retried and completed")
    await run.cancel()
    assert (await client.get_run(run)).state in ("RUNNING", "CANCELLED")
    await client.cancel("job-1", run)  # waits its turn, and comes too late
    await until(three, run.id, {"COMPLETED": 1, "CANCELLED": JOBS}, "run cancelled")
    assert (await client.get_run(run)).over
    writer.cancel()
    written = await asyncio.gather(writer, return_exceptions=True)
    assert isinstance(written[0], asyncio.CancelledError), written
    await three.agree(run.id)


async def test_a_new_leader_goes_on_where_the_old_one_stopped(three: Watched) -> None:
    """The leader dies as soon as it has answered; most of the cancelling is yet to be done by then."""
    client = three.cluster.client
    run = await client.submit_dag(
        "large", [TitanJob(f"j{n}", command=["true"]) for n in range(JOBS)]
    )
    await run.cancel()
    await three.cluster.kill_leader()
    view = await three.cluster.wait_over(run.id, timeout_s=30)
    assert view.jobs == {"CANCELLED": JOBS}
    await client.retry("j7", run)
    assert (await client.get_run(run)).jobs == {"CANCELLED": JOBS - 1, "PENDING": 1}


async def until(three: Watched, run: str, jobs: dict[str, int], label: str) -> None:
    """The run's jobs are so, everything is settled, and the leader stayed."""
    started = time.perf_counter()
    client = three.cluster.client
    await three.cluster.wait_until(
        lambda: client.get_run(run), lambda view: view.jobs == jobs, timeout_s=40
    )
    sys.stdout.write(f"\n{label}: after {time.perf_counter() - started:.2f} s")
    await three.settled()
    await three.check(label)


async def keep_writing(addresses: tuple[str, ...]) -> None:
    """Somebody else's writes, one after the other; any refusal is raised."""
    async with AsyncClient(addresses) as client:
        number = 0
        while True:
            number += 1
            assert await client.store_incr("writes") == number
