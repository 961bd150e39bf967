"""How long writes stand still after SIGKILL of the leader: twenty kills, one writer through the SDK.

Three masters on this machine. The gap is the longest time between two accepted writes around a kill;
the dead master is started again and has caught up before the next kill.
Run: python -m bench.failover [--kills 20]
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import time

import uvloop

from bench.cluster import BenchCluster, bench_cluster, describe_machine
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


async def main(*, kills: int) -> None:
    """Print the distribution."""
    print(describe_machine())
    async with bench_cluster(workers=0) as cluster:
        client = AsyncClient(cluster.addresses)
        writer = Writer(client)
        writing = asyncio.create_task(writer.run())
        gaps_ms = sorted([await one_kill(cluster, writer) for _ in range(kills)])
        writing.cancel()
        await asyncio.gather(writing, return_exceptions=True)
        await client.close()
    p99_ms = gaps_ms[min(len(gaps_ms) - 1, int(len(gaps_ms) * 0.99))]
    print(f"gap in accepted writes after SIGKILL of the leader, {kills} kills: "
          f"median {statistics.median(gaps_ms):.0f} ms, p99 {p99_ms:.0f} ms, "
          f"min {gaps_ms[0]:.0f} ms, max {gaps_ms[-1]:.0f} ms")  # fmt: skip
    print("all, ms:", " ".join(f"{gap:.0f}" for gap in gaps_ms))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=20)
    options = parser.parse_args()
    uvloop.run(main(kills=options.kills))
