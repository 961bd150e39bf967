"""One large artifact and the jobs that take it: seconds, and bytes that each master has sent.

Three masters and four workers on this machine. One job makes a file; then one job on each worker takes it,
and then another one on each.
Run: python -m bench.files [--mib 1024]
"""

from __future__ import annotations

import argparse
import asyncio
import time
import urllib.request

import uvloop

from bench.cluster import BenchCluster, bench_cluster, describe_machine
from titan.sdk import AsyncClient, TitanJob

WORKERS = 4


def sent(cluster: BenchCluster) -> list[int]:
    """Bytes of blobs that each master has sent since it began."""
    found = []
    for master in cluster.local.masters:
        with urllib.request.urlopen(f"http://{master.http}/metrics", timeout=5) as answer:
            lines = answer.read().decode().splitlines()
        row = next(line for line in lines if line.startswith("titan_blob_bytes_sent_total "))
        found.append(int(row.split()[1]))
    return found


async def main(*, mib: int) -> None:
    """Print what each round took."""
    print(describe_machine())
    async with (
        bench_cluster(masters=3, workers=WORKERS, slots=1) as cluster,
        AsyncClient(cluster.addresses, deadline_s=60) as client,
    ):
        while len(await client.list_workers()) < WORKERS:
            await asyncio.sleep(0.1)
        make = TitanJob(
            "make",
            command=f"head -c {mib}M /dev/urandom > big",
            artifacts={"out": ["big"]},
        )
        start = time.perf_counter()
        run = await client.submit_job(make)
        assert await run.wait(600) == "COMPLETED", await client.list_jobs(run.id)
        print(f"make {mib} MiB and store it: {time.perf_counter() - start:.1f} s")
        for name in ("first", "second"):
            before = await asyncio.to_thread(sent, cluster)
            start = time.perf_counter()
            # One slot each and a while to hold it: so each worker gets one.
            await run.add(
                [
                    TitanJob(
                        f"{name}{n}",
                        command="stat -c %s big && sleep 2",
                        parents=["make"],
                        artifacts={"in": ["make:big"]},
                    )
                    for n in range(WORKERS)
                ]
            )
            assert await run.wait(600) == "COMPLETED", await client.list_jobs(run.id)
            took_s = time.perf_counter() - start - 2
            after = await asyncio.to_thread(sent, cluster)
            megabytes = [(b - a) // 2**20 for a, b in zip(before, after, strict=True)]
            workers = {job.worker for job in await client.list_jobs(run.id) if name in job.id}
            print(
                f"{name} job on each of {len(workers)} workers: {took_s:.1f} s besides the job; "
                f"MiB sent by each master: {megabytes}"
            )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mib", type=int, default=1024)
    uvloop.run(main(mib=parser.parse_args().mib))
