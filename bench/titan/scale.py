"""B8: runs of many jobs: what submitting, running, cancelling, retrying and a restart cost the masters.

Two hundred workers answer at once (`answering.py`), so the masters are what is measured. Processor time and
memory are those of the masters' processes. The lag is the longest standstill of any master's event loop
while a phase lasted, as its own meter has seen it: it looks at the last ten seconds, so phases are kept
apart. Busy is the part of a standstill in which the loop computed; the rest it waited for a processor.
"""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
import time
import urllib.request
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any, Final

import psutil
import uvloop

from bench import program
from bench.titan.cluster import BenchCluster, bench_cluster, has_workers, versions
from titan.cli.local import Member
from titan.sdk import AsyncClient, TitanJob

PATIENCE_S: Final = 600
PAGE_BYTES: Final = 4096
WORKERS: Final = 200
SLOTS: Final = 2
METER_S: Final = 10.5  # what the meter remembers
LOOK_EVERY_S: Final = 2.0


def resident_bytes(pid: int) -> int:
    """Memory of a process."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE_BYTES


def metric(cluster: BenchCluster, name: str) -> list[float]:
    """What each master that is alive says of itself."""
    alive = [one for one in cluster.local.masters if one.is_alive]
    return [rows_of(one)[name] for one in alive]


def rows_of(master: Member) -> dict[str, float]:
    """All metrics of one master."""
    with urllib.request.urlopen(f"http://{master.http}/metrics", timeout=30) as answer:
        lines = answer.read().decode().splitlines()
    pairs = (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    return {name: float(value) for name, value in pairs}


class Standstills:
    """The longest standstill of any master in each phase."""

    def __init__(self, cluster: BenchCluster) -> None:
        self._cluster = cluster
        self.longest_ms: dict[tuple[str, str], float] = {}

    @contextlib.asynccontextmanager
    async def during(self, phase: str) -> AsyncIterator[None]:
        """Look now and then while the phase lasts, after the meters have forgotten the one before."""
        await asyncio.sleep(METER_S)
        looking = asyncio.create_task(self._look(phase), name="look at the meters")
        try:
            yield
        finally:
            looking.cancel()
            await asyncio.gather(looking, return_exceptions=True)
            await self._note(phase)

    async def _look(self, phase: str) -> None:
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            await self._note(phase)

    async def _note(self, phase: str) -> None:
        for kind in ("lag", "busy"):
            name = f"titan_loop_{kind}_recent_max_ms"
            longest = await asyncio.to_thread(metric, self._cluster, name)
            self.longest_ms[kind, phase] = max(self.longest_ms.get((kind, phase), 0.0), *longest)


@contextlib.asynccontextmanager
async def answering(addresses: tuple[str, ...], *, count: int = WORKERS) -> AsyncIterator[None]:
    """The workers, in a process of their own."""
    arguments = [",".join(addresses), str(count), str(SLOTS)]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.titan.answering", *arguments, stdin=subprocess.PIPE
    )
    try:
        yield
    finally:
        process.terminate()
        await process.wait()


async def _restart(cluster: BenchCluster) -> tuple[float, float]:
    """A follower is killed and started again: seconds until it has applied what the leader has, and
    processor seconds that it needed for that."""
    leader = await cluster.leader()
    other = next(one for one in cluster.local.masters if one.address != leader)
    other.kill()
    start = time.perf_counter()
    other.start()
    await cluster.caught_up(timeout_s=PATIENCE_S)
    took_s = time.perf_counter() - start
    used = psutil.Process(other.pid).cpu_times()
    return took_s, used.user + used.system


def _cpu_s(cluster: BenchCluster, leader: str) -> tuple[float, float]:
    """Processor seconds of the leader, and of a follower on average."""
    used = {one.address: psutil.Process(one.pid).cpu_times() for one in cluster.local.masters}
    seconds = {address: times.user + times.system for address, times in used.items()}
    led = seconds.pop(leader)
    return led, sum(seconds.values()) / max(1, len(seconds))


class Measure:
    """One size: the phases one after the other, on a cluster of their own."""

    def __init__(self, cluster: BenchCluster, client: AsyncClient, count: int) -> None:
        self._cluster = cluster
        self._client = client
        self._count = count
        self._standstills = Standstills(cluster)
        self.figures: dict[str, float] = {}

    async def all(self) -> None:
        """Run, restart, snapshot, cancel and retry, fan out."""
        await self._run()
        took_s, cpu_s = await _restart(self._cluster)
        self._note("restart_{}_s", took_s)
        self._note("restart_cpu_{}_s", cpu_s)
        async with self._standstills.during("snapshot"):
            await self._cluster.take_snapshot()
        await self._cancel_and_retry()
        await self._fan_out()
        for (kind, phase), longest_ms in self._standstills.longest_ms.items():
            self._note(f"{kind}_{phase}_{{}}_ms", longest_ms)

    def _note(self, key: str, value: float) -> None:
        self.figures[key.format(self._count)] = value

    async def _run(self) -> None:
        cluster, count = self._cluster, self._count
        leader = await cluster.leader()
        before = sum(resident_bytes(one.pid) for one in cluster.local.masters)
        led, followed = _cpu_s(cluster, leader)
        jobs = [TitanJob(f"j{n}", command=["true"]) for n in range(count)]
        async with self._standstills.during("run"):
            start = time.perf_counter()
            run = await self._client.submit_dag("scale", jobs)
            self._note("submit_{}_s", time.perf_counter() - start)
            assert await run.wait(PATIENCE_S) == "COMPLETED"
            self._note("job_{}_ms", (time.perf_counter() - start) * 1e3 / count)
            led_now, followed_now = _cpu_s(cluster, leader)
        self._note("leader_{}_us", (led_now - led) * 1e6 / count)
        self._note("follower_{}_us", (followed_now - followed) * 1e6 / count)
        after = sum(resident_bytes(one.pid) for one in cluster.local.masters)
        self._note("memory_{}_bytes", (after - before) / len(cluster.addresses) / count)

    async def _cancel_and_retry(self) -> None:
        """Jobs that nobody can run are submitted, cancelled, and one of them is asked for again."""
        jobs = [
            TitanJob(f"c{n}", command=["true"], requirement="NOWHERE") for n in range(self._count)
        ]
        async with self._standstills.during("submit"):
            run = await self._client.submit_dag("cancelled", jobs)
        async with self._standstills.during("cancel"):
            await run.cancel()
            assert await run.wait(PATIENCE_S) == "CANCELLED"
            await self._client.retry("c0", run)
            await run.cancel()

    async def _fan_out(self) -> None:
        """The root's end makes all others ready, and all of them run."""
        jobs = [TitanJob("root", command=["true"])]
        jobs += [
            TitanJob(f"f{n}", command=["true"], parents=["root"]) for n in range(self._count - 1)
        ]
        async with self._standstills.during("fan_out"):
            run = await self._client.submit_dag("fan-out", jobs)
            assert await run.wait(PATIENCE_S) == "COMPLETED"


async def scale(sizes: Mapping[str, Any]) -> program.Figures:
    figures: dict[str, float] = {}
    for count in sizes["jobs"]:
        async with (
            bench_cluster(workers=0) as cluster,
            answering(cluster.addresses),
            AsyncClient(cluster.addresses, deadline_s=60) as client,
        ):
            await has_workers(client, count=WORKERS)
            measure = Measure(cluster, client, count)
            await measure.all()
            figures |= measure.figures
    return figures


if __name__ == "__main__":
    program.main({"B8": lambda sizes: uvloop.run(scale(sizes))}, versions=versions)
