"""A master that does what a test tells it, over real sockets."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from titan.errors import NotFound, NotLeader, TitanError
from titan.ids import AttemptId
from titan.wire.channel import Channel
from titan.wire.connection import Connection
from titan.wire.endpoint import Listener, listen
from titan.wire.handler import Handler, Refusing
from titan.wire.messages import (
    AttemptEnded,
    AttemptReleased,
    BlobAt,
    BlobList,
    BlobMissing,
    BlobOffset,
    Confirmed,
    GetBlob,
    Goodbye,
    Heartbeat,
    Hello,
    Leaving,
    Message,
    Ok,
    PutBlob,
    Register,
    Registered,
    ServiceHealth,
    Welcome,
)


class FakeMaster(Refusing):
    """Records what the worker says. Confirms results unless told not to."""

    def __init__(self) -> None:
        self.leads = True
        self.leader: str | None = None  # named when it does not lead
        self.refusal: TitanError | None = None  # of registrations
        self.epoch = 1
        self.live: list[int] | None = None  # None: whatever the worker holds
        self.confirms = True
        self.blobs: dict[str, bytes] = {}
        self.blob_cut_bytes: int | None = None  # break the connection after so many
        self.uploads = 0
        self.takes_uploads = asyncio.Event()
        self.takes_uploads.set()
        self.registers: list[Register] = []
        self.results: list[AttemptEnded] = []
        self.released: list[AttemptId] = []
        self.beats: list[Heartbeat] = []
        self.health: list[ServiceHealth] = []
        self.goodbyes = 0
        self.leavings = 0
        self.hellos = 0
        self.fetches: list[int] = []
        self.at_once: list[Message] = []  # sent in the same packet as `Registered`
        self.connection: Connection | None = None

    async def open(self, address: str = "127.0.0.1:0") -> None:
        self.listener: Listener = await listen(address, self._on_hello)
        self.address = self.listener.address

    async def close(self) -> None:
        self.cut()
        self.listener.close()
        await self.listener.wait_closed()

    def cut(self) -> None:
        if self.connection is not None:
            self.connection.close()
            self.connection = None

    def say(self, message: Message) -> None:
        assert self.connection is not None
        self.connection.note(message)

    def result(self, attempt: int) -> AttemptEnded | None:
        return next((result for result in self.results if result.attempt == attempt), None)

    def _on_hello(self, connection: Connection, hello: Hello) -> tuple[Welcome, Handler]:
        self.hellos += 1
        return Welcome(cluster_id="c", id="m1"), self

    def on_call(self, connection: Connection, message: Message) -> Awaitable[Message] | Message:
        if isinstance(message, BlobMissing):
            return BlobList(digests=tuple(d for d in message.digests if d not in self.blobs))
        if isinstance(message, BlobOffset):
            return BlobAt(offset=0)
        assert isinstance(message, Register)
        if not self.leads:
            raise NotLeader(leader=self.leader)
        self.registers.append(message)
        if self.refusal is not None:
            raise self.refusal
        self.connection = connection
        live = message.holds if self.live is None else tuple(self.live)
        loop = asyncio.get_running_loop()
        for note in self.at_once:
            loop.call_soon(connection.note, note)
        return Registered(
            epoch=self.epoch,
            live=live,
            heartbeat_ms=50,
            masters=(),  # type: ignore[arg-type]
        )

    def on_note(self, connection: Connection, message: Message) -> None:
        match message:
            case AttemptEnded():
                self.results.append(message)
                if self.confirms:
                    connection.note(Confirmed(attempts=(message.attempt,)))
            case AttemptReleased():
                self.released.append(message.attempt)
            case Heartbeat():
                self.beats.append(message)
            case Leaving():
                self.leavings += 1
            case ServiceHealth():
                self.health.append(message)
            case Goodbye():
                self.goodbyes += 1

    async def on_channel(
        self, connection: Connection, message: Message, channel: Channel
    ) -> Message:
        if isinstance(message, PutBlob):
            return await self._take(message, channel)
        assert isinstance(message, GetBlob)
        self.fetches.append(message.offset)
        data = self.blobs.get(message.digest)
        if data is None:
            raise NotFound("no such blob")
        end = len(data)
        if self.blob_cut_bytes is not None:
            end, self.blob_cut_bytes = message.offset + self.blob_cut_bytes, None
        for at in range(message.offset, end, 1000):
            await channel.send(data[at : min(at + 1000, end)])
        if end < len(data):
            connection.close()
        return Ok()

    async def _take(self, message: PutBlob, channel: Channel) -> Message:
        self.uploads += 1
        await self.takes_uploads.wait()
        data = b"".join([piece async for piece in channel])
        assert len(data) == message.size
        assert hashlib.sha256(data).hexdigest() == message.digest
        self.blobs[message.digest] = data
        return Ok()


async def read_log(master: FakeMaster, request: Message) -> tuple[bytes, Any]:
    """Everything a `ReadLog` brings, and its last reply."""
    assert master.connection is not None
    channel = master.connection.open(request)
    data = b"".join([piece async for piece in channel])
    return data, await channel.result(10)


Tree = Callable[[Path], None]
