"""Whose processor time a job takes: `python -m bench.titan.shares [--only true,script] [--jobs 2000]`.

For docs/performance.md. One cluster with defaults (three masters, one worker with two slots), one client.
Prints microseconds of processor for each job, by process, and how busy the machine's cores were with it:
what is far below all cores was waiting, for a disk, a pipe or a process to start.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Awaitable, Callable
from typing import Final

import psutil
import uvloop

from bench.cases import SCRIPT
from bench.titan import functions, jobs
from bench.titan.cluster import BenchCluster, bench_cluster, has_workers
from bench.titan.scale import rows_of
from titan.sdk import AsyncClient

Work = Callable[[AsyncClient, int], Awaitable[object]]
WORK: Final[dict[str, Work]] = {
    "true": lambda client, count: jobs.processes(client, {"jobs": count}),
    "script": lambda client, count: jobs.scripts(client, {"jobs": count, "script": SCRIPT}),
    "function": lambda client, count: functions.calls(client, {"jobs": count}),
    "hop of functions": lambda client, count: functions.chain(client, {"hops": count}),
}
ENTRIES: Final = "titan_entries_proposed_total"


def _own_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _gone_s(process: psutil.Process) -> float:
    """Of the children that it has waited for."""
    times = process.cpu_times()
    return float(times.children_user + times.children_system)


def used_s(cluster: BenchCluster, leader: str) -> dict[str, float]:
    """Processor seconds so far, by process."""
    followers = [one.pid for one in cluster.local.masters if one.address != leader]
    [worker] = [psutil.Process(one.pid) for one in cluster.local.workers]
    [warden] = worker.children()
    alive_s = sum(_own_s(one) + _gone_s(one) for one in warden.children(recursive=True))
    return {
        "leader": _own_s(psutil.Process(cluster.master(leader).pid)),
        "each follower": sum(_own_s(psutil.Process(pid)) for pid in followers) / len(followers),
        "worker": _own_s(worker),
        "warden": _own_s(warden),
        "processes of jobs": _gone_s(warden) + alive_s,
        "client": _own_s(psutil.Process()),
    }


async def shares(work: Work, count: int) -> dict[str, float]:
    """Microseconds for each job."""
    async with bench_cluster() as cluster, AsyncClient(cluster.addresses) as client:
        await has_workers(client)
        await work(client, 100)  # what is started once has been started
        leader = await cluster.leader()
        entries = rows_of(cluster.master(leader))[ENTRIES]
        before, start = used_s(cluster, leader), time.perf_counter()
        await work(client, count)
        took_s, after = time.perf_counter() - start, used_s(cluster, leader)
        entries = rows_of(cluster.master(leader))[ENTRIES] - entries
    found = {name: (after[name] - before[name]) * 1e6 / count for name in before}
    everybody_s = sum(found.values()) + found["each follower"]
    return found | {
        "all": everybody_s,
        "busy cores": everybody_s * count / 1e6 / took_s,
        "entries": entries / count,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default=",".join(WORK), help="kinds of work, with commas between")
    parser.add_argument("--jobs", type=int, default=2000)
    given = parser.parse_args()
    print(f"µs of processor for each job; {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    for name in given.only.split(","):
        found = uvloop.run(shares(WORK[name], given.jobs))
        told = ", ".join(f"{key} {value:,.0f}" for key, value in list(found.items())[:-2])
        print(
            f"{name}: {told}; {found['busy cores']:.1f} cores busy, {found['entries']:.2f} entries"
        )


if __name__ == "__main__":
    main()
