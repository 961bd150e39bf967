"""What the rest of the harness asks of a network, and the one that can do nothing: loopback."""

from __future__ import annotations

import random
import socket
from pathlib import Path
from typing import Final, NamedTuple

PORTS: Final = range(20_000, 30_000)  # below the range that outgoing connections draw from
TRIES_MAX: Final = 1_000


class Place(NamedTuple):
    """Where a master is reached by clients and workers."""

    address: str
    http: str


class Launch(NamedTuple):
    """How a master's process is started: what comes before the interpreter, and its main module."""

    prefix: tuple[str, ...] = ()
    module: str = "titan.cli.main"
    env: tuple[tuple[str, str], ...] = ()
    options: tuple[str, ...] = ()


class Network:
    """Loopback without faults. Masters are numbered from 0."""

    name = "plain"
    can_cut = False

    def __init__(self, *, masters: int) -> None:
        ports = free_ports(2 * masters)
        self.places = [
            Place(f"127.0.0.1:{ports[2 * n]}", f"127.0.0.1:{ports[2 * n + 1]}")
            for n in range(masters)
        ]

    async def open(self) -> None:
        """Make the links."""

    async def close(self) -> None:
        """Remove them; must not fail however far `open` came."""

    def launch(self, master: int) -> Launch:
        """How this master is started."""
        return Launch()

    async def cut(self, source: int, target: int) -> None:
        """Nothing from `source` arrives at `target` any more; nobody is told."""
        raise NotImplementedError("loopback cannot be cut")

    async def mend(self, source: int, target: int) -> None:
        """The opposite of `cut`."""
        raise NotImplementedError("loopback cannot be cut")

    async def slow(self, master: int, *, delay_ms: int) -> None:
        """Everything that `master` sends to other masters is late; 0 ends it."""
        raise NotImplementedError("loopback cannot be slowed")


def free_ports(count: int) -> list[int]:
    """Ports of the loopback that are free now."""
    found: list[int] = []
    for _ in range(TRIES_MAX):
        port = random.choice(PORTS)
        if port in found:
            continue
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        found.append(port)
        if len(found) == count:
            return found
    raise RuntimeError(f"no {count} free ports in {PORTS}")


def repository() -> Path:
    """Where `titan` and `chaos` are imported from."""
    return Path(__file__).resolve().parents[2]
