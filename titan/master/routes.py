"""Where a request is served: here while this master reigns, else at the leader, which is asked once.

A forwarded request is never forwarded again: it fails with `not_leader`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final

from titan.consensus.api import Raft, Role
from titan.errors import ConnectionLost, NotLeader, UnknownOutcome
from titan.master.peers import Peers
from titan.master.proposer import Proposer
from titan.wire.channel import Stream
from titan.wire.connection import Connection
from titan.wire.messages import Message

LEADER_WAIT_S: Final = 2.0  # an election is usually over by then
LOOK_AGAIN_S: Final = 0.005
FORWARD_TIMEOUT_S: Final = 10.0


class Routes:
    """The way from this master to whoever leads."""

    def __init__(self, *, raft: Raft, proposer: Proposer, peers: Peers) -> None:
        self._raft = raft
        self._proposer = proposer
        self._peers = peers
        self._changed = asyncio.Event()
        raft.on_status(lambda _: self._changed.set())

    def to_leader(self) -> Connection | None:
        """The open connection to the leader, None when this master leads or has none yet."""
        status = self._raft.status
        return None if status.role is Role.LEADER else self._peers.connected(status.leader)

    async def leader(self, deadline_s: float, *, forwarded: bool) -> str:
        """The address of a leader that is not this master, or "" when this master reigns.

        Waits for an election to end, until the deadline; raises `NotLeader` when it does not.
        """
        while not self._proposer.reigns:
            status = self._raft.status
            if status.role is not Role.LEADER:
                if forwarded:
                    raise NotLeader(leader=status.leader or None)
                if status.leader:
                    return status.leader
            await self._wait_for_change(deadline_s)
        return ""

    async def _wait_for_change(self, deadline_s: float) -> None:
        if time.monotonic() >= deadline_s:
            raise NotLeader("no leader is known; an election is going on or a majority is missing")
        self._changed.clear()
        # Readiness to reign has no event of its own; look again soon.
        try:
            async with asyncio.timeout(LOOK_AGAIN_S):
                await self._changed.wait()
        except TimeoutError:
            pass

    async def at_leader(
        self, message: Message, here: Callable[[], Awaitable[Message]], *, forwarded: bool
    ) -> Message:
        """Serve with `here` when this master reigns, else ask the leader. Sees elections through: the
        ids of a write make it safe to repeat, and reads have no effect."""
        deadline_s = time.monotonic() + LEADER_WAIT_S
        doubt: UnknownOutcome | None = None
        while True:
            leader = await self._leader_or_doubt(deadline_s, doubt, forwarded=forwarded)
            try:
                return await (self._forward(leader, message) if leader else here())
            except NotLeader:
                pass  # it had no effect
            except (ConnectionLost, UnknownOutcome) as error:
                doubt = UnknownOutcome(str(error))
            await asyncio.sleep(LOOK_AGAIN_S)  # who led a moment ago may be named a moment longer

    async def _leader_or_doubt(
        self, deadline_s: float, doubt: UnknownOutcome | None, *, forwarded: bool
    ) -> str:
        try:
            if time.monotonic() >= deadline_s:
                raise NotLeader("the leader changes faster than it can be followed")
            return await self.leader(deadline_s, forwarded=forwarded)
        except NotLeader:
            if doubt is not None:
                raise doubt from None
            raise

    async def _forward(self, leader: str, message: Message) -> Message:
        try:
            connection = await self._peers.connect(leader)
        except ConnectionLost:
            raise NotLeader(f"{leader} led and cannot be reached") from None
        return await connection.call(message, timeout_s=FORWARD_TIMEOUT_S)

    async def relay(self, leader: str, message: Message, channel: Stream) -> Message:
        """Serve a channel by opening the same one at the leader."""
        connection = await self._peers.connect(leader)
        there = connection.open(message)
        upload = asyncio.create_task(_pump(channel, there), name="relay up")
        try:
            async for piece in there:
                await channel.send(piece)
            return await there.result(FORWARD_TIMEOUT_S)
        except BaseException:
            there.cancel()
            raise
        finally:
            upload.cancel()
            await asyncio.wait([upload])


async def _pump(source: Stream, sink: Stream) -> None:
    async for piece in source:
        await sink.send(piece)
    await sink.finish()
