"""One multiplexed connection: calls, channels and notes over a single socket.

Owns the socket and the pending calls; the other side's requests are served by `answering.py`. Never
decides what a message means: that is the `Handler`'s. `endpoint.py` makes connections (`dial`, `listen`).
Frames of one loop turn leave in one write; a peer that does not read is cut off at a bound; a silent
one is pinged and then given up.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Final, cast

import msgspec

from titan.errors import (
    ConnectionLost,
    ProtocolError,
    TimedOut,
    TitanError,
    Unavailable,
)
from titan.limits import CHANNELS_PER_CONNECTION_MAX, SEND_BUFFER_BYTES_MAX
from titan.wire.answering import Answering
from titan.wire.channel import Channel
from titan.wire.deadlines import Deadlines
from titan.wire.faults import decode_error, encode_error
from titan.wire.framing import Frame, FrameDecoder, Kind, encode_frame
from titan.wire.handler import Handler
from titan.wire.messages import Hello, Message, Welcome, decode, encode

log = logging.getLogger(__name__)

PING_AFTER_S: Final = 1.0  # of hearing nothing
SILENCE_S: Final = 3.0  # then the peer is taken for dead
_EARLY_FRAMES_MAX: Final = 64  # that may follow a greeting before it has been looked at


class Connection(asyncio.Protocol):
    """Made by `endpoint.dial` and `endpoint.listen`; all methods belong to the loop's thread."""

    hello: Hello
    welcome: Welcome

    def __init__(self, *, is_dialler: bool) -> None:
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._decoder = FrameDecoder()
        self._handler: Handler | None = None
        self._next_id = 1 if is_dialler else 2
        self._calls: dict[int, asyncio.Future[Message]] = {}
        self._deadlines = Deadlines(self._loop, refusal=self._too_late)
        self._opened: dict[int, Channel] = {}  # ours
        self._answering = Answering(self)
        self._outgoing: list[bytes] = []
        self._outgoing_bytes = 0
        self._flush_scheduled = False
        self._gathers = False  # whether the transport sends what is written in one turn together
        self._can_write = asyncio.Event()
        self._can_write.set()
        self._closed = self._loop.create_future()
        self._error: TitanError = ConnectionLost("closed")
        self._heard_s = self._loop.time()
        self._watchdog: asyncio.TimerHandle | None = None
        self._early: list[Frame] = []
        self.greeting: asyncio.Future[Frame] = self._loop.create_future()
        self.remote = "?"

    # --- asking -------------------------------------------------------------------------------

    async def call(self, message: Message, *, timeout_s: float | None) -> Message:
        """Ask and wait for the one reply. Raises the other side's error, `TimedOut`, `ConnectionLost`."""
        ident = self._draw_id()
        self.send_frame(Kind.CALL, ident, encode(message))
        reply: asyncio.Future[Message] = self._loop.create_future()
        self._calls[ident] = reply
        if timeout_s is not None:
            self._deadlines.set(reply, timeout_s=timeout_s)
        try:
            return await reply
        finally:
            self._deadlines.forget(reply)
            self._calls.pop(ident, None)

    def _too_late(self, timeout_s: float) -> TimedOut:
        return TimedOut(f"no answer from {self.remote} in {timeout_s:g} s")

    def ask(self, message: Message) -> asyncio.Future[Message]:
        """The reply as a future without a deadline: it fails when the connection does, which a peer's
        silence ends. Costs no task; cancelling it forgets the question."""
        ident = self._draw_id()
        reply: asyncio.Future[Message] = self._loop.create_future()
        self.send_frame(Kind.CALL, ident, encode(message))
        self._calls[ident] = reply
        reply.add_done_callback(lambda _: self._calls.pop(ident, None))
        return reply

    def open(self, message: Message) -> Channel:
        """Open a channel. Raises `ConnectionLost`, `Unavailable` when too many are open."""
        if len(self._opened) >= CHANNELS_PER_CONNECTION_MAX:
            raise Unavailable("too many open channels on one connection")
        ident = self._draw_id()
        self.send_frame(Kind.OPEN, ident, encode(message))
        channel = self._opened[ident] = Channel(self, ident, is_opener=True)
        return channel

    def note(self, message: Message) -> None:
        """Tell without waiting. Raises `ConnectionLost` when it is closed already."""
        self.send_frame(Kind.NOTE, 0, encode(message))

    def raw(self, payload: bytes) -> None:
        """Send bytes without waiting. Raises `ConnectionLost` when it is closed already."""
        self.send_frame(Kind.RAW, 0, payload)

    def write_at_once(self) -> None:
        """From now on give every frame to the socket when it is sent, not at the end of the turn."""
        assert self._transport is not None, "not connected"
        self._transport.set_write_buffer_limits(high=0)
        self._gathers = True

    async def drain(self) -> None:
        """Wait until the socket takes more."""
        if not self._can_write.is_set():
            await self._can_write.wait()
        if self.is_closed:
            raise self._error

    @property
    def unsent_bytes(self) -> int:
        """What waits to be written, here and in the transport."""
        waiting = 0 if self._transport is None else self._transport.get_write_buffer_size()
        return self._outgoing_bytes + waiting

    # --- ending -------------------------------------------------------------------------------

    @property
    def was_greeted(self) -> bool:
        """Whether the other side has said its first word."""
        greeting = self.greeting
        return greeting.done() and not greeting.cancelled() and greeting.exception() is None

    @property
    def is_closed(self) -> bool:
        """Whether nothing more can be sent."""
        return self._closed.done()

    def close(self, error: TitanError | None = None) -> None:
        """End it now; what has not been written is lost."""
        if self._transport is not None and not self.is_closed:
            self.flush()
            self._shut(error or ConnectionLost("closed by this side"))
            self._transport.abort() if error else self._transport.close()

    async def wait_closed(self) -> None:
        """Until it is gone."""
        await asyncio.shield(self._closed)

    def _shut(self, error: TitanError) -> None:
        if self._closed.done():
            return
        self._error = error
        self._closed.set_result(None)
        self._can_write.set()
        if self._watchdog is not None:
            self._watchdog.cancel()
        if not self.greeting.done():
            self.greeting.set_exception(error)
            self.greeting.exception()
        self._deadlines.close()
        for reply in tuple(self._calls.values()):
            if not reply.done():
                reply.set_exception(error)
        for channel in self._opened.values():
            channel.fail(error)
        self._opened.clear()
        self._answering.close(error)
        if self._handler is not None:
            self._handler.on_closed(self)

    # --- writing ------------------------------------------------------------------------------

    def send_frame(self, kind: Kind, ident: int, payload: bytes = b"") -> None:
        """Send one frame; everything sent in this loop turn leaves in one write."""
        if self.is_closed:
            raise self._error
        data = encode_frame(kind, ident, payload)
        if self._gathers:
            self._write(data)
            return
        self._outgoing.append(data)
        self._outgoing_bytes += len(data)
        if not self._flush_scheduled:
            self._flush_scheduled = True
            self._loop.call_soon(self.flush)

    def flush(self) -> None:
        """Write what is queued now rather than at the end of the loop turn."""
        self._flush_scheduled = False
        if not self._outgoing or self._transport is None or self.is_closed:
            return
        data = self._outgoing[0] if len(self._outgoing) == 1 else b"".join(self._outgoing)
        self._outgoing.clear()
        self._outgoing_bytes = 0
        self._write(data)

    def _write(self, data: bytes) -> None:
        assert self._transport is not None, "not connected"
        self._transport.write(data)
        if self._transport.get_write_buffer_size() > SEND_BUFFER_BYTES_MAX:
            self.close(ConnectionLost(f"{self.remote} does not read what it is sent"))

    # --- asyncio's side -----------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The socket is open."""
        self._transport = cast(asyncio.Transport, transport)
        peer = transport.get_extra_info("peername")
        if isinstance(peer, tuple):
            self.remote = f"{peer[0]}:{peer[1]}"
        is_plain = transport.get_extra_info("sslcontext") is None
        self._gathers = is_plain and type(transport).__module__.startswith("uvloop")
        self._watchdog = self._loop.call_later(PING_AFTER_S, self._watch)

    def data_received(self, data: bytes) -> None:
        """Bytes came."""
        self._heard_s = self._loop.time()
        try:
            for frame in self._decoder.feed(data):
                if self.is_closed:
                    return
                self._dispatch(frame)
        except ProtocolError as error:
            log.info("closing %s: %s", self.remote, error)
            self.close(error)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            log.info("closing %s: malformed message: %s", self.remote, error)
            self.close(ProtocolError(f"malformed message: {error}"))
        if self._handler is not None:
            self._handler.after_read(self)

    def eof_received(self) -> bool:
        """The other side has finished: so do we."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket is gone."""
        self._shut(
            ConnectionLost(f"connection to {self.remote} lost" + (f": {exc}" if exc else ""))
        )

    def pause_writing(self) -> None:
        """The socket is full."""
        self._can_write.clear()

    def resume_writing(self) -> None:
        """The socket takes more."""
        self._can_write.set()

    def _watch(self) -> None:
        silent_s = self._loop.time() - self._heard_s
        if silent_s > SILENCE_S:
            self.close(ConnectionLost(f"{self.remote} has been silent for {SILENCE_S:.0f} s"))
            return
        if silent_s >= PING_AFTER_S and self.greeting.done():
            self.send_frame(Kind.PING, 0)
        self._watchdog = self._loop.call_later(PING_AFTER_S, self._watch)

    # --- dispatch -----------------------------------------------------------------------------

    def start(self, handler: Handler) -> None:
        """The greeting is over: serve the other side with `handler` from the next frame on."""
        self._handler = handler
        self._decoder.trust()
        early, self._early = self._early, []
        for frame in early:
            self._dispatch(frame)

    def _greeted(self, frame: Frame) -> None:
        """Keep what follows the greeting in the same packet until `start`, which comes at once."""
        if not self.greeting.done():
            self.greeting.set_result(frame)
        elif len(self._early) < _EARLY_FRAMES_MAX:
            self._early.append(frame)
        else:
            raise ProtocolError("the peer spoke before it was welcomed")

    def _dispatch(self, frame: Frame) -> None:
        if self._handler is None:
            self._greeted(frame)
            return
        match frame.kind:
            case Kind.RAW:
                self._handler.on_raw(self, frame.payload)
            case Kind.REPLY:
                self._on_reply(frame.id, decode(frame.payload))
            case Kind.CALL:
                self._answering.call(frame.id, decode(frame.payload), handler=self._handler)
            case Kind.NOTE:
                self._handler.on_note(self, decode(frame.payload))
            case Kind.ERROR:
                self._on_error(frame.id, decode_error(frame.payload))
            case Kind.OPEN:
                self._answering.open(frame.id, decode(frame.payload), handler=self._handler)
            case Kind.PING:
                self.send_frame(Kind.PONG, 0)
            case Kind.PONG:
                pass
            case _:
                self._on_channel_frame(frame)

    def _on_reply(self, ident: int, message: Message) -> None:
        reply = self._calls.get(ident)
        if reply is not None:
            if not reply.done():
                reply.set_result(message)
        elif (channel := self._opened.pop(ident, None)) is not None:
            channel.on_result(message)

    def _on_error(self, ident: int, error: TitanError) -> None:
        reply = self._calls.get(ident)
        if reply is not None:
            if not reply.done():
                reply.set_exception(error)
        elif (channel := self._opened.pop(ident, None)) is not None:
            channel.fail(error)

    def _on_channel_frame(self, frame: Frame) -> None:
        served = self._answering.serving.get(frame.id)
        channel = served[0] if served else self._opened.get(frame.id)
        if channel is None:
            return  # ended while the frame was on its way
        match frame.kind:
            case Kind.PIECE:
                channel.on_piece(frame.payload)
            case Kind.CREDIT:
                channel.on_credit(frame.payload)
            case Kind.FINISH:
                channel.on_finish()
            case Kind.CANCEL if served is not None:
                served[1].cancel()
            case _:
                raise ProtocolError(f"unexpected frame {frame.kind.name}")

    def forget_channel(self, ident: int) -> bool:
        """Stop tracking a channel of ours; whether it was still open."""
        return self._opened.pop(ident, None) is not None and not self.is_closed

    def refuse(self, error: TitanError) -> None:
        """Answer the greeting with an error and end the connection once it is written."""
        self.send_frame(Kind.REFUSED, 0, encode_error(error))
        self.close()

    def _draw_id(self) -> int:
        ident = self._next_id
        self._next_id = ident + 2 if ident < 2**32 - 3 else ident % 2 or 2
        return ident
