"""The wire between members: one dialled connection per peer to send, the peer's own to receive.

Owns dialling, back-off and who may speak as whom. Never looks into a message. The master owns the
listening port and hands peers' connections over by `accept`.
"""

from __future__ import annotations

import asyncio
import logging
import random
import ssl
from collections.abc import Callable
from typing import Final, Protocol

from titan import limits
from titan.consensus.config import RaftConfig
from titan.consensus.identity import Bindings
from titan.consensus.membership import REMOVED_REASON, Roster
from titan.errors import AccessDenied, Conflict, TitanError, Unavailable
from titan.wire.connection import Connection
from titan.wire.endpoint import dial
from titan.wire.handler import Handler, Refusing
from titan.wire.messages import ROLE_PEER, Hello, Welcome

_BACKOFF_MIN_S: Final = 0.02
_BACKOFF_MAX_S: Final = 1.0
_DIAL_TIMEOUT_S: Final = 2.0

_log = logging.getLogger(__name__)


class Receiver(Protocol):
    """Who is told what happens on the wire."""

    def on_message(self, peer: str, payload: bytes) -> None:
        """Bytes of `peer` came in. `on_read` follows once all that came with them was handed over."""

    def on_read(self) -> None:
        """What came in one read of a connection was handed over."""

    def on_up(self, peer: str) -> None:
        """There is a way to `peer`."""

    def on_down(self, peer: str) -> None:
        """There is no way to `peer` any more."""

    def on_removed(self) -> None:
        """Another member says that this one was removed from the cluster."""

    def on_lost(self, peer: str) -> None:
        """The connection that `peer` spoke over ended."""


class _FromPeer(Refusing):
    """Takes what one peer says over the connection that it dialled."""

    def __init__(self, transport: PeerTransport, peer: str) -> None:
        self._transport = transport
        self._peer = peer

    def on_raw(self, connection: Connection, payload: bytes) -> None:
        self._transport.received(self._peer, connection, payload)

    def after_read(self, connection: Connection) -> None:
        self._transport.read()

    def on_closed(self, connection: Connection) -> None:
        self._transport.incoming_closed(self._peer, connection)


class PeerTransport:
    """All connections with the other members. `cluster_id` answers "" until it is known."""

    def __init__(
        self,
        config: RaftConfig,
        *,
        bindings: Bindings,
        cluster_id: Callable[[], str] = str,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._config = config
        self._bindings = bindings
        self._cluster_id = cluster_id
        self._tls = tls
        self._receiver: Receiver | None = None
        self._dialled: dict[str, Connection] = {}
        self._incoming: dict[str, Connection] = {}
        self._members: frozenset[str] = frozenset()  # the others
        self._gone: frozenset[str] = frozenset()  # ids that were removed
        self._met: dict[
            str, str
        ] = {}  # ids by address, also of those that our log does not name yet
        self._is_waiting_to_be_added = False
        self._wake: dict[str, asyncio.Event] = {}
        self._diallers: dict[str, asyncio.Task[None]] = {}
        self._ended: list[asyncio.Task[None]] = []  # cancelled, until they have ended
        self.dropped = 0  # messages not queued because a peer reads too slowly

    # --- life ------------------------------------------------------------------------------

    def start(self, receiver: Receiver) -> None:
        """Dial everybody and keep dialling."""
        self._receiver = receiver
        for peer in sorted(self._members):
            self._begin_dialling(peer)

    def members_changed(self, roster: Roster, *, gone: frozenset[str]) -> None:
        """Keep ways to exactly these members; turn away whoever has an id in `gone`."""
        if self._receiver is None:
            self._bindings.open()
        self._gone, before = gone, self._members
        self._members = frozenset(roster.addresses) - {self._config.address}
        self._is_waiting_to_be_added = not roster.members
        for member in roster.members:
            if member.id and member.address in self._members:
                self._bindings.bind(member.address, member_id=member.id)
        for peer in sorted(self._members & set(self._met)):
            if not self._bindings.known(peer) and self._met[peer] not in gone:
                self._bindings.bind(peer, member_id=self._met[peer])
        for peer in sorted(before - self._members):
            if peer not in self._incoming or self._bindings.known(peer) in gone:
                self._end_dialling(peer)
        for peer in sorted(before | set(self._incoming)):
            if self._bindings.known(peer) in gone:
                self._turn_away(peer)
        if self._receiver is not None:
            for peer in sorted(self._members - set(self._diallers)):
                self._begin_dialling(peer)

    def member_id(self, address: str) -> str:
        """The id of the member that was met at an address, "" when none was."""
        return self._bindings.known(address)

    def _begin_dialling(self, peer: str) -> None:
        self._wake.setdefault(peer, asyncio.Event())
        self._diallers[peer] = asyncio.get_running_loop().create_task(
            self._keep_dialled(peer), name=f"raft dial {peer}"
        )

    def _end_dialling(self, peer: str) -> None:
        task = self._diallers.pop(peer, None)
        if task is not None:
            task.cancel()
            self._ended = [each for each in self._ended if not each.done()]
            self._ended.append(task)

    def _turn_away(self, peer: str) -> None:
        """It dials again and is told why."""
        self._bindings.forget(peer)
        connection = self._incoming.pop(peer, None)
        if connection is not None:
            connection.close()

    async def close(self) -> None:
        """Hang up everywhere; nobody is told."""
        self._receiver = None
        for peer in tuple(self._diallers):
            self._end_dialling(peer)
        await asyncio.gather(*self._ended, return_exceptions=True)
        for connection in (*self._dialled.values(), *self._incoming.values()):
            connection.close()
        self._dialled.clear()
        self._incoming.clear()

    def check_tasks(self) -> None:
        """Raise what ended a dialler, if one has ended: they never should."""
        for task in self._diallers.values():
            if task.done() and not task.cancelled():
                task.result()

    # --- sending ---------------------------------------------------------------------------

    def send(self, peer: str, payload: bytes) -> None:
        """Give it to the socket; forgotten without a connection or with too much unsent."""
        connection = self._dialled.get(peer)
        if connection is None or connection.is_closed:
            return
        if connection.unsent_bytes > limits.PEER_UNSENT_BYTES:
            self.dropped += 1
            return
        connection.raw(payload)

    # --- receiving -------------------------------------------------------------------------

    def accept(self, connection: Connection, hello: Hello) -> Handler:
        """The handler for a peer's connection. Raises `AccessDenied`, `Unavailable`."""
        if self._receiver is None:
            raise Unavailable("this master is still starting")
        peer = hello.address
        self._check(peer, member_id=hello.id, cluster_id=hello.cluster_id)
        replaced = self._incoming.get(peer)
        self._incoming[peer] = connection
        if replaced is not None:
            replaced.close()
        if peer not in self._diallers:
            self._begin_dialling(peer)  # it knows of us, so we may not know of it yet
        self._wake[peer].set()
        return _FromPeer(self, peer)

    def _check(self, peer: str, *, member_id: str, cluster_id: str) -> None:
        ours = self._cluster_id()
        if member_id in self._gone:
            raise Conflict(f"the member {member_id} at {peer} was removed", reason=REMOVED_REASON)
        if not self._may_be_known(peer, cluster_id=cluster_id):
            raise AccessDenied(
                f"{peer or 'a caller without an address'} is not a member",
                hint=f"if it should be one: titan cluster add {peer}",
            )
        if ours and cluster_id and ours != cluster_id:
            raise AccessDenied(
                f"{peer} belongs to cluster {cluster_id}, this master to {ours}",
                hint="the member lists of two clusters overlap, or a data directory was swapped",
            )
        if peer in self._members:
            self._bindings.check(peer, member_id=member_id)
        self._met[peer] = member_id

    def _may_be_known(self, peer: str, *, cluster_id: str) -> bool:
        """A member; or one that our log does not name yet, but that belongs to this cluster.

        A member that waits to be added knows of nobody, and hears whoever adds it.
        """
        if peer in self._members:
            return True
        is_ours = bool(cluster_id) and cluster_id == self._cluster_id()
        return bool(peer) and (is_ours or self._is_waiting_to_be_added)

    def received(self, peer: str, connection: Connection, payload: bytes) -> None:
        """Bytes from a peer's current connection; a replaced one is not heard."""
        if self._receiver is not None and self._incoming.get(peer) is connection:
            self._receiver.on_message(peer, payload)

    def read(self) -> None:
        """Whatever came together from a peer has been handed over."""
        if self._receiver is not None:
            self._receiver.on_read()

    def incoming_closed(self, peer: str, connection: Connection) -> None:
        """A peer's connection ended; only the current one says something about the peer."""
        if self._incoming.get(peer) is not connection:
            return
        del self._incoming[peer]
        if peer not in self._members:
            self._end_dialling(peer)
        if self._receiver is not None:
            self._receiver.on_lost(peer)

    # --- dialling --------------------------------------------------------------------------

    async def _keep_dialled(self, peer: str) -> None:
        backoff_s = _BACKOFF_MIN_S
        last_reason = ""
        while True:
            try:
                connection = await self._dial(peer)
            except TitanError as error:
                if isinstance(error, Conflict) and error.reason == REMOVED_REASON:
                    self._was_removed(peer)
                if str(error) != last_reason:
                    _log.info("no way to %s: %s", peer, error)
                last_reason = str(error)
                await self._pause(peer, backoff_s)
                backoff_s = min(_BACKOFF_MAX_S, backoff_s * 1.6)
                continue
            backoff_s, last_reason = _BACKOFF_MIN_S, ""
            await self._serve(peer, connection)

    def _was_removed(self, peer: str) -> None:
        if peer in self._members and self._receiver is not None:
            self._receiver.on_removed()

    async def _dial(self, peer: str) -> Connection:
        hello = Hello(
            role=ROLE_PEER,
            id=self._config.member_id,
            cluster_id=self._cluster_id(),
            incarnation=self._config.incarnation,
            address=self._config.address,
        )
        connection = await dial(peer, hello, Refusing(), timeout_s=_DIAL_TIMEOUT_S, tls=self._tls)
        welcome: Welcome = connection.welcome
        try:
            self._check(peer, member_id=welcome.id, cluster_id=welcome.cluster_id)
        except AccessDenied:
            connection.close()
            raise
        return connection

    async def _pause(self, peer: str, backoff_s: float) -> None:
        """Wait, unless the peer shows up by itself meanwhile."""
        self._wake[peer].clear()
        try:
            async with asyncio.timeout(backoff_s * random.uniform(0.5, 1.0)):
                await self._wake[peer].wait()
        except TimeoutError:
            pass

    async def _serve(self, peer: str, connection: Connection) -> None:
        self._dialled[peer] = connection
        connection.write_at_once()
        try:
            if self._receiver is not None:
                self._receiver.on_up(peer)
            await connection.wait_closed()
        finally:
            del self._dialled[peer]
            connection.close()
            if self._receiver is not None:
                self._receiver.on_down(peer)
