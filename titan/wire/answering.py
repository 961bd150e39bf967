"""Serving what the other side of a connection asks: calls and channels, a task for each that takes time.

Owns those tasks, which end with the connection. The handler finds the answers; every asker hears one,
if it is only that something is wrong here.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Awaitable
from typing import TYPE_CHECKING, Any

from titan.errors import ProtocolError, TitanError, Unavailable
from titan.limits import CALLS_PER_CONNECTION_MAX, CHANNELS_PER_CONNECTION_MAX
from titan.wire.channel import Channel
from titan.wire.faults import encode_error
from titan.wire.framing import Kind
from titan.wire.handler import Handler
from titan.wire.messages import Message, encode

if TYPE_CHECKING:
    from titan.wire.connection import Connection

log = logging.getLogger(__name__)


class Answering:
    """The other side's requests on one connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.serving: dict[int, tuple[Channel, asyncio.Task[None]]] = {}  # channels that are open
        self._tasks: set[asyncio.Task[None]] = set()

    def close(self, error: TitanError) -> None:
        """The connection is gone: nobody waits for an answer."""
        for channel, _ in self.serving.values():
            channel.fail(error)
        for task in self._tasks:
            task.cancel()

    def call(self, ident: int, message: Message, *, handler: Handler) -> None:
        """Answer a call: at once, or when the handler's future or task has the reply."""
        if len(self._tasks) >= CALLS_PER_CONNECTION_MAX:
            self._send_error(ident, Unavailable("too many requests at once on one connection"))
            return
        try:
            answer = handler.on_call(self._connection, message)
        except TitanError as error:
            self._send_error(ident, error)
            return
        if isinstance(answer, Message):
            self._send_reply(ident, answer)
        elif isinstance(answer, asyncio.Future):
            answer.add_done_callback(lambda done: self._settle(ident, done))
        else:
            self._spawn(ident, answer, name=f"call {type(message).__name__}")

    def _settle(self, ident: int, done: asyncio.Future[Any]) -> None:
        if done.cancelled():
            self._send_error(ident, Unavailable("the request was abandoned"))
        elif (error := done.exception()) is not None:
            self._send_error(ident, error)
        else:
            self._send_reply(ident, done.result())

    def open(self, ident: int, message: Message, *, handler: Handler) -> None:
        """Serve a channel. Raises `ProtocolError`."""
        if ident in self.serving or len(self.serving) >= CHANNELS_PER_CONNECTION_MAX:
            raise ProtocolError("too many open channels, or one id used twice")
        channel = Channel(self._connection, ident, is_opener=False)
        work = handler.on_channel(self._connection, message, channel)
        task = self._spawn(ident, work, name=f"channel {type(message).__name__}")
        self.serving[ident] = (channel, task)
        task.add_done_callback(lambda _: self.serving.pop(ident, None))

    def _spawn(self, ident: int, work: Awaitable[Message], *, name: str) -> asyncio.Task[None]:
        task = asyncio.create_task(
            self._serve(ident, work), name=f"{name} from {self._connection.remote}"
        )
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        if inspect.iscoroutine(work):
            # A task that is cancelled before its first step never touches what it was to await.
            task.add_done_callback(lambda _: work.close())
        return task

    async def _serve(self, ident: int, work: Awaitable[Message]) -> None:
        try:
            self._send_reply(ident, await work)
        except Exception as error:  # the asker must hear of it, whatever it is
            self._send_error(ident, error)

    def _send_reply(self, ident: int, message: Message) -> None:
        if not self._connection.is_closed:
            self._connection.send_frame(Kind.REPLY, ident, encode(message))

    def _send_error(self, ident: int, error: BaseException) -> None:
        if not isinstance(error, TitanError):
            log.error("a request from %s failed", self._connection.remote, exc_info=error)
            error = TitanError(f"internal error: {type(error).__name__}")
        if not self._connection.is_closed:
            self._connection.send_frame(Kind.ERROR, ident, encode_error(error))
