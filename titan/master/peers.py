"""Connections to the other masters for requests: forwarding to the leader, copies of blobs, status.

One connection per master, dialled when it is first needed and again after it breaks. Raft's own
messages do not travel here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec

from titan.errors import NotLeader, TimedOut, TitanError
from titan.wire.connection import Connection
from titan.wire.endpoint import dial
from titan.wire.handler import Refusing
from titan.wire.messages import (
    ROLE_CLIENT,
    ROLE_MASTER,
    GetCluster,
    Hello,
    MasterInfo,
    Message,
    Welcome,
)

DIAL_TIMEOUT_S = 2.0
STATUS_TIMEOUT_S = 1.0
JOIN_TIMEOUT_S = 10.0


class Peers:
    """The other masters, by address."""

    def __init__(
        self, addresses: Callable[[], tuple[str, ...]], *, hello: Callable[[], Hello]
    ) -> None:
        self._addresses = addresses
        self._hello = hello
        self._connections: dict[str, Connection] = {}
        self._dialling: dict[str, asyncio.Lock] = {}

    @property
    def addresses(self) -> tuple[str, ...]:
        """The other masters as of now."""
        return self._addresses()

    async def greet(self, address: str) -> Welcome:
        """How a master, of this cluster or of none, introduces itself."""
        connection = await dial(address, self._hello(), Refusing(), timeout_s=DIAL_TIMEOUT_S)
        connection.close()
        return connection.welcome

    async def ask_as_client(self, address: str, message: Message) -> Message:
        """One question to a master that need not know of this one; a follower passes it on."""
        hello = msgspec.structs.replace(self._hello(), role=ROLE_CLIENT, cluster_id="")
        connection = await dial(address, hello, Refusing(), timeout_s=DIAL_TIMEOUT_S)
        try:
            return await connection.call(message, timeout_s=JOIN_TIMEOUT_S)
        finally:
            connection.close()

    async def connect(self, address: str) -> Connection:
        """An open connection to a master. Raises `ConnectionLost`, `TimedOut`, or its refusal."""
        if (known := self.connected(address)) is not None:
            return known
        if address not in self.addresses:
            raise NotLeader(f"{address} is not a master of this cluster")
        async with self._dialling.setdefault(address, asyncio.Lock()):
            if (known := self.connected(address)) is not None:
                return known
            fresh = await dial(address, self._hello(), Refusing(), timeout_s=DIAL_TIMEOUT_S)
            self._connections[address] = fresh
            return fresh

    def connected(self, address: str) -> Connection | None:
        """The connection to a master, if there is one at this moment."""
        known = self._connections.get(address)
        return None if known is None or known.is_closed else known

    async def info(self, address: str) -> MasterInfo:
        """What a master says of itself; `down` when it does not answer in time."""
        try:
            async with asyncio.timeout(STATUS_TIMEOUT_S):
                connection = await self.connect(address)
                answer = await connection.call(GetCluster(), timeout_s=STATUS_TIMEOUT_S)
        except (TitanError, TimeoutError):
            return MasterInfo(id="", address=address)
        if not isinstance(answer, MasterInfo):
            raise TimedOut(f"{address} gave no status")
        return answer

    async def infos(self) -> list[MasterInfo]:
        """What each of the other masters says of itself."""
        return list(await asyncio.gather(*(self.info(address) for address in self.addresses)))

    def close(self) -> None:
        """End every connection."""
        for connection in self._connections.values():
            connection.close()


def hello_of_master(*, address: str, cluster_id: str, incarnation: int) -> Hello:
    """How a master greets another to ask it for something."""
    return Hello(
        role=ROLE_MASTER,
        id=address,
        address=address,
        cluster_id=cluster_id,
        incarnation=incarnation,
    )
