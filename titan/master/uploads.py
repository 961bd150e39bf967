"""Blobs on their way in: files that grow, one per digest, and go on where they were cut off.

Owns `blobs/partial/`. What has come of a blob stays there when its sender goes away, for an hour, also
through a restart of this master; whoever sends the same blob goes on behind it. A complete file is
believed only when its SHA-256 is its name, and settles in the store when it is durable.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

from titan.errors import Conflict, LimitExceeded, TimedOut
from titan.ids import Digest, is_digest
from titan.limits import (
    BLOB_BLOCK_BYTES,
    BLOB_STALL_S,
    PARTIAL_AGE_S,
    PARTIALS_IDLE_BYTES_MAX,
    PARTIALS_MAX,
)
from titan.master.blob_store import BlobStore, Summing
from titan.master.in_threads import undisturbed

log = logging.getLogger(__name__)

OFFSET_MISMATCH: Final = "offset_mismatch"
DIGEST_MISMATCH: Final = "digest_mismatch"


class Growth:
    """How far a file has grown, for those who pass it on while it does."""

    def __init__(self) -> None:
        self.written = -1  # nothing is known yet
        self.fd = -1
        self._changed = asyncio.Event()

    def begin(self, path: Path, written: int) -> None:
        """The bytes are in this file, which may be renamed from now on."""
        self.fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self.reach(written)

    def close(self) -> None:
        """Nobody reads it any more."""
        if self.fd >= 0:
            os.close(self.fd)

    def reach(self, written: int) -> None:
        """So much is there now."""
        self.written = written
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    async def beyond(self, offset: int) -> None:
        """Wait until there is more than `offset` bytes."""
        while self.written <= offset:
            await self._changed.wait()


class Uploads:
    """See the module."""

    def __init__(self, store: BlobStore) -> None:
        self._store = store
        self._locks: dict[Digest, tuple[asyncio.Lock, int]] = {}  # with how many want it
        self.received_bytes = 0  # since the process began
        store.partials.mkdir(exist_ok=True)

    def path(self, digest: Digest) -> Path:
        """Where the part of the blob is that has come."""
        self._store.path(digest)  # refuses what is no digest
        return self._store.partials / digest

    def offset(self, digest: Digest) -> int:
        """How many bytes of the blob are here."""
        for path in (self._store.path(digest), self.path(digest)):
            with contextlib.suppress(FileNotFoundError):
                return path.stat().st_size
        return 0

    def is_receiving(self, digest: Digest) -> bool:
        """Whether somebody sends this blob now."""
        return digest in self._locks

    async def receive(
        self,
        digest: Digest,
        size: int,
        pieces: AsyncIterator[bytes],
        *,
        offset: int = 0,
        growth: Growth | None = None,
    ) -> None:
        """Store a stream that begins at `offset` of the blob; a second sender waits for the first.

        Raises `Conflict` when `offset` is behind what is here, or when the bytes are not those of
        `digest`; `DiskFull`. When the stream is cut off, what has come stays.
        """
        async with self._alone(digest):
            if self._store.has(digest):  # the sender before this one was faster
                if growth is not None:
                    growth.begin(self._store.path(digest), size)
                return
            self._store.check_room(size - offset)
            await asyncio.to_thread(self._make_room)
            part = _Part(self.path(digest), offset)
            try:
                await undisturbed(part.open)
                if growth is not None:
                    growth.begin(part.path, part.size)
                await self._copy(part, pieces, size=size, growth=growth)
                await self._finish(part, digest, size=size)
            finally:
                part.close()

    async def _copy(
        self, part: _Part, pieces: AsyncIterator[bytes], *, size: int, growth: Growth | None
    ) -> None:
        while True:
            try:
                async with asyncio.timeout(BLOB_STALL_S):
                    piece = await anext(pieces)
            except StopAsyncIteration:
                return
            except TimeoutError:
                raise TimedOut("the sender of a blob has stopped sending") from None
            if part.size + len(piece) > size:
                part.path.unlink(missing_ok=True)
                raise LimitExceeded(f"the upload is larger than the {size} bytes it announced")
            await undisturbed(part.append, piece)
            self.received_bytes += len(piece)
            if growth is not None:
                growth.reach(part.size)

    async def _finish(self, part: _Part, digest: Digest, *, size: int) -> None:
        if part.size != size or part.summing.digest != digest:
            part.path.unlink(missing_ok=True)
            raise Conflict(
                f"the upload does not match its digest ({part.size} of {size} bytes came)",
                reason=DIGEST_MISMATCH,
                hint="the file changed while it was read; send it again",
            )
        await undisturbed(part.sync)
        await asyncio.to_thread(self._store.settle, part.path, digest, part.summing.sums())

    @contextlib.asynccontextmanager
    async def _alone(self, digest: Digest) -> AsyncIterator[None]:
        lock, users = self._locks.get(digest, (asyncio.Lock(), 0))
        self._locks[digest] = (lock, users + 1)
        try:
            async with lock:
                yield
        finally:
            users = self._locks[digest][1] - 1
            if users:
                self._locks[digest] = (lock, users)
            else:
                del self._locks[digest]

    def _make_room(self) -> None:
        """Drop parts that nobody sends to any more when they are old, too many or too large."""
        found: list[tuple[float, int, Path]] = []
        for path in self._store.partials.iterdir():
            with contextlib.suppress(FileNotFoundError):
                seen = path.stat()
                if not is_digest(path.name):
                    path.unlink()
                elif Digest(path.name) not in self._locks:
                    found.append((seen.st_mtime, seen.st_size, path))
        found.sort()
        kept_bytes = sum(size for _, size, _ in found)
        too_many = len(found) - PARTIALS_MAX
        too_old_s = time.time() - PARTIAL_AGE_S
        for number, (written_s, size, path) in enumerate(found):
            if written_s < too_old_s or number < too_many or kept_bytes > PARTIALS_IDLE_BYTES_MAX:
                path.unlink(missing_ok=True)
                kept_bytes -= size


class _Part:
    """A partial file that is appended to, with the sums of what is in it."""

    def __init__(self, path: Path, offset: int) -> None:
        """It goes on behind the first `offset` bytes."""
        self.path = path
        self.size = offset
        self.summing = Summing()
        self._fd = -1

    def open(self) -> None:
        """Cut off what is beyond, and sum up what is there. Blocks."""
        self._fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        there = os.fstat(self._fd).st_size
        if there < self.size:
            raise Conflict(
                f"{there} bytes of this blob are here, not {self.size}", reason=OFFSET_MISMATCH
            )
        os.ftruncate(self._fd, self.size)
        for at in range(0, self.size, BLOB_BLOCK_BYTES):
            length = min(BLOB_BLOCK_BYTES, self.size - at)
            self.summing.update(os.pread(self._fd, length, at))

    def append(self, piece: bytes) -> None:
        """Add bytes. Blocks."""
        written = os.pwrite(self._fd, piece, self.size)
        if written != len(piece):
            raise OSError(f"{self.path} took {written} of {len(piece)} bytes")
        self.summing.update(piece)
        self.size += written

    def sync(self) -> None:
        """Make it durable. Blocks."""
        os.fsync(self._fd)

    def close(self) -> None:
        """Stop using it. No thread uses it now."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
