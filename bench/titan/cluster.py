"""The cluster that a benchmark measures: `titan.cli.local` with its data in a temporary folder."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import titan
from titan.cli.local import LocalCluster, Member, quiet_ports
from titan.errors import TitanError
from titan.sdk import AsyncClient
from titan.wire.endpoint import dial
from titan.wire.handler import Refusing
from titan.wire.messages import ClusterInfo, GetCluster, Hello, SnapshotTaken, TakeSnapshot

LOOK_AGAIN_S = 0.02
SNAPSHOT_TIMEOUT_S = 120


class BenchCluster:
    """Masters and workers as processes, and what a benchmark asks of them."""

    def __init__(self, local: LocalCluster) -> None:
        self.local = local

    @property
    def addresses(self) -> tuple[str, ...]:
        """Of the masters."""
        return self.local.addresses

    def master(self, address: str) -> Member:
        """The process of one master."""
        return next(one for one in self.local.masters if one.address == address)

    async def leader(self, *, timeout_s: float = 20.0, unlike: str = "") -> str:
        """The address of the current leader, other than `unlike`."""
        async with asyncio.timeout(timeout_s):
            while True:
                for address in self.addresses:
                    info = await _ask(address)
                    if info is not None and info.leader not in ("", unlike):
                        return info.leader
                await asyncio.sleep(LOOK_AGAIN_S)

    async def take_snapshot(self) -> SnapshotTaken:
        """The leader writes one now."""
        return await _take_snapshot(await self.leader())

    async def caught_up(self, *, timeout_s: float = 30.0) -> None:
        """Until every master is up and has applied what the leader had when this was asked."""
        wanted: int | None = None
        async with asyncio.timeout(timeout_s):
            while True:
                info = await _ask(await self.leader())
                masters = {one.role: one.applied_index for one in info.masters} if info else {}
                wanted = masters.get("leader") if wanted is None else wanted
                if info is None or wanted is None or "down" in masters:
                    pass
                elif all(one.applied_index >= wanted for one in info.masters):
                    return
                await asyncio.sleep(LOOK_AGAIN_S)


async def _take_snapshot(address: str) -> SnapshotTaken:
    connection = await dial(address, Hello(role="client"), Refusing(), timeout_s=5)
    try:
        taken = await connection.call(TakeSnapshot(), timeout_s=SNAPSHOT_TIMEOUT_S)
    finally:
        connection.close()
    assert isinstance(taken, SnapshotTaken)
    return taken


async def _ask(address: str) -> ClusterInfo | None:
    try:
        connection = await dial(address, Hello(role="client"), Refusing(), timeout_s=1)
        try:
            info = await connection.call(GetCluster(), timeout_s=2)
        finally:
            connection.close()
    except TitanError:
        return None
    assert isinstance(info, ClusterInfo)
    return info


@contextlib.asynccontextmanager
async def bench_cluster(
    *, masters: int = 3, workers: int = 1, slots: int = 2
) -> AsyncIterator[BenchCluster]:
    """A running cluster; everything is ended and removed afterwards, its logs shown on an error."""
    with tempfile.TemporaryDirectory(prefix="titan-bench-") as folder:
        ports = quiet_ports(masters)
        local = LocalCluster(
            Path(folder), masters=masters, workers=workers, slots=slots, ports=ports
        )
        try:
            local.start()
            cluster = BenchCluster(local)
            await cluster.leader()
            yield cluster
        except BaseException:
            for member in local.members:
                print(f"--- {member.name}\n{member.last_words()}", file=sys.stderr)
            raise
        finally:
            await asyncio.to_thread(local.stop)


async def has_workers(client: AsyncClient, *, count: int = 1, timeout_s: float = 20.0) -> None:
    """Until so many workers have joined: what comes before is no part of any measure."""
    async with asyncio.timeout(timeout_s):
        while sum(one.state == "online" for one in await client.list_workers()) < count:
            await asyncio.sleep(LOOK_AGAIN_S)


def versions() -> dict[str, str]:
    """Of what is measured."""
    return {"titan": titan.__version__, "python": sys.version.split()[0]}
