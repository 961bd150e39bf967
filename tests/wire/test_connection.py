"""Calls, channels and notes over real sockets, and what happens when the other side misbehaves."""

from __future__ import annotations

import asyncio
import gc
import struct
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from titan.errors import (
    AccessDenied,
    ConnectionLost,
    NotLeader,
    ProtocolError,
    TimedOut,
    TitanError,
)
from titan.limits import CHANNEL_WINDOW_BYTES
from titan.wire import endpoint
from titan.wire.channel import Channel
from titan.wire.connection import Connection
from titan.wire.endpoint import Listener, dial, listen
from titan.wire.handler import Refusing
from titan.wire.messages import (
    BlobList,
    BlobMissing,
    GetBlob,
    GetCluster,
    Goodbye,
    Hello,
    Message,
    Ok,
    PutBlob,
    Read,
    Welcome,
)

HELLO = Hello(role="client", id="c-1")


class Server(Refusing):
    """Answers a few messages in every way a handler can."""

    def __init__(self) -> None:
        self.notes: list[Message] = []
        self.raws: list[bytes] = []
        self.connections: list[Connection] = []
        self.cancelled = asyncio.Event()
        self.never = asyncio.Event()
        self.uploaded = b""

    def welcome(self, connection: Connection, hello: Hello) -> tuple[Welcome, Server]:
        if hello.id == "stranger":
            raise AccessDenied("strangers are not served")
        self.connections.append(connection)
        return Welcome(cluster_id="k", id="m-1"), self

    def on_call(self, connection: Connection, message: Message) -> Awaitable[Message] | Message:
        match message:
            case BlobMissing():
                return BlobList(digests=message.digests)
            case GetCluster():
                return self._slow()
            case Read():
                raise NotLeader("ask the other", leader="h:1", hint="there")
            case _:
                return self._broken()

    async def _slow(self) -> Message:
        try:
            await self.never.wait()
        finally:
            self.cancelled.set()
        return Ok()

    async def _broken(self) -> Message:
        raise ZeroDivisionError

    async def on_channel(
        self, connection: Connection, message: Message, channel: Channel
    ) -> Message:
        match message:
            case GetBlob():
                for _ in range(40):
                    await channel.send(bytes(100_000))
            case PutBlob():
                async for piece in channel:
                    self.uploaded += piece
            case _:
                await self._slow()
        return Ok()

    def on_note(self, connection: Connection, message: Message) -> None:
        self.notes.append(message)

    def on_raw(self, connection: Connection, payload: bytes) -> None:
        self.raws.append(payload)


@pytest.fixture
async def server() -> AsyncIterator[tuple[Server, Listener]]:
    handler = Server()
    listener = await listen("127.0.0.1:0", handler.welcome)
    yield handler, listener
    listener.close()
    await listener.wait_closed()


@pytest.fixture
async def client(server: tuple[Server, Listener]) -> AsyncIterator[Connection]:
    connection = await dial(server[1].address, HELLO, Refusing())
    yield connection
    connection.close()


async def until(condition: Callable[[], bool], *, timeout_s: float = 5.0) -> None:
    async with asyncio.timeout(timeout_s):
        while not condition():
            await asyncio.sleep(0.005)


async def test_many_calls_share_one_connection(client: Connection) -> None:
    asked = [BlobMissing(digests=(str(n),)) for n in range(200)]
    answers = await asyncio.gather(*(client.call(one, timeout_s=5) for one in asked))
    assert [answer.digests[0] for answer in answers] == [str(n) for n in range(200)]


async def test_an_error_keeps_its_type_and_detail(client: Connection) -> None:
    with pytest.raises(NotLeader) as caught:
        await client.call(Read(query=b""), timeout_s=5)
    assert (caught.value.leader, caught.value.hint) == ("h:1", "there")


async def test_a_bug_in_a_handler_is_told_without_its_traceback(client: Connection) -> None:
    with pytest.raises(TitanError, match="internal error: ZeroDivisionError"):
        await client.call(Ok(), timeout_s=5)
    assert await client.call(BlobMissing(digests=()), timeout_s=5) == BlobList(digests=())


async def test_a_call_has_a_deadline(client: Connection) -> None:
    with pytest.raises(TimedOut):
        await client.call(GetCluster(), timeout_s=0.05)


async def test_losing_the_connection_fails_what_waits_and_cancels_what_runs(
    server: tuple[Server, Listener], client: Connection
) -> None:
    waiting = asyncio.create_task(client.call(GetCluster(), timeout_s=5))
    await client.call(BlobMissing(digests=()), timeout_s=5)
    client.close()
    with pytest.raises(ConnectionLost):
        await waiting
    await asyncio.wait_for(server[0].cancelled.wait(), 5)


async def test_a_request_that_never_began_leaves_nothing_behind(
    server: tuple[Server, Listener], client: Connection
) -> None:
    question = client.ask(GetCluster())
    await client.call(BlobMissing(digests=()), timeout_s=5)
    there = server[0].connections[0]
    # Its task has not run when the connection ends.
    there._answering.call(2**31, GetCluster(), handler=server[0])
    client.close()
    there.close()
    with pytest.raises(ConnectionLost):
        await question
    gc.collect()  # an unawaited coroutine would warn here, which is an error


async def test_a_download_holds_no_more_than_its_window(
    server: tuple[Server, Listener], client: Connection
) -> None:
    channel = client.open(GetBlob(digest="d"))
    await client.call(BlobMissing(digests=()), timeout_s=5)
    got = 0
    async for piece in channel:
        assert channel._received_bytes <= CHANNEL_WINDOW_BYTES + 100_000
        got += len(piece)
    assert got == 4_000_000
    assert await channel.result(5) == Ok()


async def test_an_upload_waits_for_its_reader(
    server: tuple[Server, Listener], client: Connection
) -> None:
    channel = client.open(PutBlob(digest="d", size=4_000_000))
    for _ in range(40):
        await channel.send(b"x" * 100_000)
    await channel.finish()
    assert await channel.result(5) == Ok()
    assert server[0].uploaded == b"x" * 4_000_000


async def test_cancelling_a_channel_cancels_its_handler(
    server: tuple[Server, Listener], client: Connection
) -> None:
    channel = client.open(Goodbye())
    await client.call(BlobMissing(digests=()), timeout_s=5)
    channel.cancel()
    await asyncio.wait_for(server[0].cancelled.wait(), 5)


async def test_notes_and_raw_bytes_arrive_in_order(
    server: tuple[Server, Listener], client: Connection
) -> None:
    client.note(Goodbye())
    client.raw(b"one")
    client.raw(b"two")
    await until(lambda: len(server[0].raws) == 2)
    assert (server[0].notes, server[0].raws) == ([Goodbye()], [b"one", b"two"])


async def test_both_sides_may_ask(server: tuple[Server, Listener]) -> None:
    asking = Server()
    connection = await dial(server[1].address, HELLO, asking)
    there = server[0].connections[0]
    question = BlobMissing(digests=("x",))
    answers = await asyncio.gather(
        there.call(question, timeout_s=5), connection.call(question, timeout_s=5)
    )
    assert answers == [BlobList(digests=("x",))] * 2
    connection.close()


async def test_a_refusal_reaches_the_dialler(server: tuple[Server, Listener]) -> None:
    with pytest.raises(AccessDenied, match="strangers"):
        await dial(server[1].address, Hello(role="client", id="stranger"), Refusing())


async def test_another_protocol_version_is_refused_with_a_hint(
    server: tuple[Server, Listener],
) -> None:
    with pytest.raises(ProtocolError) as caught:
        await dial(server[1].address, Hello(role="client", protocol=99), Refusing())
    assert "same version" in caught.value.hint


async def test_nobody_listening_is_a_lost_connection() -> None:
    with pytest.raises(ConnectionLost, match="cannot connect"):
        await dial("127.0.0.1:1", HELLO, Refusing())


async def test_a_listener_that_never_answers_times_out() -> None:
    accepted: list[asyncio.StreamWriter] = []
    mute = await asyncio.start_server(lambda r, w: accepted.append(w), "127.0.0.1", 0)
    port = mute.sockets[0].getsockname()[1]
    with pytest.raises(TimedOut):
        await dial(f"127.0.0.1:{port}", HELLO, Refusing(), timeout_s=0.05)
    for writer in accepted:
        writer.close()
    mute.close()


async def test_giving_up_on_a_greeting_leaves_no_socket_open() -> None:
    accepted: list[asyncio.StreamReader] = []
    writers: list[asyncio.StreamWriter] = []

    def keep(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        accepted.append(reader)
        writers.append(writer)

    mute = await asyncio.start_server(keep, "127.0.0.1", 0)
    port = mute.sockets[0].getsockname()[1]
    dialling = asyncio.create_task(dial(f"127.0.0.1:{port}", HELLO, Refusing(), timeout_s=30))
    await until(lambda: bool(accepted))
    await accepted[0].readexactly(4)  # the greeting has come
    dialling.cancel()
    await asyncio.wait({dialling})
    async with asyncio.timeout(5):
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await accepted[0].readexactly(100_000)
    writers[0].close()
    mute.close()


@pytest.mark.parametrize(
    "first",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        struct.pack(">IBI", 2**31, 1, 0),
        struct.pack(">IBI", 8, 1, 0) + b"\xff\xff\xff",
        struct.pack(">IBI", 6, 12, 0) + b"\x80",
    ],
)
async def test_garbage_is_cut_off_and_others_are_served(
    server: tuple[Server, Listener], client: Connection, first: bytes
) -> None:
    reader, writer = await asyncio.open_connection(*server[1].address.split(":"))
    writer.write(first)
    await asyncio.wait_for(reader.read(), 5)
    writer.close()
    assert await client.call(BlobMissing(digests=()), timeout_s=5) == BlobList(digests=())


async def test_a_connection_that_says_nothing_is_closed(
    server: tuple[Server, Listener], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(endpoint, "HELLO_TIMEOUT_S", 0.05)
    reader, writer = await asyncio.open_connection(*server[1].address.split(":"))
    assert await asyncio.wait_for(reader.read(), 5) == b""
    writer.close()
