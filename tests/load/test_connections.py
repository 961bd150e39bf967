"""Connections that mean no good: idle, slow, lying, too many. Others are served, the leader stays."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import resource
import struct
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.cluster.cluster import wait_until
from tests.load.conftest import Watched, metrics
from titan.cli.local import Member, quiet_ports
from titan.errors import TitanError
from titan.fsm.commands import KvPut, encode_command
from titan.limits import HELLO_TIMEOUT_S, KV_VALUE_BYTES_MAX
from titan.sdk import AsyncClient
from titan.wire.endpoint import dial
from titan.wire.handler import Refusing
from titan.wire.messages import Hello, Write, WriteDone

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(120)]
IDLE = 2000
Pipe = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@contextlib.asynccontextmanager
async def writing(addresses: tuple[str, ...]) -> AsyncIterator[list[int]]:
    """Somebody else's writes meanwhile: the list of those acknowledged. Any refusal is raised."""
    acked: list[int] = []
    stop = asyncio.Event()

    async def write() -> None:
        async with AsyncClient(addresses) as client:
            while not stop.is_set():
                acked.append(await client.store_incr("writes"))
                assert acked[-1] == len(acked), "a write was lost or counted twice"

    task = asyncio.create_task(write())
    try:
        yield acked
    finally:
        stop.set()
        await task


async def connect(address: str) -> Pipe:
    host, port = address.split(":")
    return await asyncio.open_connection(host, int(port))


def allow_descriptors(count: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < count:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(count, hard), hard))


async def until_more(acked: list[int], count: int) -> None:
    goal = len(acked) + count

    async def look() -> int:
        return len(acked)

    await wait_until(look, lambda seen: seen >= goal, timeout_s=30)


async def test_2000_idle_and_slow_connections_are_shed_while_writes_go_on(three: Watched) -> None:
    allow_descriptors(IDLE + 500)
    addresses = three.cluster.addresses
    leader = await three.cluster.leader()
    async with writing(addresses) as acked:
        pipes = [await connect(leader.address) for _ in range(IDLE)]
        slow = [asyncio.create_task(drip(writer)) for _, writer in pipes[:50]]
        await until_more(acked, 200)
        async with asyncio.timeout(HELLO_TIMEOUT_S + 20):
            await asyncio.gather(*(until_closed(reader) for reader, _ in pipes))
        await asyncio.gather(*slow)
        for _, writer in pipes:
            writer.close()
        await until_more(acked, 200)
    async with AsyncClient([leader.address]) as late:
        assert await late.store_get("writes") == str(len(acked))
    await three.check(f"{IDLE} idle")


async def until_closed(reader: asyncio.StreamReader) -> None:
    with contextlib.suppress(ConnectionError):
        while await reader.read(4096):
            pass


async def drip(writer: asyncio.StreamWriter) -> None:
    """A slow loris: a frame that takes its time, a byte a second, until it is cut off."""
    with contextlib.suppress(ConnectionError):
        for byte in struct.pack("<I", 1000) + b"\x01" * 1000:
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(1)


async def test_garbage_and_lying_lengths_cost_their_own_connections_only(three: Watched) -> None:
    leader = await three.cluster.leader()
    dice = random.Random(1)
    async with writing(three.cluster.addresses) as acked:
        for kind in range(200):
            reader, writer = await connect(leader.address)
            if kind % 4 == 0:
                junk = dice.randbytes(dice.randrange(1, 20_000))
            elif kind % 4 == 1:
                junk = struct.pack("<I", 0xFFFF_FFF0 - kind) + b"\x01" * 64
            elif kind % 4 == 2:
                junk = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
            else:
                junk = struct.pack("<I", 60_000) + b"\x91" * 60_000  # arrays in arrays in arrays
            with contextlib.suppress(ConnectionError):
                writer.write(junk)
                await writer.drain()
            if kind % 10 == 0:
                async with asyncio.timeout(HELLO_TIMEOUT_S + 10):
                    await until_closed(reader)
            writer.close()
        await until_more(acked, 200)
    await three.check("garbage")


async def test_commands_nested_or_swollen_are_refused_and_the_connection_survives(
    three: Watched,
) -> None:
    leader = await three.cluster.leader()
    connection = await dial(leader.address, Hello(role="client", id="c"), Refusing())
    request = 0

    async def refused(command: bytes) -> str:
        nonlocal request
        request += 1
        write = Write(client="c-load", request=request, floor=request, command=command)
        try:
            done = await connection.call(write, timeout_s=10)
        except TitanError as error:
            return error.code
        assert isinstance(done, WriteDone)
        return done.rejected

    put = encode_command(KvPut(key="k", value=b"v"))
    deep = b"\x83\xa1!\xaarun.submit\xa3run\xa3r-1\xaaparameters" + b"\x81\xa1a" * 50_000 + b"\x01"
    assert await refused(deep)
    assert await refused(b"\x91" * 100_000)
    assert await refused(put + b"junk")
    assert await refused(encode_command(KvPut(key="k" * 100_000, value=b"v")))
    assert await refused(encode_command(KvPut(key="k", value=b"v" * (KV_VALUE_BYTES_MAX + 1))))
    assert await refused(os.urandom(300_000))
    assert not await refused(put), "the connection did not survive"
    connection.close()
    await three.check("nested")


async def test_a_master_without_descriptors_goes_on_and_accepts_again(tmp_path: Path) -> None:
    """256 descriptors and 400 connections: the leader ticks, keeps its term, and serves afterwards."""
    (port, http), *_ = quiet_ports(1)
    address = f"127.0.0.1:{port}"
    arguments = ["node", "--listen", address, "--http", f"127.0.0.1:{http}"]
    member = Member("small", [*arguments, "--data", str(tmp_path / "m")], log=tmp_path / "log")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
    try:
        member.start()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    allow_descriptors(1000)
    try:
        async with AsyncClient([address]) as client:
            await wait_until(client.cluster_info, lambda info: bool(info.leader), timeout_s=20)
            before = await client.cluster_info()
            async with writing((address,)) as acked:
                await until_more(acked, 10)
                pipes = [await connect(address) for _ in range(400)]
                await until_more(acked, 200)
                for _, writer in pipes:
                    writer.close()
                await until_more(acked, 200)
            assert member.is_alive, member.last_words()
            late = await wait_until(
                lambda: _fresh_count(address), lambda count: count == len(acked), timeout_s=20
            )
            assert late == len(acked)
            after = await client.cluster_info()
        assert [m.term for m in after.masters] == [m.term for m in before.masters]
        rows = await metrics(f"127.0.0.1:{http}")
        print(f"\nno descriptors: lag {rows['titan_loop_lag_max_ms']} ms")  # noqa: T201
    finally:
        print(member.last_words(lines=5))  # noqa: T201
        member.kill()


async def _fresh_count(address: str) -> int:
    async with AsyncClient([address], deadline_s=5) as late:
        return int(str(await late.store_get("writes")))
