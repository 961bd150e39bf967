"""A blob on its way in is passed on to the other masters while it comes.

So a second master has nearly all of it when the sender has sent the last byte, and whoever takes over
from a master that dies in the middle goes on where it was. Each copy reads behind the growing file, at
its own pace: a slow master holds up nobody.
"""

from __future__ import annotations

import asyncio
import os
from typing import Final

from titan.errors import ConnectionLost, ProtocolError, TitanError, Unavailable
from titan.ids import Digest
from titan.limits import BLOB_STALL_S, CHUNK_BYTES
from titan.master.in_threads import undisturbed
from titan.master.peers import Peers
from titan.master.uploads import Growth
from titan.wire.channel import Channel
from titan.wire.connection import Connection
from titan.wire.messages import BlobAt, BlobOffset, PutBlob

COPIES_MIN: Final = 2  # masters that hold a blob before its upload is acknowledged
_COPY_TIMEOUT_S: Final = 120.0  # from the last byte until enough masters have made it durable


class Copies:
    """The copies of one blob that is being received. Leave the context to end what still runs."""

    def __init__(
        self,
        peers: Peers,
        growth: Growth,
        *,
        digest: Digest,
        size: int,
        after: int,
        may_ask: bool = True,
    ) -> None:
        self._peers = peers
        self._growth = growth
        self._digest = digest
        self._size = size
        self._after = after  # the other master must have applied this entry before it judges
        self._may_ask = may_ask  # whether every master knows how to go on behind what it has
        self._needed = min(COPIES_MIN, len(peers.addresses) + 1) - 1
        self._tasks: dict[str, asyncio.Task[None]] = {}

    async def __aenter__(self) -> Copies:
        for address in self._peers.addresses:
            name = f"copy of blob {self._digest[:12]} to {address}"
            self._tasks[address] = asyncio.create_task(self._copy_to(address), name=name)
        return self

    async def __aexit__(self, *_error: object) -> None:
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    async def enough(self) -> list[str]:
        """Wait until enough other masters hold it; their addresses. Raises `Unavailable`."""
        deadline = asyncio.get_running_loop().time() + _COPY_TIMEOUT_S
        while True:
            good = [address for address, task in self._tasks.items() if _is_good(task)]
            if len(good) >= self._needed:
                return good
            pending = [task for task in self._tasks.values() if not task.done()]
            left_s = deadline - asyncio.get_running_loop().time()
            if not pending or left_s <= 0:
                raise Unavailable(f"too few masters could take a copy: {self._problems()}")
            await asyncio.wait(pending, timeout=left_s, return_when=asyncio.FIRST_COMPLETED)

    def _problems(self) -> str:
        said = []
        for address, task in self._tasks.items():
            if not task.done():
                said.append(f"{address} is too slow")
            elif not task.cancelled() and task.exception() is not None:
                said.append(f"{address}: {task.exception()}")
        return "; ".join(said)

    async def _copy_to(self, address: str) -> None:
        connection = await self._peers.connect(address)
        start = await self._offset_at(connection) if self._may_ask else 0
        if start is None:
            return
        channel = connection.open(
            PutBlob(
                digest=self._digest,
                size=self._size,
                replica=True,
                offset=start,
                after=self._after if self._may_ask else 0,
            )
        )
        try:
            try:
                await self._send(channel, start)
            except ConnectionLost:
                if connection.is_closed:
                    raise  # else the answer came early: it has the blob already
            await channel.result(_COPY_TIMEOUT_S)
        finally:
            channel.cancel()

    async def _offset_at(self, connection: Connection) -> int | None:
        """How much of it the other master has; None when that is all."""
        question = BlobOffset(digest=self._digest, size=self._size, after=self._after)
        answer = await connection.call(question, timeout_s=BLOB_STALL_S)
        if not isinstance(answer, BlobAt):
            raise ProtocolError(f"expected BlobAt, got {type(answer).__name__}")
        return None if answer.offset >= self._size and answer.is_whole else answer.offset

    async def _send(self, channel: Channel, start: int) -> None:
        at = start
        while at < self._size:
            await self._growth.beyond(at)
            wanted = min(CHUNK_BYTES, self._growth.written - at)
            piece = await undisturbed(os.pread, self._growth.fd, wanted, at)
            await channel.send(piece)
            at += len(piece)
        await channel.finish()


def _is_good(task: asyncio.Task[None]) -> bool:
    if not task.done() or task.cancelled():
        return False
    error = task.exception()
    if error is not None and not isinstance(error, (TitanError, OSError)):
        raise error
    return error is None
