"""What every handler of the API works with: reads of this master's state, writes through the log.

Reads answer from this master's own state and say how far it is; `consistent=true` first catches up with
everything committed before the request. Writes carry ids of this master's own, or those that the
caller's `Idempotency-Key` names, so that a repeat at any master has no second effect.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from copy import copy
from typing import Any, Final

import msgspec
from aiohttp import web

from titan.consensus.api import Raft
from titan.errors import TitanError
from titan.fsm.commands import ClientCommand, encode_command
from titan.fsm.queries.base import Query
from titan.fsm.state import State
from titan.fsm.views import read
from titan.master.feed import Feed
from titan.master.gateway import Gateway
from titan.master.pulse import Pulse
from titan.master.replica import Replica
from titan.wire.messages import ClusterInfo, Write, WriteDone
from titan.wire.refusals import refusal
from titan.wire.session import Session

WRITE_TIMEOUT_S: Final = 10.0


class Done(msgspec.Struct, frozen=True):
    """A write that took effect at `index`."""

    index: int
    value: Any


class Api:
    """Shared by the handlers of one master."""

    def __init__(self, *, gateway: Gateway, replica: Replica, raft: Raft, pulse: Pulse) -> None:
        self.gateway = gateway
        self.pulse = pulse
        self.feed = Feed(replica)
        self.headers: Callable[[web.Request], dict[str, str]] = lambda _: {}  # set by the server
        self._replica = replica
        self._raft = raft
        self._session = Session()
        self._who = ""  # who asks, for the audit
        self._masters: dict[str, str] = {}  # address → HTTP address as last heard, "" if never

    def asked_by(self, who: str) -> Api:
        """The same for one request: its writes say who ordered them."""
        mine = copy(self)
        mine._who = who
        return mine

    @property
    def who(self) -> str:
        """Who asks, for the audit."""
        return self._who

    @property
    def state(self) -> State:
        """This master's state now. Read it, never keep it."""
        return self._replica.state

    @property
    def age_ms(self) -> int:
        """How long ago this master heard from a leader; 0 when it leads."""
        return self._raft.status.heard_ms_ago

    def masters(self) -> tuple[str, ...]:
        """The HTTP addresses of all masters, as far as this one has ever heard them."""
        return tuple(filter(None, self._masters.values()))

    @property
    def knows_masters(self) -> bool:
        """Whether every master has said where it serves pages."""
        return bool(self._masters) and all(self._masters.values())

    async def cluster(self) -> ClusterInfo:
        """The masters; notes their addresses for the guard.

        That of a master that is down stays known: a page that it has served goes on here.
        """
        info = await self.gateway.cluster()
        known = {
            one.address: one.http or self._masters.get(one.address, "") for one in info.masters
        }
        self._masters.clear()
        self._masters.update(known)
        return info

    async def learn_masters(self, *, timeout_s: float) -> None:
        """Ask them where they serve pages, as far as they answer in time."""
        try:
            async with asyncio.timeout(timeout_s):
                await self.cluster()
        except (TimeoutError, TitanError):
            pass  # asked again, by a page or by the server's side task

    def read(self, query: Query) -> Any:
        """The view that the query names, from this master's own state. Raises `NotFound`."""
        return read(self._replica.state, query)

    async def catch_up(self) -> None:
        """Until this master has applied all that was committed before."""
        async with asyncio.timeout(WRITE_TIMEOUT_S):
            await self.gateway.catch_up(forwarded=False)

    async def write(self, command: ClientCommand, *, key: str = "") -> Done:
        """Commit a command, here or at the leader. Raises the `TitanError` that fits a refusal."""
        if key:
            return await self._send(command, client=client_of(key), request=1, floor=1)
        async with self._session.request() as request:
            return await self._send(
                command, client=self._session.client, request=request, floor=self._session.floor
            )

    async def _send(self, command: ClientCommand, *, client: str, request: int, floor: int) -> Done:
        message = Write(
            client=client,
            request=request,
            floor=floor,
            command=encode_command(command),
            who=self._who,
        )
        async with asyncio.timeout(WRITE_TIMEOUT_S):
            done = await self.gateway.write(message, forwarded=False)
        assert isinstance(done, WriteDone)
        if (error := refusal(done)) is not None:
            raise error
        return Done(done.index, done.value)


def client_of(key: str) -> str:
    """The client whose only write a caller's idempotency key names."""
    return "http-" + hashlib.sha256(key.encode()).hexdigest()[:32]
