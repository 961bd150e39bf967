"""Every master in a network namespace of its own, joined by a bridge. Linux, root and iproute2.

A direction is cut by giving the sender a wrong hardware address for the receiver: frames leave and reach
nobody, exactly like a broken wire; nothing is refused and no connection is told. A slow link is a token
bucket on the sender's side, whose burst lets little through and whose queue makes the rest wait.
"""

from __future__ import annotations

import asyncio
import os
import random
import shutil
from typing import Final

from chaos.network.base import Launch, Network, Place

NOBODY: Final = "02:00:00:00:00:fe"  # no interface has it
COMMAND_TIMEOUT_S: Final = 10.0
SLOW_RATE: Final = "2mbit"
PORT: Final = 9090
HTTP_PORT: Final = 9080


class Namespaces(Network):
    """A bridge in the harness's namespace; masters behind it."""

    name = "namespaces"
    can_cut = True

    def __init__(self, *, masters: int) -> None:
        self._tag = f"{random.randrange(16**5):05x}"
        self._net = f"10.{random.randrange(64, 250)}.{random.randrange(1, 250)}"
        self._bridge = f"tcb{self._tag}"
        self.places = [
            Place(f"{self._host(n)}:{PORT}", f"{self._host(n)}:{HTTP_PORT}") for n in range(masters)
        ]

    def launch(self, master: int) -> Launch:
        """Inside the namespace. These addresses are not loopback, hence `--insecure`."""
        return Launch(prefix=("ip", "netns", "exec", self._space(master)), options=("--insecure",))

    async def open(self) -> None:
        """Build bridge, namespaces and wires."""
        await run("ip", "link", "add", self._bridge, "type", "bridge")
        await run("ip", "addr", "add", f"{self._net}.1/24", "dev", self._bridge)
        await run("ip", "link", "set", self._bridge, "up")
        for n in range(len(self.places)):
            await self._wire(n)

    async def _wire(self, n: int) -> None:
        space, outside = self._space(n), f"tcv{self._tag}{n}"
        await run("ip", "netns", "add", space)
        peer = ("peer", "name", "eth0", "address", self._mac(n), "netns", space)
        await run("ip", "link", "add", outside, "type", "veth", *peer)
        await run("ip", "link", "set", outside, "master", self._bridge, "up")
        await self._inside(n, "addr", "add", f"{self._host(n)}/24", "dev", "eth0")
        await self._inside(n, "link", "set", "lo", "up")
        await self._inside(n, "link", "set", "eth0", "up")

    async def close(self) -> None:
        """Take everything down; what was never made is passed over."""
        for n in range(len(self.places)):
            await run("ip", "link", "del", f"tcv{self._tag}{n}", check=False)
            await run("ip", "netns", "del", self._space(n), check=False)
        await run("ip", "link", "del", self._bridge, check=False)

    async def cut(self, source: int, target: int) -> None:
        """Point the sender at a hardware address that nobody has."""
        await self._neighbour(source, target, NOBODY)

    async def mend(self, source: int, target: int) -> None:
        """Point it at the right one."""
        await self._neighbour(source, target, self._mac(target))

    async def slow(self, master: int, *, delay_ms: int) -> None:
        """Queue what the master sends for up to `delay_ms` behind a thin pipe."""
        if delay_ms:
            shape = ("tbf", "rate", SLOW_RATE, "burst", "4kb", "latency", f"{delay_ms}ms")
            await self._tc(master, "replace", "dev", "eth0", "root", *shape)
        else:
            await self._tc(master, "del", "dev", "eth0", "root")

    async def _tc(self, master: int, *arguments: str) -> None:
        await run("ip", "netns", "exec", self._space(master), "tc", "qdisc", *arguments)

    async def _neighbour(self, source: int, target: int, mac: str) -> None:
        entry = (self._host(target), "lladdr", mac, "dev", "eth0", "nud", "permanent")
        await self._inside(source, "neigh", "replace", *entry)

    async def _inside(self, n: int, *arguments: str) -> None:
        await run("ip", "-n", self._space(n), *arguments)

    def _space(self, n: int) -> str:
        return f"titan-chaos-{self._tag}-{n}"

    def _host(self, n: int) -> str:
        return f"{self._net}.{n + 11}"

    @staticmethod
    def _mac(n: int) -> str:
        return f"02:00:00:00:01:{n:02x}"


async def run(*command: str, check: bool = True) -> None:
    """Run one system command; with `check`, raise `RuntimeError` with what it said when it fails."""
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE
    )
    async with asyncio.timeout(COMMAND_TIMEOUT_S):
        _, said = await process.communicate()
    if check and process.returncode:
        raise RuntimeError(f"{' '.join(command)}: {said.decode().strip()}")


async def why_not() -> str:
    """Why namespaces cannot be used here; "" when they can."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    if shutil.which("ip") is None or shutil.which("tc") is None:
        return "network namespaces need the commands ip and tc (package iproute2)"
    trial = Namespaces(masters=1)
    try:
        await trial.open()
    except (RuntimeError, OSError, TimeoutError) as error:
        return f"network namespaces do not work here: {error}"
    finally:
        await trial.close()
    return ""
