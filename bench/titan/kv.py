"""B6: durable puts of 256 bytes through the network, by number of clients.

One `fdatasync` per round on each of three masters; clients are connections of one other process, each with
one request in flight. Entry at the leader and at a follower.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Mapping
from typing import Any

import uvloop

from bench import program
from bench.titan.cluster import bench_cluster, versions
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


async def _load(address: str, *, clients: int, seconds: float) -> tuple[float, float]:
    """Writes per second and the median in milliseconds."""
    latencies: list[float] = []
    start = time.perf_counter()
    await asyncio.gather(*(_client(address, n, start + seconds, latencies) for n in range(clients)))
    return len(latencies) / (time.perf_counter() - start), statistics.median(latencies) * 1e3


async def puts(sizes: Mapping[str, Any]) -> program.Figures:
    figures: dict[str, float] = {}
    async with bench_cluster(workers=0) as cluster:
        leader = await cluster.leader()
        follower = next(one for one in cluster.addresses if one != leader)
        for where, address in (("leader", leader), ("follower", follower)):
            for clients in sizes["clients"]:
                rate, p50_ms = await _load(address, clients=clients, seconds=sizes["seconds"])
                figures[f"{where}_{clients}_per_s"] = rate
                figures[f"{where}_{clients}_p50_ms"] = p50_ms
    return figures


if __name__ == "__main__":
    program.main({"B6": lambda sizes: uvloop.run(puts(sizes))}, versions=versions)
