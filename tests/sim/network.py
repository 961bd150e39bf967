"""TCP in memory: hosts, listening ports, connections, and the ways in which a network fails.

A link is one direction between two hosts. What is sent on a blocked link is kept by the sender's kernel and
sent again once the link is open, in order, as TCP does; only a reset is lost. Bytes vanish when a
connection breaks and in no other way. Knows nothing of frames or messages.
"""

from __future__ import annotations

import asyncio
import errno
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from tests.sim.loop import Life, SimLoop

LATENCY_S: Final = 0.0003
KERNEL_BYTES: Final = 512 * 1024  # of socket buffers on both sides together
HIGH_WATER: Final = 64 * 1024
LOW_WATER: Final = 16 * 1024
SYN_RETRY_S: Final = 1.0
REPEAT_S: Final = 0.2  # TCP's shortest time-out for sending again
DATA, FIN, RST = "data", "fin", "rst"


@dataclass(slots=True)
class Link:
    """One direction between two hosts."""

    is_blocked: bool = False
    is_refused: bool = False  # while blocked: whoever dials is told at once that there is no way
    latency_s: float = LATENCY_S
    jitter_s: float = 0.0
    bytes_per_s: float = 0.0  # 0: as fast as it likes
    free_at: float = 0.0
    kept: list[tuple[Endpoint, str, bytes]] = field(default_factory=list)


class Endpoint(asyncio.Transport):
    """One end of a connection, which is what asyncio calls a transport."""

    def __init__(self, network: Network, life: Life, *, local: str, remote: str) -> None:
        super().__init__()
        self.network, self.life = network, life
        self.local, self.remote = local, remote
        self.peer: Endpoint
        self.protocol: Any = None
        self.is_gone = False  # nothing can be received or sent any more
        self.has_sent_fin = False
        self.unread = 0  # bytes sent that the other side's process has not taken
        self.is_full = False
        self.last_arrival = 0.0
        self.late_s = 0.0  # its segments take another way, which is so much longer

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return (self.remote, 0) if name == "peername" else default

    def get_write_buffer_size(self) -> int:
        return max(0, self.unread - KERNEL_BYTES)

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """What is written is on its way at once."""

    def is_closing(self) -> bool:
        return self.is_gone or self.has_sent_fin

    def write(self, data: Any) -> None:
        if self.is_gone or self.has_sent_fin or not self.life.is_alive:
            return
        self.unread += len(data)
        self.network.send(self, DATA, bytes(data))
        if not self.is_full and self.get_write_buffer_size() > HIGH_WATER:
            self.is_full = True
            self.protocol.pause_writing()

    def taken(self, size: int) -> None:
        """The other side's process has read so much."""
        self.unread -= size
        if self.is_full and self.get_write_buffer_size() < LOW_WATER:
            self.is_full = False
            self.network.loop.post(self.life, self.protocol.resume_writing)

    def close(self) -> None:
        if self.is_gone or self.has_sent_fin or not self.life.is_alive:
            return
        self.has_sent_fin = True
        self.network.send(self, FIN)
        self.network.loop.call_soon(self._lost, None)

    def abort(self) -> None:
        if self.is_gone or not self.life.is_alive:
            return
        self.network.drop_kept(self)
        self.network.send(self, RST)
        self.has_sent_fin = True
        self.network.loop.call_soon(self._lost, None)

    def made(self, factory: Callable[[], Any]) -> None:
        """In the owner's context: the connection exists."""
        self.protocol = factory()
        self.protocol.connection_made(self)

    def received(self, kind: str, data: bytes) -> None:
        """In the owner's context: a segment was read."""
        if self.is_gone or self.protocol is None:
            return
        if kind == DATA:
            self.peer.taken(len(data))
            if not self.has_sent_fin:
                self.protocol.data_received(data)
        elif kind == FIN:
            if not self.has_sent_fin and not self.protocol.eof_received():
                self.close()
        else:
            self._lost(ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"))

    def _lost(self, error: Exception | None) -> None:
        if not self.is_gone:
            self.is_gone = True
            self.network.forget(self)
            self.protocol.connection_lost(error)


class Server:
    """A listening port."""

    def __init__(self, network: Network, life: Life, factory: Any, address: str) -> None:
        self.network, self.life, self.factory, self.address = network, life, factory, address

    @property
    def sockets(self) -> tuple[Server]:
        return (self,)

    def getsockname(self) -> tuple[str, int]:
        host, _, port = self.address.rpartition(":")
        return host, int(port)

    def close(self) -> None:
        if self.life.is_alive:
            self.network.servers.pop(self.address, None)


class Network:
    """Every host, link, port and connection."""

    def __init__(
        self,
        loop: SimLoop,
        rng: random.Random,
        *,
        on_delivery: Callable[[Endpoint, str, bytes], None],
    ) -> None:
        self.loop, self.rng = loop, rng
        self.servers: dict[str, Server] = {}
        self.links: dict[tuple[str, str], Link] = {}
        self.open: dict[Endpoint, None] = {}
        self.dark: set[str] = set()  # hosts without power
        self.segments = 0
        self.overtaken = 0  # segments of a connection that its sender had given up
        self.sent_bytes: Counter[str] = Counter()
        self._on_delivery = on_delivery

    def link(self, source: str, target: str) -> Link:
        """The direction from `source` to `target`."""
        found = self.links.get((source, target))
        if found is None:
            found = self.links[source, target] = Link()
        return found

    # --- sockets ---------------------------------------------------------------------------

    def serve(self, life: Life, factory: Any, host: str, port: int) -> Server:
        address = f"{host}:{port}"
        assert host == life.host, f"{life} cannot listen on {address}"
        if address in self.servers:
            raise OSError(errno.EADDRINUSE, "Address already in use")
        server = self.servers[address] = Server(self, life, factory, address)
        return server

    def connect(
        self, life: Life, factory: Any, host: str, port: int, answer: asyncio.Future[Any]
    ) -> None:
        """Send the first packet until it is answered or nobody waits any more."""
        if answer.done() or not life.is_alive:
            return
        there, back = self.link(life.host, host), self.link(host, life.host)
        if there.is_blocked and there.is_refused:
            unreachable = OSError(errno.EHOSTUNREACH, "No route to host")
            self.loop.later(self._delay(there), self.loop.post, life, _fail, answer, unreachable)
            return
        if there.is_blocked or back.is_blocked or host in self.dark:
            retry = (life, factory, host, port, answer)
            self.loop.later(SYN_RETRY_S, self.connect, *retry)
            return
        delay_s = self._delay(there) + max(0.0, life.busy_until - self.loop.now)
        self.loop.later(delay_s, self._accept, life, factory, f"{host}:{port}", answer)

    def _accept(self, life: Life, factory: Any, address: str, answer: asyncio.Future[Any]) -> None:
        host, _, port = address.rpartition(":")
        server = self.servers.get(address)
        if host in self.dark:
            self.connect(life, factory, host, int(port), answer)
            return
        delay_s = self._delay(self.link(host, life.host))
        if server is None:
            refusal = ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused")
            self.loop.later(delay_s, self.loop.post, life, _fail, answer, refusal)
            return
        ours = Endpoint(self, life, local=life.host, remote=host)
        theirs = Endpoint(self, server.life, local=host, remote=life.host)
        ours.peer, theirs.peer = theirs, ours
        self.open[ours] = self.open[theirs] = None
        self.loop.post(server.life, theirs.made, server.factory)
        self.loop.later(delay_s, self.loop.post, life, _connected, ours, factory, answer)

    def forget(self, endpoint: Endpoint) -> None:
        self.open.pop(endpoint, None)

    # --- segments --------------------------------------------------------------------------

    def send(self, source: Endpoint, kind: str, data: bytes = b"") -> None:
        """Put a segment on its link."""
        link = self.link(source.local, source.remote)
        if link.is_blocked:
            if kind != RST:
                link.kept.append((source, kind, data))
            return
        loop = self.loop
        at = max(loop.now, source.life.busy_until) + self._delay(link) + source.late_s
        if link.bytes_per_s:
            link.free_at = max(at, link.free_at) + len(data) / link.bytes_per_s
            at = link.free_at
        source.last_arrival = at = max(at, source.last_arrival)
        self.segments += 1
        loop._at(at, self._arrive, source.peer, kind, data)

    def _delay(self, link: Link) -> float:
        return link.latency_s * self.rng.uniform(0.7, 1.3) + (
            link.jitter_s * self.rng.random() if link.jitter_s else 0.0
        )

    def _arrive(self, target: Endpoint, kind: str, data: bytes) -> None:
        if target.local in self.dark:
            return
        self._on_delivery(target, kind, data)
        if target.peer.late_s and target.peer.is_gone and not target.is_gone:
            self.overtaken += 1
        if target.is_gone or not target.life.is_alive:
            if kind == DATA and not target.peer.is_gone and target.peer.life.is_alive:
                self._reset(target.peer)
            return
        if kind == DATA and len(data) > 40 and self.rng.random() < 0.02:
            cut = self.rng.randrange(1, len(data))  # the reader sees the pieces that TCP makes
            self.loop.post(target.life, target.received, kind, data[:cut])
            data = data[cut:]
        self.loop.post(target.life, target.received, kind, data)

    def _reset(self, victim: Endpoint) -> None:
        """Somebody's kernel answers that there is no such connection."""
        link = self.link(victim.remote, victim.local)
        if not link.is_blocked:
            self.loop.later(self._delay(link), self._arrive, victim, RST, b"")

    def drop_kept(self, source: Endpoint) -> None:
        link = self.link(source.local, source.remote)
        if link.kept:
            link.kept = [one for one in link.kept if one[0] is not source]

    # --- what fails ------------------------------------------------------------------------

    def block(self, source: str, target: str, *, is_refused: bool = False) -> None:
        """Nothing gets from `source` to `target` any more, and nobody is told but, if so, who dials."""
        link = self.link(source, target)
        link.is_blocked, link.is_refused = True, is_refused

    def unblock(self, source: str, target: str) -> None:
        """The link works again; what was kept is sent again after a while."""
        link = self.link(source, target)
        if link.is_blocked:
            link.is_blocked = link.is_refused = False
            kept, link.kept = link.kept, []
            for endpoint, _, _ in kept:
                endpoint.last_arrival = max(endpoint.last_arrival, self.loop.now + REPEAT_S)
            for endpoint, kind, data in kept:
                if not endpoint.is_gone or kind == FIN or endpoint.has_sent_fin:
                    self.send(endpoint, kind, data)

    def break_between(self, a: str, b: str) -> None:
        """Both ends of every connection between two hosts learn that it is gone."""
        for endpoint in tuple(self.open):
            if {endpoint.local, endpoint.remote} == {a, b}:
                self._break(endpoint)

    def delay_open(self, source: str, target: str, *, late_s: float) -> None:
        """What goes over the present connections from now on is late; later connections are not."""
        for endpoint in self.open:
            if (endpoint.local, endpoint.remote) == (source, target):
                endpoint.late_s = late_s

    def break_one_end(self, source: str, target: str) -> None:
        """`source` learns that its connections to `target` are gone; `target` does not, and still gets
        what is on the way, perhaps after what comes over a newer connection."""
        for endpoint in tuple(self.open):
            if (endpoint.local, endpoint.remote) == (source, target):
                self._break(endpoint)

    def _break(self, endpoint: Endpoint) -> None:
        if endpoint.life.is_alive:
            self.loop.post(endpoint.life, endpoint.received, RST, b"")

    def life_ended(self, life: Life, *, power: bool) -> None:
        """The kernel closes a dead process's sockets; without power nobody does."""
        for address, server in tuple(self.servers.items()):
            if server.life is life:
                del self.servers[address]
        for endpoint in tuple(self.open):
            if endpoint.life is not life:
                continue
            if not endpoint.has_sent_fin and not power:
                self.send(endpoint, FIN)
            if power:
                self.drop_kept(endpoint)
            endpoint.is_gone = True
            del self.open[endpoint]

    def heal(self) -> None:
        """Every link as new."""
        for (source, target), link in self.links.items():
            link.latency_s, link.jitter_s, link.bytes_per_s = LATENCY_S, 0.0, 0.0
            self.unblock(source, target)
        for endpoint in self.open:
            endpoint.late_s = 0.0


def _connected(ours: Endpoint, factory: Any, answer: asyncio.Future[Any]) -> None:
    if answer.done():  # the caller gave up meanwhile
        ours.is_gone = True
        ours.network.forget(ours)
        ours.network.send(ours, RST)
        return
    ours.made(factory)
    answer.set_result((ours, ours.protocol))


def _fail(answer: asyncio.Future[Any], error: Exception) -> None:
    if not answer.done():
        answer.set_exception(error)
