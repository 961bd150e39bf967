"""A cluster of real processes: start, stop, kill, pause, resume, restart; every process with a log.

Knows the members by their command lines only. Notices who ended without having been hurt. Leaves no
process, whatever happens: members are killed in the end, and so are jobs that outlived their worker.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Final

from chaos.network.base import Network, repository

STOP_GRACE_S: Final = 10.0
RECORDS: Final = "CHAOS_RECORDS"  # jobs write into this folder; it also marks them as ours
LOG_LINES: Final = 15


class Member:
    """One master or worker. `expected` says whether it may be down now."""

    def __init__(self, name: str, command: list[str], *, home: Path, env: dict[str, str]) -> None:
        self.name = name
        self.data = home / name
        self.log = home / f"{name}.log"
        self.is_hurt = False  # stopped or damaged on purpose: its end is no news
        self.is_paused = False
        self._command = [*command, "--data", str(self.data), "--die-with-parent", str(os.getpid())]
        self._env = env
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the process in a session of its own."""
        assert not self.is_alive, f"{self.name} runs already"
        with self.log.open("ab") as log:
            log.write(f"=== start of {self.name}\n".encode())
            log.flush()
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                cwd=repository(),
                env={**os.environ, **self._env},
            )
        self.is_hurt = self.is_paused = False

    @property
    def pid(self) -> int:
        """Of the process started last."""
        return self._process.pid if self._process else 0

    @property
    def is_alive(self) -> bool:
        """Whether the process runs (a paused one does)."""
        return self._process is not None and self._process.poll() is None

    @property
    def exit_code(self) -> int | None:
        """Of the last process; None while it runs."""
        return self._process.poll() if self._process else None

    async def kill(self) -> None:
        """SIGKILL; returns when it is gone."""
        self.is_hurt = True
        await self._end(signal.SIGKILL)

    async def stop(self) -> None:
        """SIGTERM, and SIGKILL after a grace."""
        self.is_hurt = True
        self.resume()
        await self._end(signal.SIGTERM)

    async def _end(self, number: signal.Signals) -> None:
        if self._process is None:
            return
        self._process.send_signal(number)
        try:
            await asyncio.to_thread(self._process.wait, STOP_GRACE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            await asyncio.to_thread(self._process.wait)
        assert not self.is_alive

    def pause(self) -> None:
        """SIGSTOP: alive and silent."""
        if self._process is not None and self.is_alive:
            self._process.send_signal(signal.SIGSTOP)
            self.is_paused = True

    def resume(self) -> None:
        """SIGCONT."""
        if self._process is not None and self.is_paused:
            self._process.send_signal(signal.SIGCONT)
            self.is_paused = False

    def last_words(self, *, lines: int = LOG_LINES) -> list[str]:
        """The end of its log."""
        if not self.log.exists():
            return []
        return self.log.read_text(errors="replace").splitlines()[-lines:]


class Cluster:
    """Masters and workers under one folder, on a network."""

    def __init__(self, home: Path, network: Network, *, workers: int, slots: int) -> None:
        self.home = home
        self.records = home / "records"
        self.network = network
        self.addresses = tuple(place.address for place in network.places)
        self.masters = [self._master(n) for n in range(len(self.addresses))]
        self.workers = [self._worker(n, slots) for n in range(workers)]
        self.records.mkdir(parents=True, exist_ok=True)

    @property
    def members(self) -> list[Member]:
        """Everyone, masters first."""
        return [*self.masters, *self.workers]

    def start(self) -> None:
        """Start everyone; returns at once."""
        for member in self.members:
            member.start()

    async def stop(self) -> None:
        """End everyone: workers first, by force where it must be, then their left-over jobs."""
        for group in (self.workers, self.masters):
            await asyncio.gather(*(member.stop() for member in group))
        kill_jobs(self.records)

    async def restart(self, member: Member) -> None:
        """Start it again if it is down, wake it if it sleeps."""
        member.resume()
        if not member.is_alive:
            member.start()

    def died(self) -> list[Member]:
        """Members that ended although nobody had hurt them."""
        return [m for m in self.members if m.exit_code is not None and not m.is_hurt]

    def _master(self, n: int) -> Member:
        launch, place = self.network.launch(n), self.network.places[n]
        command = [*launch.prefix, sys.executable, "-m", launch.module, "node"]
        command += ["--listen", place.address, "--http", place.http]
        command += ["--peers", ",".join(self.addresses), *launch.options]
        return Member(f"master-{n + 1}", command, home=self.home, env=dict(launch.env))

    def _worker(self, n: int, slots: int) -> Member:
        name = f"worker-{n + 1}"
        command = [sys.executable, "-m", "titan.cli.main", "worker", "--name", name]
        command += ["--masters", ",".join(self.addresses), "--slots", str(slots)]
        command += ["--drain-timeout", "5"]  # TERM is to end within the grace above
        return Member(name, command, home=self.home, env={})


def kill_jobs(records: Path) -> int:
    """Kill every process that carries our mark in its environment; answers how many there were."""
    mark = f"{RECORDS}={records}".encode()
    killed = 0
    for folder in Path("/proc").iterdir():
        if not folder.name.isdecimal():
            continue
        with contextlib.suppress(OSError):
            if mark in (folder / "environ").read_bytes().split(b"\0"):
                os.kill(int(folder.name), signal.SIGKILL)
                killed += 1
    return killed
