"""B7: how long writes stand still after SIGKILL of the leader; one writer through the SDK.

The gap is the longest time between two accepted writes around a kill; the dead master is started again and
has caught up before the next kill.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Mapping
from typing import Any

import uvloop

from bench import program
from bench.titan.cluster import BenchCluster, bench_cluster, versions
from titan.sdk import AsyncClient


class Writer:
    """Writes one key again and again and remembers the longest pause since it was last asked."""

    def __init__(self, client: AsyncClient) -> None:
        self._client = client
        self._last_s = time.perf_counter()
        self._longest_s = 0.0
        self.written = 0

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self._client.store_put("bench/failover", str(self.written))
            now_s = time.perf_counter()
            self._longest_s = max(self._longest_s, now_s - self._last_s)
            self._last_s = now_s
            self.written += 1

    def take_longest_ms(self) -> float:
        """The longest pause since the call before, in milliseconds."""
        longest_s, self._longest_s = self._longest_s, 0.0
        return longest_s * 1e3


async def one_kill(cluster: BenchCluster, writer: Writer) -> float:
    """Kill the leader, wait for writes to go on, start it again; the gap in milliseconds."""
    leader = await cluster.leader()
    writer.take_longest_ms()
    cluster.master(leader).kill()
    await cluster.leader(unlike=leader)
    before = writer.written
    async with asyncio.timeout(30):
        while writer.written < before + 20:
            await asyncio.sleep(0.01)
    gap_ms = writer.take_longest_ms()
    cluster.master(leader).start()
    await cluster.caught_up()
    return gap_ms


async def kills(sizes: Mapping[str, Any]) -> program.Figures:
    async with (
        bench_cluster(workers=0) as cluster,
        AsyncClient(cluster.addresses) as client,
    ):
        writer = Writer(client)
        writing = asyncio.create_task(writer.run())
        gaps_ms = [await one_kill(cluster, writer) for _ in range(sizes["kills"])]
        writing.cancel()
        await asyncio.gather(writing, return_exceptions=True)
    return {"gap_ms": statistics.median(gaps_ms), "gap_max_ms": max(gaps_ms)}


if __name__ == "__main__":
    program.main({"B7": lambda sizes: uvloop.run(kills(sizes))}, versions=versions)
