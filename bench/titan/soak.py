"""An hour of steady, modest load: `python -m bench soak [--minutes 60]`. Memory and disk shall stay flat.

A real cluster (three masters, two workers) with a retention policy that is short enough for runs to be
forgotten all the time: `titan cluster retention` and the `--keep-…` options of workers, nothing else. Every
half minute each process is looked at; `soak_report.py` writes the figures, a plot and `soak.md`.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import tempfile
import time
from pathlib import Path
from typing import Final

import uvloop

from bench.titan import soak_report
from bench.titan.cluster import BenchCluster, has_workers
from bench.titan.soak_load import Load
from bench.titan.soak_samples import Sampler
from titan.cli.local import LocalCluster, Member, quiet_ports
from titan.sdk import AsyncClient

EVERY_S: Final = 30.0
WORKERS: Final = 2
# So short that everything kept reaches its plateau within ten minutes, as the sessions of clients do.
RETENTION: Final = {"runs": 1000, "jobs": 10_000, "keep_s": 240, "files_s": 300}
KEEPING: Final = ("--keep-logs", "2000", "--keep-logs-mb", "64", "--keep-files-mb", "4")


def main(arguments: list[str]) -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m bench soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--jobs-per-s", type=float, default=25)
    parser.add_argument(
        "--out", type=Path, default=soak_report.FOLDER, help="folder of the results"
    )
    options = parser.parse_args(arguments)
    uvloop.run(_soak(options.minutes * 60, options.jobs_per_s, options.out))
    return 0


async def _soak(seconds: float, jobs_per_s: float, out: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="titan-soak-") as folder:
        local = _cluster(Path(folder))
        try:
            local.start()
            await _measure(BenchCluster(local), seconds, jobs_per_s, out, folder=Path(folder))
        except BaseException:
            for member in local.members:
                print(f"--- {member.name}\n{member.last_words()}")
            raise
        finally:
            await asyncio.to_thread(local.stop)


def _cluster(folder: Path) -> LocalCluster:
    local = LocalCluster(folder, masters=3, workers=0, slots=0, ports=quiet_ports(3))
    for number in range(1, WORKERS + 1):
        name = f"worker-{number}"
        arguments = ["worker", "--masters", ",".join(local.addresses), "--slots", "2", *KEEPING]
        arguments += ["--data", str(folder / name), "--name", name]
        local.workers.append(Member(name, arguments, log=folder / f"{name}.log"))
    return local


async def _measure(
    cluster: BenchCluster, seconds: float, jobs_per_s: float, out: Path, *, folder: Path
) -> None:
    await cluster.leader()
    async with AsyncClient(cluster.addresses, deadline_s=60) as client:
        await has_workers(client, count=WORKERS)
        await client.set_retention(**RETENTION)
        files = folder / "client"
        files.mkdir()
        load = Load(client, cluster.addresses, jobs_per_s=jobs_per_s, folder=files)
        sampler = Sampler(cluster.local, load.timings)
        began = time.monotonic()
        async with load.running():
            while time.monotonic() - began < seconds:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(load.failed(), EVERY_S)
                await asyncio.to_thread(sampler.take, time.monotonic() - began)
                soak_report.write_csv(out, sampler.rows)
        soak_report.write(out, sampler.rows, jobs_per_s=jobs_per_s, counts=load.counts)
