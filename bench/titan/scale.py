"""B8: one run of many jobs: submitting it, what a job costs and leaves in memory, a restart.

The standstill is the longest of any master's event loop, as its own meter has seen it.
"""

from __future__ import annotations

import asyncio
import time
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import uvloop

from bench import program
from bench.titan.cluster import BenchCluster, bench_cluster, has_workers, versions
from titan.sdk import AsyncClient, TitanJob

PATIENCE_S = 3600
PAGE_BYTES = 4096


def resident_bytes(pid: int) -> int:
    """Memory of a process."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE_BYTES


def metric(cluster: BenchCluster, name: str) -> list[float]:
    """What each master says of itself."""
    found = []
    for master in cluster.local.masters:
        with urllib.request.urlopen(f"http://{master.http}/metrics", timeout=5) as answer:
            rows = dict(line.rsplit(" ", 1) for line in answer.read().decode().splitlines())
        found.append(float(rows[name]))
    return found


async def _restart_s(cluster: BenchCluster) -> float:
    """A follower is killed and started again: until it has applied what the leader has."""
    leader = await cluster.leader()
    other = next(one for one in cluster.local.masters if one.address != leader)
    other.kill()
    start = time.perf_counter()
    other.start()
    await cluster.caught_up()
    return time.perf_counter() - start


async def scale(sizes: Mapping[str, Any]) -> program.Figures:
    figures: dict[str, float] = {}
    for count in sizes["jobs"]:
        async with (
            bench_cluster() as cluster,
            AsyncClient(cluster.addresses, deadline_s=60) as client,
        ):
            await has_workers(client)
            before = sum(resident_bytes(one.pid) for one in cluster.local.masters)
            jobs = [TitanJob(f"j{n}", command=["true"]) for n in range(count)]
            start = time.perf_counter()
            run = await client.submit_dag("scale", jobs)
            figures[f"submit_{count}_s"] = time.perf_counter() - start
            assert await run.wait(PATIENCE_S) == "COMPLETED"
            figures[f"job_{count}_ms"] = (time.perf_counter() - start) * 1e3 / count
            after = sum(resident_bytes(one.pid) for one in cluster.local.masters)
            figures[f"memory_{count}_bytes"] = (after - before) / len(cluster.addresses) / count
            lags = await asyncio.to_thread(metric, cluster, "titan_loop_lag_max_ms")
            figures[f"standstill_{count}_ms"] = max(lags)
            figures[f"restart_{count}_s"] = await _restart_s(cluster)
    return figures


if __name__ == "__main__":
    program.main({"B8": lambda sizes: uvloop.run(scale(sizes))}, versions=versions)
