"""What a side of a connection does with what comes in, and the side that is asked little.

A `TitanError` raised by a handler travels to the asker, who gets it raised.
"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TYPE_CHECKING, Protocol

from titan.errors import ProtocolError
from titan.wire.channel import Channel
from titan.wire.messages import Message

if TYPE_CHECKING:
    from titan.wire.connection import Connection


class Handler(Protocol):
    """What a side does with what comes in. A `TitanError` raised here travels to the asker."""

    def on_call(self, connection: Connection, message: Message) -> Awaitable[Message] | Message:
        """Answer a call, at once or later."""

    async def on_channel(
        self, connection: Connection, message: Message, channel: Channel
    ) -> Message:
        """Serve a channel; what it returns is the last reply."""

    def on_note(self, connection: Connection, message: Message) -> None:
        """Take a note."""

    def on_raw(self, connection: Connection, payload: bytes) -> None:
        """Take raw bytes."""

    def after_read(self, connection: Connection) -> None:
        """What came in one read has been handed over."""

    def on_closed(self, connection: Connection) -> None:
        """The connection is gone; called once."""


class Refusing:
    """A handler that accepts nothing; the base for sides that are asked little."""

    def on_call(self, connection: Connection, message: Message) -> Awaitable[Message] | Message:
        """Refuse."""
        raise ProtocolError(f"unexpected call {type(message).__name__}")

    async def on_channel(
        self, connection: Connection, message: Message, channel: Channel
    ) -> Message:
        """Refuse."""
        raise ProtocolError(f"unexpected channel {type(message).__name__}")

    def on_note(self, connection: Connection, message: Message) -> None:
        """Refuse."""
        raise ProtocolError(f"unexpected note {type(message).__name__}")

    def on_raw(self, connection: Connection, payload: bytes) -> None:
        """Refuse."""
        raise ProtocolError("unexpected raw bytes")

    def after_read(self, connection: Connection) -> None:
        """Nothing was put off."""

    def on_closed(self, connection: Connection) -> None:
        """Nothing to clean up."""
