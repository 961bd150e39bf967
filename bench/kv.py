"""Durable KV puts of 256 bytes through the network: latency and throughput by number of clients.

Three masters on this machine, one `fdatasync` per round on each; clients are connections of one
other process, each with one request in flight. Entry at the leader and at a follower.
Run: python -m bench.kv [--seconds 3] [--repeat 3]
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import time

import uvloop

from bench.cluster import bench_cluster, describe_machine, spread
from titan.fsm.commands import KvPut, encode_command
from titan.ids import new_client_id
from titan.wire.endpoint import dial
from titan.wire.handler import Refusing
from titan.wire.messages import Hello, Write, WriteDone

VALUE = b"v" * 256


async def _client(address: str, ident: int, until_s: float, latencies: list[float]) -> None:
    session = new_client_id()
    connection = await dial(address, Hello(role="client", id=session), Refusing())
    command = encode_command(KvPut(key=f"bench/{ident}", value=VALUE))
    request = 0
    try:
        while (start := time.perf_counter()) < until_s:
            request += 1
            done = await connection.call(
                Write(client=session, request=request, floor=request, command=command),
                timeout_s=10,
            )
            assert isinstance(done, WriteDone)
            assert not done.rejected, done
            latencies.append(time.perf_counter() - start)
    finally:
        connection.close()


async def measure(address: str, *, clients: int, seconds: float) -> tuple[float, float, float]:
    """(writes per second, p50 ms, p99 ms)."""
    latencies: list[float] = []
    start = time.perf_counter()
    await asyncio.gather(*(_client(address, n, start + seconds, latencies) for n in range(clients)))
    elapsed = time.perf_counter() - start
    latencies.sort()
    p99 = latencies[int(len(latencies) * 0.99)]
    return len(latencies) / elapsed, statistics.median(latencies) * 1e3, p99 * 1e3


async def main(*, seconds: float, repeat: int) -> None:
    """Print a table."""
    print(describe_machine())
    print("durable puts of 256 bytes, three masters, network clients: median (min–max)")
    async with bench_cluster(workers=0) as cluster:
        leader = await cluster.leader()
        follower = next(one for one in cluster.addresses if one != leader)
        for name, address in (("leader", leader), ("follower", follower)):
            for clients in (1, 64, 256):
                rows = [
                    await measure(address, clients=clients, seconds=seconds) for _ in range(repeat)
                ]
                rate = spread([row[0] for row in rows], digits=0)
                p50, p99 = (spread([row[n] for row in rows], digits=2) for n in (1, 2))
                print(f"{name:9} {clients:4} clients  {rate} /s   p50 {p50} ms   p99 {p99} ms")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--repeat", type=int, default=3)
    options = parser.parse_args()
    uvloop.run(main(seconds=options.seconds, repeat=options.repeat))
