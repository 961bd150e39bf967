"""A channel: pieces of bytes either way between a request and its last reply, with back-pressure.

The sender may have at most `CHANNEL_WINDOW_BYTES` outstanding; the receiver gives credit back as the
pieces are consumed, so a slow reader costs one window of memory, whatever the sender does.
"""

from __future__ import annotations

import asyncio
import collections
import struct
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Final, Protocol

from titan.errors import ConnectionLost, ProtocolError, TimedOut, TitanError
from titan.limits import CHANNEL_WINDOW_BYTES
from titan.wire.framing import Kind
from titan.wire.messages import Message

if TYPE_CHECKING:
    from titan.wire.connection import Connection

_CREDIT: Final = struct.Struct(">I")


class Stream(Protocol):
    """The acceptor's end of a channel, as the one who serves it sees it; not always of a connection."""

    async def send(self, piece: bytes) -> None:
        """Hand over a piece of at most `CHUNK_BYTES`; waits while the other side is slow."""

    async def finish(self) -> None:
        """Say that no more pieces come from this side."""

    def __aiter__(self) -> AsyncIterator[bytes]:
        """The other side's pieces."""


class Channel:
    """One end of a channel. The opener also waits for `result`; the acceptor's handler returns it."""

    def __init__(self, connection: Connection, ident: int, *, is_opener: bool) -> None:
        self._connection = connection
        self._id = ident
        self._is_opener = is_opener
        self._window_bytes = CHANNEL_WINDOW_BYTES
        self._pieces: collections.deque[bytes] = collections.deque()
        self._received_bytes = 0  # not yet consumed: never above the window
        self._owed_bytes = 0  # consumed and not yet credited
        self._inbound_over = False
        self._error: TitanError | None = None
        self._last: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        self._wake_reader: asyncio.Future[None] | None = None
        self._wake_writer: asyncio.Future[None] | None = None

    # --- sending ------------------------------------------------------------------------------

    async def send(self, piece: bytes) -> None:
        """Send a piece of at most `CHUNK_BYTES`; waits while the window is full."""
        while self._window_bytes <= 0:
            self._raise_if_broken()
            self._wake_writer = asyncio.get_running_loop().create_future()
            await self._wake_writer
        self._raise_if_broken()
        self._window_bytes -= len(piece)
        self._connection.send_frame(Kind.PIECE, self._id, piece)
        await self._connection.drain()

    async def finish(self) -> None:
        """Say that no more pieces come from this side."""
        self._raise_if_broken()
        self._connection.send_frame(Kind.FINISH, self._id)

    # --- receiving ----------------------------------------------------------------------------

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """The other side's pieces until it finishes or replies; raises its error."""
        while True:
            while self._pieces:
                yield self._take()
            if self._error is not None:
                raise self._error
            if self._inbound_over:
                return
            self._wake_reader = asyncio.get_running_loop().create_future()
            await self._wake_reader

    def _take(self) -> bytes:
        piece = self._pieces.popleft()
        self._received_bytes -= len(piece)
        self._owed_bytes += len(piece)
        if self._owed_bytes >= CHANNEL_WINDOW_BYTES // 4 and not self._connection.is_closed:
            self._connection.send_frame(Kind.CREDIT, self._id, _CREDIT.pack(self._owed_bytes))
            self._owed_bytes = 0
        return piece

    async def result(self, timeout_s: float | None) -> Message:
        """The acceptor's last reply; raises its error. For the opener only."""
        assert self._is_opener
        try:
            async with asyncio.timeout(timeout_s):
                return await asyncio.shield(self._last)
        except TimeoutError:
            self.cancel()
            raise TimedOut(f"no answer from {self._connection.remote} in {timeout_s} s") from None

    def cancel(self) -> None:
        """Give up: the acceptor's handler is cancelled. For the opener only."""
        assert self._is_opener
        if self._connection.forget_channel(self._id):
            self._connection.send_frame(Kind.CANCEL, self._id)
            self.fail(ConnectionLost("cancelled"))

    # --- what the connection tells ------------------------------------------------------------

    def on_piece(self, piece: bytes) -> None:
        """A piece arrived. A sender that ignores the window breaks the connection."""
        self._received_bytes += len(piece)
        if self._received_bytes > CHANNEL_WINDOW_BYTES * 2:
            raise ProtocolError("the peer sends more than the window allows")
        self._pieces.append(piece)
        self._wake(self._wake_reader)

    def on_credit(self, payload: bytes) -> None:
        """The other side consumed some bytes."""
        if len(payload) != _CREDIT.size:
            raise ProtocolError("malformed credit")
        self._window_bytes += _CREDIT.unpack(payload)[0]
        self._wake(self._wake_writer)

    def on_finish(self) -> None:
        """The other side sends no more."""
        self._inbound_over = True
        self._wake(self._wake_reader)

    def on_result(self, message: Message) -> None:
        """The last reply came."""
        self.on_finish()
        if not self._last.done():
            self._last.set_result(message)

    def fail(self, error: TitanError) -> None:
        """The exchange is over with an error; every waiter gets it."""
        self._error = error
        if not self._last.done():
            self._last.set_exception(error)
            self._last.exception()  # a caller that only iterates need not collect it as well
        self._wake(self._wake_reader)
        self._wake(self._wake_writer)

    def _raise_if_broken(self) -> None:
        if self._error is not None:
            raise self._error
        if self._last.done() or self._connection.is_closed:
            raise ConnectionLost("the other side has ended this exchange")

    @staticmethod
    def _wake(waiter: asyncio.Future[None] | None) -> None:
        if waiter is not None and not waiter.done():
            waiter.set_result(None)
