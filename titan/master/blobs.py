"""Blobs: content-addressed files beside the log, never in it.

`BlobStore` owns the files of this master. `BlobKeeper` takes uploads on the leader, gives copies to
other masters until enough hold it, publishes it in the log, and fetches what this master lacks.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import tempfile
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import BinaryIO, Final

from titan.errors import (
    Conflict,
    DiskFull,
    LimitExceeded,
    NotFound,
    TitanError,
    Unavailable,
    UserError,
)
from titan.fsm.commands import PublishBlob
from titan.fsm.events import AnyEvent, BlobPublished, StateReplaced
from titan.ids import Digest, is_digest
from titan.limits import BLOBS_FETCHED_AT_ONCE, CHUNK_BYTES, DISK_RESERVE_BYTES
from titan.master.peers import Peers
from titan.master.reigns import Reigns
from titan.master.replica import Replica
from titan.wire.channel import Stream
from titan.wire.messages import GetBlob, Ok, PutBlob

log = logging.getLogger(__name__)

COPIES_MIN: Final = 2  # masters that hold a blob before its upload is acknowledged
COPY_TIMEOUT_S: Final = 120.0
FETCH_AGAIN_S: Final = 3.0  # after nobody could give a published blob


class BlobStore:
    """The blob files of one master: `blobs/ab/abcdef…`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        for leftover in folder.glob("*.part"):
            leftover.unlink()

    def path(self, digest: Digest) -> Path:
        """Where the blob is, or would be."""
        if not is_digest(digest):
            raise UserError(f"{digest!r} is not a digest: 64 hex digits are expected")
        return self._folder / digest[:2] / digest

    def has(self, digest: Digest) -> bool:
        """Whether this master holds it."""
        return self.path(digest).is_file()

    def check_room(self, size: int) -> None:
        """Raise `DiskFull` when a blob of `size` bytes would eat the reserve."""
        disk = os.statvfs(self._folder)
        if disk.f_bavail * disk.f_frsize < size + DISK_RESERVE_BYTES:
            raise DiskFull(f"no room for a blob of {size} bytes", hint="free space on the masters")

    async def write(self, digest: Digest, size: int, pieces: AsyncIterator[bytes]) -> None:
        """Store a stream whose SHA-256 must be `digest` and whose length must be `size`."""
        self.check_room(size)
        path = self.path(digest)
        handle, name = tempfile.mkstemp(dir=self._folder, suffix=".part")
        part = Path(name)
        try:
            with os.fdopen(handle, "wb") as file:
                await _copy_verified(pieces, file, digest=digest, size=size)
                await asyncio.to_thread(os.fsync, file.fileno())
            await asyncio.to_thread(_settle, part, path)
        finally:
            part.unlink(missing_ok=True)

    async def read(self, digest: Digest, *, offset: int) -> AsyncIterator[bytes]:
        """The bytes from `offset` in chunks. Raises `NotFound`."""
        try:
            file = self.path(digest).open("rb")
        except FileNotFoundError:
            raise NotFound(f"this master does not hold the blob {digest[:12]}…") from None
        with file:
            file.seek(offset)
            while chunk := await asyncio.to_thread(file.read, CHUNK_BYTES):
                yield chunk


async def _copy_verified(
    pieces: AsyncIterator[bytes], file: BinaryIO, *, digest: Digest, size: int
) -> None:
    sha, got = hashlib.sha256(), 0
    async for piece in pieces:
        got += len(piece)
        if got > size:
            raise LimitExceeded(f"the upload is larger than the {size} bytes it announced")
        sha.update(piece)
        file.write(piece)
    file.flush()
    if got != size or sha.hexdigest() != digest:
        raise Conflict(
            f"the upload does not match its digest ({got} of {size} bytes came)",
            reason="digest_mismatch",
            hint="the file changed while it was read, or the transfer was cut; send it again",
        )


def _settle(part: Path, path: Path) -> None:
    path.parent.mkdir(exist_ok=True)
    part.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


class BlobKeeper:
    """Publishes what is uploaded here and fetches what is published elsewhere."""

    def __init__(
        self, store: BlobStore, replica: Replica, reigns: Reigns, peers: Peers, *, address: str
    ) -> None:
        self.store = store
        self._replica = replica
        self._reigns = reigns
        self._peers = peers
        self._address = address
        self._fetching: dict[Digest, asyncio.Task[None]] = {}
        self._slots = asyncio.Semaphore(BLOBS_FETCHED_AT_ONCE)
        self._wanted: dict[Digest, None] = {}  # at most what the state names
        self._news = asyncio.Event()
        replica.listen(self._on_applied)

    def missing(self, digests: Sequence[Digest]) -> tuple[Digest, ...]:
        """Those that are not published."""
        blobs = self._replica.state.blobs
        return tuple(one for one in digests if one not in blobs)

    async def put(self, message: PutBlob, channel: Stream) -> Ok:
        """Take an upload, see that enough masters hold it, publish it."""
        if message.digest in self._replica.state.blobs and self.store.has(message.digest):
            async for _ in channel:
                pass  # someone else was faster; let the sender finish in peace
            return Ok()
        await self.store.write(message.digest, message.size, aiter(channel))
        if message.replica:
            return Ok()
        holders = [self._address, *await self._copy(message.digest, message.size)]
        await self._reigns.need().propose(
            PublishBlob(digest=message.digest, size=message.size, holders=tuple(holders))
        )
        return Ok()

    async def get(self, message: GetBlob, channel: Stream, *, may_fetch: bool) -> Ok:
        """Send a blob; fetch it first when only others hold it.

        Never for another master (`may_fetch`): two that lack it would wait for each other for ever.
        """
        if may_fetch and not self.store.has(message.digest):
            await self.fetch(message.digest)
        async for chunk in self.store.read(message.digest, offset=message.offset):
            await channel.send(chunk)
        return Ok()

    # --- copies -------------------------------------------------------------------------------

    async def _copy(self, digest: Digest, size: int) -> list[str]:
        needed = min(COPIES_MIN, len(self._peers.addresses) + 1) - 1
        copied: list[str] = []
        problems: list[str] = []
        for address in self._peers.addresses:
            if len(copied) == needed:
                break
            try:
                await self._send_copy(address, digest, size)
                copied.append(address)
            except TitanError as error:
                problems.append(f"{address}: {error}")
        if len(copied) < needed:
            raise Unavailable("too few masters could take a copy: " + "; ".join(problems))
        return copied

    async def _send_copy(self, address: str, digest: Digest, size: int) -> None:
        connection = await self._peers.connect(address)
        channel = connection.open(PutBlob(digest=digest, size=size, replica=True))
        async for chunk in self.store.read(digest, offset=0):
            await channel.send(chunk)
        await channel.finish()
        await channel.result(COPY_TIMEOUT_S)

    # --- fetching -----------------------------------------------------------------------------

    async def fetch(self, digest: Digest) -> None:
        """Get a published blob from another master. Concurrent callers share one transfer."""
        task = self._fetching.get(digest)
        if task is None:
            task = asyncio.create_task(self._fetch(digest), name=f"fetch blob {digest[:12]}")
            self._fetching[digest] = task
            task.add_done_callback(lambda _: self._fetching.pop(digest, None))
        await asyncio.shield(task)

    async def _fetch(self, digest: Digest) -> None:
        blob = self._replica.state.blobs.get(digest)
        if blob is None:
            raise NotFound(f"there is no blob {digest[:12]}…")
        holders = [one for one in blob.holders if one in self._peers.addresses]
        others = [one for one in self._peers.addresses if one not in holders]
        problems: list[str] = []
        async with self._slots:
            for address in (*holders, *others):
                try:
                    await self._fetch_from(address, digest, blob.size)
                    return
                except TitanError as error:
                    problems.append(f"{address}: {error}")
        raise Unavailable(f"no master could give the blob {digest[:12]}…: " + "; ".join(problems))

    async def _fetch_from(self, address: str, digest: Digest, size: int) -> None:
        connection = await self._peers.connect(address)
        channel = connection.open(GetBlob(digest=digest))
        await self.store.write(digest, size, aiter(channel))

    def _on_applied(self, index: int, events: Sequence[AnyEvent]) -> None:
        for event in events:
            if isinstance(event, BlobPublished):
                self._want(event.digest)
            elif isinstance(event, StateReplaced):
                self._want_everything()

    def _want_everything(self) -> None:
        """After a start or a snapshot: whatever was published before is only in the state."""
        for digest in self._replica.state.blobs:
            self._want(digest)

    def _want(self, digest: Digest) -> None:
        if not self.store.has(digest):
            self._wanted[digest] = None
            self._news.set()

    async def run(self) -> None:
        """Fetch what other masters publish, so that each holds everything. Until cancelled.

        What nobody could give is asked for again: a master that was replaced may be the second holder.
        """
        self._want_everything()
        while True:
            try:
                async with asyncio.timeout(FETCH_AGAIN_S if self._wanted else None):
                    await self._news.wait()
            except TimeoutError:
                pass  # those that failed are tried again
            self._news.clear()
            for digest in tuple(self._wanted):
                if await self._has_or_fetches(digest):
                    self._wanted.pop(digest, None)

    async def _has_or_fetches(self, digest: Digest) -> bool:
        if self.store.has(digest) or digest not in self._replica.state.blobs:
            return True
        try:
            await self.fetch(digest)
        except TitanError as error:
            log.warning("%s; it will be asked for again", error)
            return False
        return True
