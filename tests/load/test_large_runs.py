"""A run of 100,000 jobs: submitted, listed, watched and cancelled while others are served."""

from __future__ import annotations

import asyncio
import sys
import time

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
    assert (await client.get_run(run)).jobs == {"CANCELLED": JOBS}
    await three.check("cancel")
    await client.retry("job-1", run)
    view = await client.get_run(run)
    assert view.jobs == {"CANCELLED": JOBS - 2, "PENDING": 2}  # the job and its child
    writer.cancel()
    written = await asyncio.gather(writer, return_exceptions=True)
    assert isinstance(written[0], asyncio.CancelledError), written
    await three.check("retry")


async def keep_writing(addresses: tuple[str, ...]) -> None:
    """Somebody else's writes, one after the other; any refusal is raised."""
    async with AsyncClient(addresses) as client:
        number = 0
        while True:
            number += 1
            assert await client.store_incr("writes") == number
