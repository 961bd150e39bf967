"""B1, B2, B4-true, B5-true: jobs that are processes, submitted and waited for through the SDK."""

from __future__ import annotations

import os
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import uvloop

from bench import program
from bench.titan.cluster import bench_cluster, has_workers, versions
from titan.sdk import AsyncClient, TitanJob

PATIENCE_S = 600
Sizes = Mapping[str, Any]


async def _seconds(client: AsyncClient, jobs: Sequence[TitanJob]) -> float:
    """From the submission of a run to the push of its end."""
    start = time.perf_counter()
    run = await client.submit_dag("bench", jobs)
    state = await run.wait(PATIENCE_S)
    took_s = time.perf_counter() - start
    assert state == "COMPLETED", state
    return took_s


def _true(count: int) -> list[TitanJob]:
    return [TitanJob(f"j{n}", command=["true"]) for n in range(count)]


async def processes(client: AsyncClient, sizes: Sizes) -> program.Figures:
    return {"per_s": sizes["jobs"] / await _seconds(client, _true(sizes["jobs"]))}


async def scripts(client: AsyncClient, sizes: Sizes) -> program.Figures:
    with TemporaryDirectory() as folder:
        os.chdir(folder)  # as a user's project is
        Path("job.py").write_text(sizes["script"])
        jobs = [TitanJob(f"j{n}", "job.py") for n in range(sizes["jobs"])]
        return {"per_s": sizes["jobs"] / await _seconds(client, jobs)}


async def chain(client: AsyncClient, sizes: Sizes) -> program.Figures:
    hops = sizes["hops"]
    jobs = [
        TitanJob(f"j{n}", command=["true"], parents=[f"j{n - 1}"] if n else []) for n in range(hops)
    ]
    return {"ms_per_hop": await _seconds(client, jobs) * 1e3 / hops}


async def one(client: AsyncClient, sizes: Sizes) -> program.Figures:
    took = [await _seconds(client, _true(1)) * 1e3 for _ in range(sizes["ones"])]
    return {"p50_ms": program.percentile(took, 0.5), "p99_ms": program.percentile(took, 0.99)}


Case = Callable[[AsyncClient, Sizes], Awaitable[program.Figures]]


async def _run(case: Case, sizes: Sizes) -> program.Figures:
    async with bench_cluster() as cluster, AsyncClient(cluster.addresses) as client:
        await has_workers(client)
        await _seconds(client, _true(20))
        return await case(client, sizes)


def _warm(case: Case) -> program.Measure:
    return lambda sizes: uvloop.run(_run(case, sizes))


if __name__ == "__main__":
    program.main(
        {
            "B1": _warm(processes),
            "B2": _warm(scripts),
            "B4-true": _warm(chain),
            "B5-true": _warm(one),
        },
        versions=versions,
    )
