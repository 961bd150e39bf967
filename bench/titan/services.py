"""What clients of a service see while it is killed again and again.

One HTTP service on a local cluster, SIGKILL to its process N times; several clients ask without rest, each
request by a connection of its own, at the address that the cluster names. A failed request is a refused
or broken connection or a time-out of 1 s; the gap of a kill is the time from it to the next good answer.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench import program
from bench.titan.cluster import bench_cluster, versions
from titan.fsm.queries import ServiceView
from titan.sdk import AsyncClient, TitanJob

SERVER = """
import http.server, os, pathlib, sys
class Quiet(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(str(os.getpid()).encode())
    def log_message(self, *words):
        pass
pathlib.Path(sys.argv[1]).write_text(str(os.getpid()))
address = ("127.0.0.1", int(os.environ["TITAN_PORT"]))
http.server.ThreadingHTTPServer(address, Quiet).serve_forever()
"""
REQUEST = b"GET / HTTP/1.0\r\n\r\n"


class Clients:
    """They ask; every answer is noted with its time."""

    def __init__(self, view: ServiceView) -> None:
        host, _, port = view.address.rpartition(":")
        self._where = host, int(port)
        self.good: list[float] = []
        self.failed: Counter[str] = Counter()
        self.answered_by: dict[str, None] = {}

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            try:
                async with asyncio.timeout(1):
                    body = await self._ask()
            except (OSError, TimeoutError, ValueError) as error:
                self.failed[type(error).__name__] += 1
                await asyncio.sleep(0.005)
            else:
                self.good.append(time.perf_counter())
                self.answered_by[body.decode()] = None
                await asyncio.sleep(0.002)

    async def _ask(self) -> bytes:
        reader, writer = await asyncio.open_connection(*self._where)
        try:
            writer.write(REQUEST)
            answer = await reader.read()
        finally:
            writer.close()
        head, _, body = answer.partition(b"\r\n\r\n")
        if b" 200 " not in head.split(b"\r\n")[0] or not body:
            raise ValueError("no answer")
        return body

    def gap_ms(self, since_s: float) -> float:
        """From a moment to the next good answer after it that a new process gave."""
        return min(at for at in self.good if at > since_s) * 1e3 - since_s * 1e3


async def is_healthy(client: AsyncClient, *, after: int = 0) -> ServiceView:
    async with asyncio.timeout(40):
        while True:
            view = await client.get_service("web")
            if view.health == "healthy" and view.attempt > after:
                return view
            await asyncio.sleep(0.01)


async def killed(sizes: Mapping[str, Any]) -> program.Figures:
    kills, clients = sizes["kills"], sizes["clients"]
    rng = random.Random(1)
    with tempfile.TemporaryDirectory(prefix="titan-bench-") as folder:
        pid_file = Path(folder, "pid")
        job = TitanJob(
            "web",
            job_type="SERVICE",
            command=[sys.executable, "-c", SERVER, str(pid_file)],
            health={"http": "/", "interval": 0.5},
            restart={"backoff": 0.05, "backoff_cap": 0.2},
        )
        async with bench_cluster(workers=2) as cluster:
            client = AsyncClient(cluster.addresses)
            await client.submit_job(job)
            view = await is_healthy(client)
            seen = Clients(view)
            asking = [asyncio.create_task(seen.run()) for _ in range(clients)]
            gaps_ms = []
            for _ in range(kills):
                await asyncio.sleep(rng.uniform(0.5, 1.5))
                os.kill(int(pid_file.read_text()), signal.SIGKILL)
                killed_s = time.perf_counter()
                view = await is_healthy(client, after=view.attempt)
                await asyncio.sleep(0.1)
                gaps_ms.append(seen.gap_ms(killed_s + 0.005))
            for task in asking:
                task.cancel()
            await asyncio.gather(*asking, return_exceptions=True)
            longest_ms = max(b - a for a, b in zip(seen.good, seen.good[1:], strict=False)) * 1e3
            await client.stop_service("web")
            await client.close()
    failed = sum(seen.failed.values())
    return {
        "gap_ms": statistics.median(gaps_ms),
        "gap_max_ms": max(gaps_ms),
        "longest_ms": longest_ms,
        "failed_share": failed / (failed + len(seen.good)),
    }


if __name__ == "__main__":
    program.main({"services": lambda sizes: asyncio.run(killed(sizes))}, versions=versions)
