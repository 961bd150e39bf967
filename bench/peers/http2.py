"""The least of HTTP/2 and gRPC that puts keys into etcd, one request in flight per connection.

Small so that the client is not what is measured: headers are constant bytes, answers are not decoded.
An answer with a message is a success; a failed call has trailers only (gRPC over HTTP/2, "Responses").
"""

from __future__ import annotations

import asyncio
import struct
from typing import cast

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_DATA, _HEADERS, _RESET, _SETTINGS, _PING, _GOAWAY, _WINDOW = 0, 1, 3, 4, 6, 7, 8
_END_STREAM, _ACK, _END_HEADERS = 1, 1, 4


def _frame(kind: int, flags: int, stream: int, body: bytes) -> bytes:
    return struct.pack(">I", len(body))[1:] + struct.pack(">BBI", kind, flags, stream) + body


def _header(name: bytes, value: bytes) -> bytes:
    """Literal without indexing (RFC 7541, 6.2.2): so no table has to be kept on either side."""
    return bytes([0, len(name)]) + name + bytes([len(value)]) + value


_REQUEST = b"".join(
    _header(name, value)
    for name, value in (
        (b":method", b"POST"),
        (b":scheme", b"http"),
        (b":path", b"/etcdserverpb.KV/Put"),
        (b":authority", b"127.0.0.1"),
        (b"content-type", b"application/grpc"),
        (b"te", b"trailers"),
    )
)


class CallFailed(Exception):
    """The server refused the call, or the connection broke."""


class EtcdConnection(asyncio.Protocol):
    """One connection; `put` one key at a time."""

    def __init__(self) -> None:
        self._inbox = bytearray()
        self._stream = 1
        self._has_message = False
        self._answer: asyncio.Future[None] | None = None
        self._broken = False

    @classmethod
    async def dial(cls, port: int) -> EtcdConnection:
        _, connection = await asyncio.get_running_loop().create_connection(cls, "127.0.0.1", port)
        return connection

    async def put(self, key: bytes, value: bytes) -> None:
        """Raises `CallFailed`."""
        if self._broken:
            raise CallFailed("closed")
        message = b"\x0a" + _length(key) + key + b"\x12" + _length(value) + value
        body = b"\0" + struct.pack(">I", len(message)) + message
        self._answer = asyncio.get_running_loop().create_future()
        self._has_message = False
        self._transport.write(
            _frame(_HEADERS, _END_HEADERS, self._stream, _REQUEST)
            + _frame(_DATA, _END_STREAM, self._stream, body)
        )
        try:
            await self._answer
        finally:
            self._answer = None
            self._stream += 2

    def close(self) -> None:
        self._transport.close()

    # --- asyncio's side -------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's has no such base
        window = struct.pack(">I", 2**31 - 1 - 65535)
        self._transport.write(
            _PREFACE + _frame(_SETTINGS, 0, 0, b"") + _frame(_WINDOW, 0, 0, window)
        )

    def connection_lost(self, _error: Exception | None) -> None:
        self._broken = True
        self._fail("connection lost")

    def data_received(self, data: bytes) -> None:
        inbox = self._inbox
        inbox += data
        at = 0
        while len(inbox) - at >= 9:
            length = int.from_bytes(inbox[at : at + 3], "big")
            if len(inbox) - at < 9 + length:
                break
            stream = int.from_bytes(inbox[at + 5 : at + 9], "big")
            body = bytes(inbox[at + 9 : at + 9 + length])
            self._frame_received(inbox[at + 3], inbox[at + 4], stream, body)
            at += 9 + length
        del inbox[:at]

    def _frame_received(self, kind: int, flags: int, stream: int, body: bytes) -> None:
        if kind == _SETTINGS and not flags & _ACK:
            self._transport.write(_frame(_SETTINGS, _ACK, 0, b""))
        elif kind == _PING and not flags & _ACK:
            self._transport.write(_frame(_PING, _ACK, 0, body))
        elif kind == _GOAWAY:
            self._broken = True
            self._fail("the server goes away")
        elif stream == self._stream:
            if kind == _DATA:
                self._has_message = True
            elif kind == _RESET:
                self._fail("reset")
            elif kind == _HEADERS and flags & _END_STREAM:
                self._ended()

    def _ended(self) -> None:
        if not self._has_message:
            self._fail("refused")
        elif self._answer is not None and not self._answer.done():
            self._answer.set_result(None)

    def _fail(self, why: str) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(CallFailed(why))


def _length(data: bytes) -> bytes:
    """A varint of at most two bytes."""
    size = len(data)
    return bytes([size]) if size < 128 else bytes([size & 127 | 128, size >> 7])
