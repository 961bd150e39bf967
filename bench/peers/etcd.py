"""etcd: three members on this machine, defaults; B7 also with 30/300 ms, which is not its default."""

from __future__ import annotations

import asyncio
import contextlib
import json
import statistics
import subprocess
import time
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import uvloop

from bench import program
from bench.peers.http2 import CallFailed, EtcdConnection

MEMBERS = 3
VALUE = b"v" * 256
TUNED = ("--heartbeat-interval", "30", "--election-timeout", "300")
PATIENCE_S = 0.05  # a writer that asks again so soon adds little to a gap


class Member:
    """One etcd process."""

    def __init__(self, name: str, client: int, peer: int) -> None:
        self.name, self.client, self.peer = name, client, peer
        self.process: subprocess.Popen[bytes]

    def start(self, folder: str, cluster: str, options: tuple[str, ...]) -> None:
        mine, theirs = f"http://127.0.0.1:{self.client}", f"http://127.0.0.1:{self.peer}"
        argv = ["etcd", "--name", self.name, "--data-dir", str(Path(folder, self.name))]
        argv += ["--listen-client-urls", mine, "--advertise-client-urls", mine]
        argv += ["--listen-peer-urls", theirs, "--initial-advertise-peer-urls", theirs]
        argv += ["--initial-cluster", cluster, *options]
        with Path(folder, f"{self.name}.log").open("ab") as log:
            self.process = subprocess.Popen(argv, stdout=log, stderr=log)

    def status(self) -> dict[str, Any]:
        """What it says of itself; nothing when it does not answer."""
        ask = urllib.request.Request(
            f"http://127.0.0.1:{self.client}/v3/maintenance/status", data=b"{}"
        )
        try:
            with urllib.request.urlopen(ask, timeout=1) as answer:
                told: dict[str, Any] = json.load(answer)
                return told
        except OSError:
            return {}


class Cluster:
    """Three members."""

    def __init__(self, folder: str, options: tuple[str, ...]) -> None:
        self.folder, self.options = folder, options
        ports = program.free_ports(2 * MEMBERS)
        self.members = [Member(f"m{n}", *ports[2 * n : 2 * n + 2]) for n in range(MEMBERS)]

    def start(self, *members: Member) -> None:
        cluster = ",".join(f"{one.name}=http://127.0.0.1:{one.peer}" for one in self.members)
        for member in members or self.members:
            member.start(self.folder, cluster, self.options)

    def stop(self) -> None:
        for member in self.members:
            program.end(member.process)

    async def leader(self) -> Member:
        async with asyncio.timeout(20):
            while True:
                for member in self.members:
                    told = await asyncio.to_thread(member.status)
                    if told and told.get("leader") == told["header"]["member_id"]:
                        return member
                await asyncio.sleep(0.02)

    async def caught_up(self) -> None:
        """Every member answers and has applied what the leader had."""
        wanted = int((await asyncio.to_thread((await self.leader()).status))["raftIndex"])
        async with asyncio.timeout(30):
            while True:
                told = [await asyncio.to_thread(one.status) for one in self.members]
                if all(one and int(one.get("raftAppliedIndex", 0)) >= wanted for one in told):
                    return
                await asyncio.sleep(0.05)


@contextlib.asynccontextmanager
async def running(options: tuple[str, ...] = ()) -> Any:
    with TemporaryDirectory() as folder:
        cluster = Cluster(folder, options)
        cluster.start()
        try:
            await cluster.leader()
            yield cluster
        finally:
            await asyncio.to_thread(cluster.stop)


async def _client(port: int, ident: int, until_s: float, latencies: list[float]) -> None:
    connection = await EtcdConnection.dial(port)
    key = b"bench/%d" % ident
    while (start := time.perf_counter()) < until_s:
        await connection.put(key, VALUE)
        latencies.append(time.perf_counter() - start)
    connection.close()


async def _load(port: int, *, clients: int, seconds: float) -> tuple[float, float]:
    latencies: list[float] = []
    start = time.perf_counter()
    await asyncio.gather(*(_client(port, n, start + seconds, latencies) for n in range(clients)))
    return len(latencies) / (time.perf_counter() - start), statistics.median(latencies) * 1e3


async def puts(sizes: Mapping[str, Any]) -> program.Figures:
    figures: dict[str, float] = {}
    async with running() as cluster:
        leader = await cluster.leader()
        follower = next(one for one in cluster.members if one is not leader)
        for where, member in (("leader", leader), ("follower", follower)):
            for clients in sizes["clients"]:
                rate, p50_ms = await _load(member.client, clients=clients, seconds=sizes["seconds"])
                figures[f"{where}_{clients}_per_s"] = rate
                figures[f"{where}_{clients}_p50_ms"] = p50_ms
    return figures


class Writers:
    """One at each member, so that a gap is the cluster's and not that of a client that looks for it."""

    def __init__(self, members: list[Member]) -> None:
        self._last_s = time.perf_counter()
        self._longest_s = 0.0
        self.written = 0
        self.tasks = [asyncio.create_task(self._write(one.client)) for one in members]

    async def _write(self, port: int) -> None:
        while True:
            try:
                connection = await EtcdConnection.dial(port)
            except OSError:
                await asyncio.sleep(PATIENCE_S)
                continue
            with contextlib.suppress(CallFailed, TimeoutError):
                while True:
                    async with asyncio.timeout(PATIENCE_S):
                        await connection.put(b"bench/%d" % port, b"x")
                    self._note()
            connection.close()
            await asyncio.sleep(0.005)

    def _note(self) -> None:
        now_s = time.perf_counter()
        self._longest_s = max(self._longest_s, now_s - self._last_s)
        self._last_s = now_s
        self.written += 1

    def take_longest_ms(self) -> float:
        longest_s, self._longest_s = self._longest_s, 0.0
        return longest_s * 1e3


async def _one_kill(cluster: Cluster, writers: Writers) -> float:
    leader = await cluster.leader()
    writers.take_longest_ms()
    leader.process.kill()
    leader.process.wait()
    before = writers.written
    async with asyncio.timeout(30):
        while writers.written < before + 60:
            await asyncio.sleep(0.01)
    gap_ms = writers.take_longest_ms()
    cluster.start(leader)
    await cluster.caught_up()
    return gap_ms


async def kills(sizes: Mapping[str, Any], options: tuple[str, ...]) -> program.Figures:
    async with running(options) as cluster:
        writers = Writers(cluster.members)
        gaps_ms = [await _one_kill(cluster, writers) for _ in range(sizes["kills"])]
        for task in writers.tasks:
            task.cancel()
        await asyncio.gather(*writers.tasks, return_exceptions=True)
    return {"gap_ms": statistics.median(gaps_ms), "gap_max_ms": max(gaps_ms)}


def _versions() -> Mapping[str, str]:
    told = subprocess.run(["etcd", "--version"], capture_output=True, text=True, check=True)
    return {"etcd": told.stdout.split()[2]}


if __name__ == "__main__":
    program.main(
        {
            "B6": lambda sizes: uvloop.run(puts(sizes)),
            "B7": lambda sizes: uvloop.run(kills(sizes, ())),
            "B7-tuned": lambda sizes: uvloop.run(kills(sizes, TUNED)),
        },
        versions=_versions,
    )
