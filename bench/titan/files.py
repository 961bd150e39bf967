"""One large artifact and the jobs that take it: seconds, and MiB that the masters have sent.

Three masters and four workers on this machine. One job makes a file; then one job on each worker takes it,
and then another one on each.
"""

from __future__ import annotations

import asyncio
import time
import urllib.request
from collections.abc import Mapping
from typing import Any

import uvloop

from bench import program
from bench.titan.cluster import BenchCluster, bench_cluster, has_workers, versions
from titan.sdk import AsyncClient, TitanJob

WORKERS = 4
HOLD_S = 2


def sent(cluster: BenchCluster) -> list[int]:
    """Bytes of blobs that each master has sent since it began."""
    found = []
    for master in cluster.local.masters:
        with urllib.request.urlopen(f"http://{master.http}/metrics", timeout=5) as answer:
            lines = answer.read().decode().splitlines()
        row = next(line for line in lines if line.startswith("titan_blob_bytes_sent_total "))
        found.append(int(row.split()[1]))
    return found


async def spread_out(sizes: Mapping[str, Any]) -> program.Figures:
    mib, figures = sizes["mib"], {}
    async with (
        bench_cluster(workers=WORKERS, slots=1) as cluster,
        AsyncClient(cluster.addresses, deadline_s=60) as client,
    ):
        await has_workers(client, count=WORKERS)
        make = TitanJob(
            "make", command=f"head -c {mib}M /dev/urandom > big", artifacts={"out": ["big"]}
        )
        start = time.perf_counter()
        run = await client.submit_job(make)
        assert await run.wait(600) == "COMPLETED", await client.list_jobs(run.id)
        figures["make_s"] = time.perf_counter() - start
        for name in ("first", "second"):
            before = await asyncio.to_thread(sent, cluster)
            start = time.perf_counter()
            # One slot each and a while to hold it: so each worker gets one.
            await run.add(
                [
                    TitanJob(
                        f"{name}{n}",
                        command=f"stat -c %s big && sleep {HOLD_S}",
                        artifacts={"in": ["make:big"]},
                    )
                    for n in range(WORKERS)
                ]
            )
            assert await run.wait(600) == "COMPLETED", await client.list_jobs(run.id)
            figures[f"{name}_s"] = time.perf_counter() - start - HOLD_S
            after = await asyncio.to_thread(sent, cluster)
            figures[f"{name}_sent_mib"] = (sum(after) - sum(before)) / 2**20
    return figures


if __name__ == "__main__":
    program.main({"files": lambda sizes: uvloop.run(spread_out(sizes))}, versions=versions)
