"""Connections that nobody asked for: silent ones, ones that speak a byte at a time, and garbage."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Final

from chaos.faults.base import Injected, World

STRANGERS: Final = 300
TRICKLE_S: Final = 0.2
GARBAGE_BYTES: Final = 4_096
HUGE_LENGTH: Final = b"\xff\xff\xff\x7f"


async def strangers(world: World) -> Injected:
    """Hundreds of them at one master; clients, workers and masters must not notice."""
    master = await world.leader()
    host, _, port = world.cluster.addresses[world.number(master)].rpartition(":")
    seeds = [world.rng.randrange(3) for _ in range(STRANGERS)]
    noise = [world.rng.randbytes(GARBAGE_BYTES) for _ in range(8)]
    tasks = [
        asyncio.create_task(_one(host, int(port), manner, noise[n % len(noise)]), name="stranger")
        for n, manner in enumerate(seeds)
    ]

    async def heal() -> None:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    return Injected(f"{STRANGERS} at {master.name}", heal)


async def _one(host: str, port: int, manner: int, noise: bytes) -> None:
    """Come again whenever the master hangs up, until cancelled."""
    while True:
        with contextlib.suppress(OSError):
            reader, writer = await asyncio.open_connection(host, port)
            try:
                await _behave(manner, noise, reader, writer)
            finally:
                writer.close()
        await asyncio.sleep(1.0)


async def _behave(
    manner: int, noise: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    if manner == 0:  # silent
        await reader.read()
    elif manner == 1:  # a huge length, then a byte at a time
        writer.write(HUGE_LENGTH)
        for at in range(len(noise)):
            writer.write(noise[at : at + 1])
            await writer.drain()
            await asyncio.sleep(TRICKLE_S)
    else:
        writer.write(noise)
        await writer.drain()
        await reader.read()
