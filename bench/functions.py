"""No-op Python functions in warm processes: calls per second, milliseconds per hop, submit → result.

Three masters with durable commits and one worker with two slots, all on this machine, defaults only, one
client that uses the public SDK. Shows what each process spent of the processor beside the clock, since on a
shared machine only that can be compared.
Run: python -m bench.functions [--count 10000] [--chain 300] [--one 200] [--repeat 3]
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from pathlib import Path

import uvloop

from bench.cluster import BenchCluster, bench_cluster, describe_machine, spread
from titan.sdk import AsyncClient, Pipeline, pipeline

sys.path.insert(0, str(Path(__file__).parent / "work"))
import noop  # type: ignore[import-not-found]

_TICK_US = 1_000_000 // os.sysconf("SC_CLK_TCK")


def independent(count: int) -> Pipeline:
    """Calls without parents."""
    with pipeline("calls") as graph:
        for _ in range(count):
            noop.nothing()
    return graph


def chain(count: int) -> Pipeline:
    """Each call gets the result of the one before."""
    with pipeline("chain") as graph:
        last = noop.nothing()
        for _ in range(count - 1):
            last = noop.following(last)
    return graph


async def timed(client: AsyncClient, graph: Pipeline) -> float:
    """Seconds from the submission of a graph to the push of its end."""
    graph.specs()
    start = time.perf_counter()
    run = await client.submit_pipeline(graph)
    state = await run.wait(300)
    took = time.perf_counter() - start
    assert state == "COMPLETED", state
    return took


async def one_call(client: AsyncClient) -> float:
    """Milliseconds from the submission of one call to its result."""
    start = time.perf_counter()
    call = await client.submit(noop.nothing)
    assert await call.result(timeout=30) is None
    return (time.perf_counter() - start) * 1e3


def processor_us(pid: int) -> int:
    """What a process has spent so far, and its children that were waited for."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * _TICK_US


def family(pid: int) -> list[int]:
    """A process and everything below it."""
    below = [pid]
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        below += family(int(child))
    return below


async def spent(cluster: BenchCluster) -> dict[str, int]:
    """Microseconds of processor by kind of process."""
    leader = await cluster.leader()
    shares = {"leader": 0, "followers": 0, "worker": 0, "functions": 0, "client": 0}
    for member in cluster.local.masters:
        kind = "leader" if member.address == leader else "followers"
        shares[kind] += processor_us(member.pid)
    for member in cluster.local.workers:
        own, *below = family(member.pid)
        shares["worker"] += processor_us(own)
        shares["functions"] += sum(map(processor_us, below))
    shares["client"] = processor_us(os.getpid())
    return shares


async def main(*, count: int, hops: int, ones: int, repeat: int) -> None:
    """Print a table."""
    print(describe_machine())
    async with bench_cluster(masters=3, workers=1, slots=2) as cluster:
        client = AsyncClient(cluster.addresses)
        await timed(client, independent(50))
        rates, costs = [], []
        for _ in range(repeat):
            graph, before = independent(count), await spent(cluster)
            rates.append(count / await timed(client, graph))
            after = await spent(cluster)
            costs.append({kind: (after[kind] - before[kind]) / count for kind in after})
        per_hop = [await timed(client, chain(hops)) * 1e3 / hops for _ in range(repeat)]
        single = sorted([await one_call(client) for _ in range(ones)])
        await client.close()
    print(f"{count} calls: {spread(rates, digits=0)} /s")
    shares = {kind: statistics.median(cost[kind] for cost in costs) for kind in costs[0]}
    shown = ", ".join(f"{kind} {share:.0f}" for kind, share in shares.items())
    print(f"processor per call, µs: {shown}; together {sum(shares.values()):.0f}")
    print(f"chain of {hops}: {spread(per_hop, digits=2)} ms per hop")
    p50, p99 = statistics.median(single), single[int(len(single) * 0.99)]
    print(f"one call, submit → result: p50 {p50:.2f} ms, p99 {p99:.2f} ms")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--chain", type=int, default=300)
    parser.add_argument("--one", type=int, default=200)
    parser.add_argument("--repeat", type=int, default=3)
    options = parser.parse_args()
    run = main(count=options.count, hops=options.chain, ones=options.one, repeat=options.repeat)
    uvloop.run(run)
