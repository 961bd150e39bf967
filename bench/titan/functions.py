"""B3, B4-functions, B5-function: functions that do nothing, called through `@task` in warm processes."""

from __future__ import annotations

import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import uvloop

from bench import program
from bench.titan.cluster import bench_cluster, has_workers, versions
from titan.sdk import AsyncClient, Pipeline, pipeline

sys.path.insert(0, str(Path(__file__).parent / "work"))  # as a user's project is
import noop

PATIENCE_S = 600
Sizes = Mapping[str, Any]


async def _seconds(client: AsyncClient, graph: Pipeline) -> float:
    """From the submission of a graph to the push of its end."""
    graph.specs()
    start = time.perf_counter()
    run = await client.submit_pipeline(graph)
    state = await run.wait(PATIENCE_S)
    took_s = time.perf_counter() - start
    assert state == "COMPLETED", state
    return took_s


def _independent(count: int) -> Pipeline:
    with pipeline("calls") as graph:
        for _ in range(count):
            noop.nothing()
    return graph


def _chain(count: int) -> Pipeline:
    """Each call gets the result of the one before."""
    with pipeline("chain") as graph:
        last = noop.nothing()
        for _ in range(count - 1):
            last = noop.following(last)
    return graph


async def calls(client: AsyncClient, sizes: Sizes) -> program.Figures:
    return {"per_s": sizes["jobs"] / await _seconds(client, _independent(sizes["jobs"]))}


async def chain(client: AsyncClient, sizes: Sizes) -> program.Figures:
    return {"ms_per_hop": await _seconds(client, _chain(sizes["hops"])) * 1e3 / sizes["hops"]}


async def one(client: AsyncClient, sizes: Sizes) -> program.Figures:
    took = []
    for _ in range(sizes["ones"]):
        start = time.perf_counter()
        call = await client.submit(noop.nothing)
        assert await call.result(timeout=30) is None
        took.append((time.perf_counter() - start) * 1e3)
    return {"p50_ms": program.percentile(took, 0.5), "p99_ms": program.percentile(took, 0.99)}


Case = Callable[[AsyncClient, Sizes], Awaitable[program.Figures]]


async def _run(case: Case, sizes: Sizes) -> program.Figures:
    async with bench_cluster() as cluster, AsyncClient(cluster.addresses) as client:
        await has_workers(client)
        await _seconds(client, _independent(50))
        return await case(client, sizes)


def _warm(case: Case) -> program.Measure:
    return lambda sizes: uvloop.run(_run(case, sizes))


if __name__ == "__main__":
    program.main(
        {"B3": _warm(calls), "B4-functions": _warm(chain), "B5-function": _warm(one)},
        versions=versions,
    )
