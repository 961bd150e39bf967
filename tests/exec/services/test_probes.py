"""Asking real sockets, also rude ones."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from titan.exec.services import probes
from titan.exec.services.ports import holder, is_free, wait_free
from titan.exec.services.probes import Unwell
from titan.limits import PROBE_ANSWER_BYTES_MAX

HOST = "127.0.0.1"


class Server:
    """Answers every connection with `reply`, or never when it is None."""

    def __init__(self) -> None:
        self.reply: bytes | None = b"HTTP/1.1 200 OK\r\n\r\n"
        self.heard = b""
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.heard = await reader.readline()
        if self.reply is not None:
            writer.write(self.reply)
        else:
            await reader.read()
        writer.close()


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    made = Server()
    listening = await asyncio.start_server(made.serve, HOST, 0)
    made.port = listening.sockets[0].getsockname()[1]
    yield made
    listening.close()


async def free_port() -> int:
    listening = await asyncio.start_server(lambda r, w: None, HOST, 0)
    port = int(listening.sockets[0].getsockname()[1])
    listening.close()
    await listening.wait_closed()
    return port


async def test_tcp_wants_a_connection(server: Server) -> None:
    await probes.tcp(HOST, server.port)
    port = await free_port()
    with pytest.raises(Unwell, match=f"nobody answers at {HOST}:{port}: connection refused"):
        await probes.tcp(HOST, port)


@pytest.mark.parametrize("status", [200, 204, 301, 399])
async def test_http_is_well_below_400(server: Server, status: int) -> None:
    server.reply = f"HTTP/1.0 {status} whatever\r\n\r\n".encode()
    await probes.http(HOST, server.port, "/up?x=1")
    assert server.heard == b"GET /up?x=1 HTTP/1.1\r\n"


@pytest.mark.parametrize(
    ("reply", "told"),
    [
        (b"HTTP/1.1 503 no\r\n\r\n", "status 503"),
        (b"HTTP/1.1 404\r\n\r\n", "status 404"),
        (b"SSH-2.0-OpenSSH\r\n", "does not speak HTTP"),
        (b"", "does not speak HTTP"),
        (b"x" * (2 * PROBE_ANSWER_BYTES_MAX), "does not speak HTTP"),
    ],
)
async def test_http_that_is_not_well_says_why(server: Server, reply: bytes, told: str) -> None:
    server.reply = reply
    with pytest.raises(Unwell, match=told):
        await probes.http(HOST, server.port, "/")


async def test_a_server_that_accepts_and_says_nothing_meets_the_callers_deadline(
    server: Server,
) -> None:
    server.reply = None
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await probes.http(HOST, server.port, "/")


async def test_a_port_somebody_listens_on_is_not_free_and_the_holder_is_named(
    server: Server,
) -> None:
    import os

    assert not is_free(server.port)
    found = await asyncio.to_thread(holder, server.port)
    assert found is not None
    assert found.pid == os.getpid()
    assert f"process {os.getpid()} (" in str(found)
    port = await free_port()
    assert is_free(port)
    assert holder(port) is None
    await wait_free(port)


async def test_a_strangers_port_is_refused_at_once(server: Server) -> None:
    with pytest.raises(Exception, match=f"port {server.port} is in use by process") as refused:
        await wait_free(server.port)
    assert refused.value.code == "port_in_use"  # type: ignore[attr-defined]
