"""A local cluster of real processes for the benchmarks, started and ended here."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

from titan.errors import TitanError
from titan.wire.connection import Refusing
from titan.wire.endpoint import dial
from titan.wire.messages import ClusterInfo, GetCluster, Hello


def free_ports(count: int) -> list[int]:
    """Ports that were free a moment ago."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


class LocalCluster:
    """Masters and workers as processes; `masters` are addresses."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.masters: list[str] = []
        self.processes: dict[str, asyncio.subprocess.Process] = {}

    async def start(self, *, masters: int, workers: int, slots: int) -> None:
        """Start everything and wait for a leader and the workers."""
        self.masters = [f"127.0.0.1:{port}" for port in free_ports(masters)]
        peers = ",".join(self.masters)
        for address in self.masters:
            await self.restart(address)
        for n in range(workers):
            await self._spawn(
                f"w{n}", "worker", "--masters", peers, "--slots", str(slots),
                "--data", str(self._folder / f"w{n}"),
            )  # fmt: skip
        await self.leader()

    async def restart(self, address: str) -> None:
        """Start a master, for the first time or again with its data."""
        data = self._folder / f"m{self.masters.index(address)}"
        await self._spawn(
            address, "node", "--listen", address, "--http", "",
            "--peers", ",".join(self.masters), "--data", str(data),
        )  # fmt: skip

    async def _spawn(self, name: str, *args: str) -> None:
        with (self._folder / f"{name}.log").open("ab") as log:
            self.processes[name] = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "titan.cli.main", *args, stdout=log, stderr=log
            )

    async def leader(self, *, timeout_s: float = 20.0, unlike: str = "") -> str:
        """The address of the current leader, other than `unlike`."""
        async with asyncio.timeout(timeout_s):
            while True:
                for address in self.masters:
                    found = await _ask_leader(address)
                    if found and found != unlike:
                        return found
                await asyncio.sleep(0.02)

    async def caught_up(self, *, timeout_s: float = 30.0) -> None:
        """Until every master is up and has applied what the leader had when this was asked."""
        wanted: int | None = None
        async with asyncio.timeout(timeout_s):
            while True:
                info = await _ask(await self.leader())
                by_role = {one.role: one.applied_index for one in info.masters} if info else {}
                wanted = by_role.get("leader", wanted) if wanted is None else wanted
                if info is None or wanted is None or "down" in by_role:
                    pass
                elif all(one.applied_index >= wanted for one in info.masters):
                    return
                await asyncio.sleep(0.05)

    def kill(self, name: str, sig: int = signal.SIGKILL) -> None:
        """Send a signal to one process."""
        self.processes[name].send_signal(sig)

    async def stop(self) -> None:
        """End every process."""
        for process in self.processes.values():
            if process.returncode is None:
                process.terminate()
        for process in self.processes.values():
            try:
                await asyncio.wait_for(process.wait(), 10)
            except TimeoutError:
                process.kill()
                await process.wait()


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


async def _ask_leader(address: str) -> str:
    info = await _ask(address)
    return info.leader if info else ""


@contextlib.asynccontextmanager
async def local_cluster(
    *, masters: int = 3, workers: int = 1, slots: int = 2
) -> AsyncIterator[LocalCluster]:
    """A running cluster with its data in a temporary folder."""
    with tempfile.TemporaryDirectory(prefix="titan-bench-") as folder:
        cluster = LocalCluster(Path(folder))
        try:
            await cluster.start(masters=masters, workers=workers, slots=slots)
            yield cluster
        except BaseException:
            for log in sorted(Path(folder).glob("*.log")):
                print(f"--- {log.name}\n{log.read_text()[-2000:]}", file=sys.stderr)
            raise
        finally:
            await cluster.stop()


def describe_machine() -> str:
    """One line about where this ran."""
    model = "unknown CPU"
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                model = line.partition(":")[2].strip()
                break
    return f"{os.cpu_count()} × {model}, Python {sys.version.split()[0]}"
