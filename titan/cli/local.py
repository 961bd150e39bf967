"""A whole cluster on this machine, as separate processes: `titan up`, `titan run` and the demo use it.

It draws ports, starts members, notices when one dies, and leaves nothing running. It knows the members
only by their command lines and their addresses.
"""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from titan.errors import UserError

MASTER_PORT: Final = 9090
HTTP_PORT: Final = 9080
PORTS_TRIED_MAX: Final = 1000
QUIET_PORTS: Final = (20_000, 30_000)
STOP_GRACE_S: Final = 10.0  # a worker kills its jobs' process groups in this time


class Member:
    """One process of the cluster: how it is started, where it writes."""

    def __init__(self, name: str, arguments: list[str], *, log: Path, address: str = "") -> None:
        self.name = name
        self.address = address  # of a master
        self.http = ""
        self.log = log
        self._arguments = arguments
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the process, in a session of its own: Ctrl-C reaches the supervisor alone."""
        command = [sys.executable, "-m", "titan.cli.main", *self._arguments]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*command, "--die-with-parent", str(os.getpid())],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """Of the process that was started last."""
        return self._process.pid if self._process is not None else 0

    @property
    def exit_code(self) -> int | None:
        """None while it runs or before it was started; minus the number of a signal that killed it."""
        return self._process.poll() if self._process is not None else None

    @property
    def is_alive(self) -> bool:
        """Whether the process runs."""
        return self._process is not None and self._process.poll() is None

    def send(self, number: signal.Signals) -> None:
        """Signal the process, if it is alive."""
        if self._process is not None:
            self._process.send_signal(number)

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        self.send(signal.SIGKILL)
        if self._process is not None:
            self._process.wait()

    def wait(self, deadline: float) -> bool:
        """Whether it has ended by `deadline`, a time of `time.monotonic`."""
        if self._process is None:
            return True
        try:
            self._process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            return False
        return True

    def last_words(self, *, lines: int = 20) -> str:
        """The end of its log."""
        if not self.log.exists():
            return ""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])


class LocalCluster:
    """Masters and workers on loopback, with their data under one folder."""

    def __init__(
        self,
        data: Path,
        *,
        masters: int,
        workers: int,
        slots: int,
        ports: Iterable[tuple[int, int]] | None = None,
        log_level: str = "info",
    ) -> None:
        self.data = data
        self._log_level = log_level
        chosen = list(ports) if ports is not None else free_ports(masters)
        self.addresses = tuple(f"127.0.0.1:{port}" for port, _ in chosen)
        self.masters = [self._master(i, *pair) for i, pair in enumerate(chosen, start=1)]
        self.workers = [self._worker(i, slots) for i in range(1, workers + 1)]

    @property
    def members(self) -> list[Member]:
        """Everyone, masters first."""
        return [*self.masters, *self.workers]

    def start(self) -> None:
        """Start every process; returns at once. Raises `UserError` when the data cannot be written."""
        for member in self.members:
            try:
                member.log.parent.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise UserError(f"cannot write to {self.data}: {error.strerror}") from None
            member.start()

    def stop(self) -> None:
        """End every process: workers first, so that their jobs' ends reach the masters."""
        from titan.master.providers.local import end_launched

        _stop_all(self.workers, by=signal.SIGINT)  # at once: TERM would let their jobs end
        _stop_all(self.masters, by=signal.SIGTERM)
        for member in self.masters:
            end_launched(self.data / member.name)  # what a master that was killed could not end

    def dead(self) -> list[Member]:
        """Members that ended by themselves."""
        return [member for member in self.members if member.exit_code is not None]

    def _master(self, number: int, port: int, http_port: int) -> Member:
        name = f"master-{number}"
        home = self.data / name
        address, http = f"127.0.0.1:{port}", f"127.0.0.1:{http_port}"
        arguments = ["node", "--listen", address, "--http", http, "--data", str(home)]
        arguments += ["--peers", ",".join(self.addresses), "--log-level", self._log_level]
        member = Member(name, arguments, log=self.data / f"{name}.log", address=address)
        member.http = http
        return member

    def _worker(self, number: int, slots: int) -> Member:
        name = f"worker-{number}"
        arguments = ["worker", "--masters", ",".join(self.addresses), "--slots", str(slots)]
        arguments += ["--data", str(self.data / name), "--name", name]
        arguments += ["--log-level", self._log_level]
        return Member(name, arguments, log=self.data / f"{name}.log")


def _stop_all(members: list[Member], *, by: signal.Signals) -> None:
    for member in members:
        member.send(by)
    deadline = time.monotonic() + STOP_GRACE_S
    for member in members:
        if not member.wait(deadline):
            member.kill()


def free_ports(count: int) -> list[tuple[int, int]]:
    """`count` pairs of (master, HTTP) ports: 9090 and 9080, 9092 and 9082, …, without the taken ones."""
    found: list[tuple[int, int]] = []
    for offset in range(0, 2 * PORTS_TRIED_MAX, 2):
        pair = (MASTER_PORT + offset, HTTP_PORT + offset)
        taken_by_us = {port for other in found for port in other}
        if not taken_by_us.intersection(pair) and all(is_free(port) for port in pair):
            found.append(pair)
        if len(found) == count:
            return found
    raise UserError(f"no {count} free ports from {MASTER_PORT} on")


def quiet_ports(count: int) -> list[tuple[int, int]]:
    """`count` pairs of free ports below the range that the system gives to outgoing connections.

    A member that was killed finds its port free again, whatever else dialled meanwhile.
    """
    found: list[int] = []
    for _ in range(PORTS_TRIED_MAX):
        port = random.randrange(*QUIET_PORTS)
        if port not in found and is_free(port):
            found.append(port)
        if len(found) == 2 * count:
            return list(zip(found[:count], found[count:], strict=True))
    raise UserError(f"no {2 * count} free ports between {QUIET_PORTS[0]} and {QUIET_PORTS[1]}")


def is_free(port: int) -> bool:
    """Whether a process could listen on this port of the loopback now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
