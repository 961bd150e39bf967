"""The worker's connection to the leader, for as long as the worker lives.

Owns finding the leader, registering, heartbeats and reconnecting. Never decides what a message means:
it hands them to its `Owner` in the order they came. A connection that ends changes nothing for running
processes. The wire itself pings a silent peer and gives it up; everything asked here has a deadline.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from typing import Final, Protocol

from titan.errors import (
    Conflict,
    ConnectionLost,
    Fatal,
    NotLeader,
    ProtocolError,
    TitanError,
)
from titan.exec.config import WorkerConfig
from titan.wire.channel import Channel
from titan.wire.connection import Connection
from titan.wire.endpoint import dial
from titan.wire.handler import Refusing
from titan.wire.messages import (
    Heartbeat,
    Hello,
    Message,
    Register,
    Registered,
)

log = logging.getLogger(__name__)

_DIAL_TIMEOUT_S: Final = 2.0
_REGISTER_TIMEOUT_S: Final = 3.0  # a leader without a quorum never answers
_PIECE_TIMEOUT_S: Final = 10.0  # between two pieces of a blob
_BACKOFF_FIRST_S: Final = 0.02
_BACKOFF_LAST_S: Final = 1.0
_REDIRECTS_MAX: Final = 3  # followed at once; more of them are masters that disagree
_CONFLICTS_MAX: Final = 20  # over ten seconds: a dead connection counts as live for about five
_LAUNCH_OVER: Final = "launch_over"  # its launch failed, was given up, or has its worker already
_EARLY_NOTES_MAX: Final = 65_536  # that overtake the waking of the task that registered


class Owner(Protocol):
    """Whose session it is."""

    def registration(self) -> Register:
        """What to register as, now."""

    def heartbeat(self) -> Heartbeat:
        """What to say at the next beat."""

    def on_registered(self, registered: Registered) -> None:
        """A leader has accepted this worker; results may be sent again."""

    def on_message(self, message: Message) -> None:
        """The leader said something."""

    async def on_channel(self, message: Message, channel: Channel) -> Message:
        """The leader wants bytes."""


class Session:
    """See the module. `run` it as a task; everything else belongs to the same loop."""

    def __init__(self, owner: Owner, *, config: WorkerConfig, hello: Hello) -> None:
        self._owner = owner
        self._tls = config.tls
        self._hello = hello
        self._masters = list(config.masters)
        self._next_master = random.randrange(len(self._masters))
        self._hint: str | None = None
        self._link: _Link | None = None
        self._ready = asyncio.Event()
        self._is_closing = False

    @property
    def masters(self) -> tuple[str, ...]:
        """The addresses of all masters, as last heard."""
        return tuple(self._masters)

    @property
    def is_registered(self) -> bool:
        """Whether a leader listens at the moment."""
        return self._ready.is_set()

    def send(self, message: Message) -> bool:
        """Tell the leader if there is one; whether there was. What matters is repeated later anyway."""
        if self._link is None or not self._ready.is_set():
            return False
        try:
            self._link.connection.note(message)
        except ConnectionLost:
            return False
        return True

    def leave_leader(self) -> None:
        """End the present connection and try another master."""
        if self._link is not None:
            self._link.connection.close(ProtocolError("the leader belongs to an older epoch"))

    def close(self) -> None:
        """End the present connection after what has been said, and `run` with it.

        Not by cancelling alone: `asyncio.wait_for` of Python 3.11 loses a cancellation that comes in
        the moment in which it is done, and the session would register again.
        """
        self._is_closing = True
        if self._link is not None:
            self._link.connection.close()

    async def run(self) -> None:
        """Stay registered until `close`. Raises `Fatal` when another worker uses this one's id."""
        failures = redirects = conflicts = 0
        while not self._is_closing:
            address = self._choose()
            try:
                await self._serve(address)
                failures = redirects = conflicts = 0
            except NotLeader as error:
                self._hint = error.leader if error.leader != address else None
                if self._hint is not None and redirects < _REDIRECTS_MAX:
                    redirects += 1
                    continue
                self._hint, redirects = None, 0
            except Conflict as error:
                if error.reason == _LAUNCH_OVER:
                    raise Fatal(f"this worker is not wanted: {error}") from error
                conflicts += 1
                self._hint = address
                log.warning("%s refuses this worker: %s", address, error)
                if conflicts >= _CONFLICTS_MAX:
                    raise Fatal(
                        f"another worker uses the id {self._hello.id}: {error}",
                        hint="each worker needs its own --data directory; do not copy one",
                    ) from error
            except TitanError as error:
                log.info("no session with %s: %s", address, error)
            await asyncio.sleep(_backoff_s(failures))
            failures += 1

    def _choose(self) -> str:
        """The address that somebody named as the leader's, else the masters in turn."""
        if (hint := self._hint) is not None:
            self._hint = None
            return hint
        self._next_master = (self._next_master + 1) % len(self._masters)
        return self._masters[self._next_master]

    async def _serve(self, address: str) -> None:
        """One connection from greeting to end. Raises when it does not get as far as registering."""
        link = _Link(self._owner)
        link.connection = await dial(
            address, self._hello, link, timeout_s=_DIAL_TIMEOUT_S, tls=self._tls
        )
        self._link = link
        try:
            reply = await link.connection.call(
                self._owner.registration(), timeout_s=_REGISTER_TIMEOUT_S
            )
            if not isinstance(reply, Registered):
                raise ProtocolError(f"{address} answered {type(reply).__name__}")
            log.info("registered with %s, epoch %d", address, reply.epoch)
            self._learn(reply.masters)
            self._ready.set()
            self._owner.on_registered(reply)
            link.open_gate()
            await self._beat(link.connection, interval_s=reply.heartbeat_ms / 1000)
            log.info("lost the leader at %s", address)
        finally:
            self._ready.clear()
            self._link = None
            link.connection.close()

    async def _beat(self, connection: Connection, *, interval_s: float) -> None:
        """Heartbeats until the connection ends."""
        closed = asyncio.create_task(connection.wait_closed(), name="leader connection")
        try:
            while not connection.is_closed and not self._is_closing:
                connection.note(self._owner.heartbeat())
                await asyncio.wait({closed}, timeout=interval_s)
        except ConnectionLost:
            return
        finally:
            closed.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await closed

    def _learn(self, masters: tuple[str, ...]) -> None:
        if masters:
            self._masters = list(masters)
            self._next_master %= len(self._masters)


class _Link(Refusing):
    """One connection's handler. Notes wait at the gate until the registration has been acted upon.

    They may arrive in the packet of the reply, before the task that waits for it has run; an attempt
    ordered there must not be measured against the list of live attempts that the reply carries.
    """

    connection: Connection

    def __init__(self, owner: Owner) -> None:
        self._owner = owner
        self._early: list[Message] | None = []

    def open_gate(self) -> None:
        """Hand over what came early, then everything as it comes."""
        early, self._early = self._early or [], None
        for message in early:
            self._owner.on_message(message)

    def on_note(self, connection: Connection, message: Message) -> None:
        """Take a note."""
        if self._early is None:
            self._owner.on_message(message)
        elif len(self._early) < _EARLY_NOTES_MAX:
            self._early.append(message)
        else:
            raise ProtocolError("the master speaks before it has registered this worker")

    async def on_channel(
        self, connection: Connection, message: Message, channel: Channel
    ) -> Message:
        """Serve a channel."""
        return await self._owner.on_channel(message, channel)


def _backoff_s(failures: int) -> float:
    """20 ms, doubled per failure, at most 1 s; jittered so that workers do not come back in step."""
    full_s: float = min(_BACKOFF_FIRST_S * 2 ** min(failures, 10), _BACKOFF_LAST_S)
    return full_s * random.uniform(0.5, 1.0)
