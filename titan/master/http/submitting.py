"""From declared jobs to a run: the bundle into the blob keeper, the jobs into the log, in parts when
they are many. The same steps as the SDK's `runs.py`, taken by a master for who speaks HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from titan.errors import Conflict
from titan.fsm.commands import SubmitRun
from titan.fsm.submission import split
from titan.ids import Digest, RunId
from titan.limits import CHUNK_BYTES
from titan.master.http.api import Api
from titan.spec.bundle import Bundle
from titan.wire.channel import Stream
from titan.wire.messages import GetBlob, PutBlob

_BLOB_TIMEOUT_S = 60.0


class _Pieces(Stream):
    """The bytes of a bundle, as the keeper reads an upload."""

    def __init__(self, bundle: Bundle) -> None:
        self._stream = bundle.rewind()

    async def send(self, piece: bytes) -> None:
        """Nobody listens."""

    async def finish(self) -> None:
        """Nobody listens."""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while piece := await asyncio.to_thread(self._stream.read, CHUNK_BYTES):
            yield piece


class _Collector(Stream):
    """What a blob holds, up to a bound."""

    def __init__(self, *, bytes_max: int) -> None:
        self.data = bytearray()
        self._bytes_max = bytes_max

    async def send(self, piece: bytes) -> None:
        """One piece of it."""
        self.data += piece
        if len(self.data) > self._bytes_max:
            raise Conflict("the blob is larger than a page takes", reason="too_large")

    async def finish(self) -> None:
        """All is here."""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        return
        yield b""  # makes this a generator


async def store(api: Api, bundle: Bundle) -> Digest:
    """See that the cluster holds the bundle."""
    message = PutBlob(digest=bundle.digest, size=bundle.size)
    async with asyncio.timeout(_BLOB_TIMEOUT_S):
        await api.gateway.channel(message, _Pieces(bundle), forwarded=False)
    return bundle.digest


async def load(api: Api, digest: Digest, *, bytes_max: int, length: int = 0) -> bytes:
    """A blob's bytes, or its first `length`. Raises `Conflict` (`too_large`), `NotFound`."""
    collector = _Collector(bytes_max=bytes_max)
    async with asyncio.timeout(_BLOB_TIMEOUT_S):
        message = GetBlob(digest=digest, length=length)
        await api.gateway.channel(message, collector, forwarded=False)
    return bytes(collector.data)


async def submit(api: Api, order: SubmitRun, *, key: str) -> tuple[RunId, int]:
    """Create the run; with a `key`, a repeat answers the first one's id. Also the index of the log.

    Parts carry the run's own id in their keys: a repeat draws another id and stages anew, and only
    the order that makes a run visible is the same one.
    """
    submission = split(order)
    for stage in submission.stages:
        await api.write(stage, key=f"{key}/{order.run}/{stage.part}" if key else "")
    done = await api.write(submission.final, key=key)
    return RunId(done.value or order.run), done.index
