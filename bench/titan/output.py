"""B9: jobs that print much: into the worker's store, and followed live."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Any

import uvloop

from bench import program
from bench.titan.cluster import bench_cluster, has_workers, versions
from bench.titan.scale import resident_bytes
from titan.sdk import AsyncClient, TitanJob

PATIENCE_S = 600
MIB = 2**20


async def large(client: AsyncClient, mib: int) -> float:
    """MiB per second of one job that prints."""
    start = time.perf_counter()
    run = await client.submit_job(TitanJob("large", command=f"head -c {mib}M /dev/zero"))
    assert await run.wait(PATIENCE_S) == "COMPLETED"
    return mib / (time.perf_counter() - start)


async def followed(client: AsyncClient, jobs: int) -> tuple[float, int]:
    """Lines per second that followers of jobs of 1 MiB got, and how many lines were lost."""
    lines = MIB // 64
    text = "x" * 63
    many = [TitanJob(f"j{n}", command=f"yes {text} | head -n {lines}") for n in range(jobs)]
    start = time.perf_counter()
    run = await client.submit_dag("followed", many)
    got = await asyncio.gather(*(_follow(client, f"j{n}", run) for n in range(jobs)))
    return sum(got) / (time.perf_counter() - start), lines * jobs - sum(got)


async def _follow(client: AsyncClient, job: str, run: object) -> int:
    count = 0
    async for piece in client.follow_logs(job, run):
        count += piece.count("\n")
    return count


async def printing(sizes: Mapping[str, Any]) -> program.Figures:
    async with bench_cluster() as cluster, AsyncClient(cluster.addresses) as client:
        await has_workers(client)
        before = [resident_bytes(one.pid) for one in cluster.local.masters]
        mib_per_s = await large(client, sizes["mib"])
        lines_per_s, lost = await followed(client, sizes["jobs"])
        after = [resident_bytes(one.pid) for one in cluster.local.masters]
    growth = max(b - a for a, b in zip(before, after, strict=True))
    return {
        "mib_per_s": mib_per_s,
        "lines_per_s": lines_per_s,
        "lost_lines": lost,
        "growth_mib": growth / MIB,
    }


if __name__ == "__main__":
    program.main({"B9": lambda sizes: uvloop.run(printing(sizes))}, versions=versions)
