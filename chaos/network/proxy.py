"""Every directed pair of masters through a TCP proxy in this process: needs no rights at all.

Masters know one another by their real addresses. Their processes are started by `chaos.launcher`, which
replaces the one function that dials by one that takes the way through the proxy of that pair. A cut
direction stops the bytes, keeps the connections, and lets them flow again when it is mended, as TCP does.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import Final

from chaos.network.base import Launch, Network, free_ports

CHUNK_BYTES: Final = 64 * 1024
DIAL_TIMEOUT_S: Final = 5.0
ROUTES: Final = "CHAOS_ROUTES"  # the environment variable that the launcher reads

Pair = tuple[int, int]


class Proxy(Network):
    """Loopback masters, with a gate and a delay for each direction of each pair."""

    name = "proxy"
    can_cut = True

    def __init__(self, *, masters: int) -> None:
        super().__init__(masters=masters)
        pairs = [(i, j) for i in range(masters) for j in range(masters) if i != j]
        self._ports = dict(zip(pairs, free_ports(len(pairs)), strict=True))
        self._gates = {pair: asyncio.Event() for pair in pairs}
        self._delay_s = dict.fromkeys(range(masters), 0.0)
        self._servers: list[asyncio.Server] = []
        self._flows: set[asyncio.Task[None]] = set()
        for gate in self._gates.values():
            gate.set()

    def launch(self, master: int) -> Launch:
        """By the launcher, told which proxy leads to which master."""
        routes = {
            self.places[target].address: f"127.0.0.1:{port}"
            for (source, target), port in self._ports.items()
            if source == master
        }
        return Launch(module="chaos.launcher", env=((ROUTES, json.dumps(routes)),))

    async def open(self) -> None:
        """Listen for every pair."""
        for pair, port in self._ports.items():
            server = await asyncio.start_server(self._serve(pair), "127.0.0.1", port)
            self._servers.append(server)

    async def close(self) -> None:
        """Stop listening and end every flow."""
        for server in self._servers:
            server.close()
        for flow in tuple(self._flows):
            flow.cancel()
        await asyncio.gather(*self._flows, return_exceptions=True)

    async def cut(self, source: int, target: int) -> None:
        """Hold back what `source` sends."""
        self._gates[source, target].clear()

    async def mend(self, source: int, target: int) -> None:
        """Let it flow."""
        self._gates[source, target].set()

    async def slow(self, master: int, *, delay_ms: int) -> None:
        """Every chunk that the master sends waits."""
        self._delay_s[master] = delay_ms / 1000

    def _serve(self, pair: Pair):  # type: ignore[no-untyped-def]  # the callback of start_server
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            self._flows.add(task)
            try:
                await self._join(pair, reader, writer)
            except (OSError, TimeoutError, asyncio.CancelledError):
                pass  # either side went away, or the network is being closed
            finally:
                self._flows.discard(task)
                writer.close()

        return serve

    async def _join(
        self, pair: Pair, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        source, target = pair
        await self._gates[pair].wait()  # its first packet would not arrive
        host, _, port = self.places[target].address.rpartition(":")
        async with asyncio.timeout(DIAL_TIMEOUT_S):
            there, there_writer = await asyncio.open_connection(host, int(port))
        forth = asyncio.create_task(self._pump((source, target), reader, there_writer))
        back = asyncio.create_task(self._pump((target, source), there, writer))
        try:
            await asyncio.wait((forth, back), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in (forth, back):
                pump.cancel()
            await asyncio.gather(forth, back, return_exceptions=True)
            there_writer.close()

    async def _pump(
        self, pair: Pair, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        with contextlib.suppress(OSError):
            while chunk := await reader.read(CHUNK_BYTES):
                await asyncio.sleep(self._delay_s[pair[0]])
                await self._gates[pair].wait()
                writer.write(chunk)
                await writer.drain()
