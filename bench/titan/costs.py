"""What one operation costs the masters, in processor time and bytes: `python -m bench.titan.costs`.

For docs/scaling.md. Processor time depends less on who else uses the machine than durations do; what the
masters use when nobody asks for anything is measured first and taken off.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from typing import Final, NamedTuple

import psutil
import uvloop

from bench.titan.cluster import BenchCluster, bench_cluster, has_workers
from bench.titan.scale import answering
from titan.sdk import AsyncClient
from titan.wire.messages import Heartbeat, encode

IDLE_S: Final = 15
WORKERS: Final = 500
PUTS: Final = 20_000
AT_ONCE: Final = 64
VALUE: Final = "v" * 256


class Used(NamedTuple):
    """Processor seconds and bytes written to disk, of the leader and of a follower on average."""

    leader_s: float
    follower_s: float
    leader_bytes: int


def used(cluster: BenchCluster, leader: str) -> Used:
    """Since the masters started."""
    seconds: dict[str, float] = {}
    for one in cluster.local.masters:
        times = psutil.Process(one.pid).cpu_times()
        seconds[one.address] = times.user + times.system
    written = psutil.Process(cluster.master(leader).pid).io_counters().write_bytes
    led = seconds.pop(leader)
    return Used(led, sum(seconds.values()) / len(seconds), written)


async def during(cluster: BenchCluster, work: Callable[[], Awaitable[object]]) -> Used:
    """What the masters use while something is done."""
    leader = await cluster.leader()
    before = used(cluster, leader)
    await work()
    after = used(cluster, leader)
    return Used(
        after.leader_s - before.leader_s,
        after.follower_s - before.follower_s,
        after.leader_bytes - before.leader_bytes,
    )


async def measure() -> dict[str, float]:
    """Everything, as figures."""
    figures: dict[str, float] = {}
    async with (
        bench_cluster(workers=0) as cluster,
        AsyncClient(cluster.addresses, deadline_s=60) as client,
    ):
        idle = await during(cluster, lambda: asyncio.sleep(IDLE_S))
        figures["idle leader, ms of processor per s"] = 1e3 * idle.leader_s / IDLE_S
        figures["idle follower, ms of processor per s"] = 1e3 * idle.follower_s / IDLE_S
        puts = await during(cluster, lambda: put_many(client))
        figures["put of 256 bytes, µs of the leader"] = 1e6 * puts.leader_s / PUTS
        figures["put of 256 bytes, µs of a follower"] = 1e6 * puts.follower_s / PUTS
        figures["put of 256 bytes, bytes written by the leader"] = puts.leader_bytes / PUTS
        figures |= await heartbeats(cluster, client, idle)
    return figures


async def put_many(client: AsyncClient) -> None:
    """Puts of fresh keys, some at once."""
    numbers = iter(range(PUTS))

    async def put() -> None:
        for number in numbers:
            await client.store_put(f"k{number}", VALUE)

    await asyncio.gather(*(put() for _ in range(AT_ONCE)))


async def heartbeats(cluster: BenchCluster, client: AsyncClient, idle: Used) -> dict[str, float]:
    """Workers that have nothing to do."""
    async with answering(cluster.addresses, count=WORKERS):
        await has_workers(client, count=WORKERS, timeout_s=120)
        beating = await during(cluster, lambda: asyncio.sleep(IDLE_S))
    more_s = max(0.0, beating.leader_s - idle.leader_s)
    beat = Heartbeat(load_milli=1500, memory_free_mb=16_000, disk_free_mb=500_000)
    return {
        "idle worker, µs of the leader per s": 1e6 * more_s / IDLE_S / WORKERS,
        "heartbeat, bytes": float(len(encode(beat))),
    }


if __name__ == "__main__":
    json.dump(uvloop.run(measure()), sys.stdout, indent=1, ensure_ascii=False)
    print()
