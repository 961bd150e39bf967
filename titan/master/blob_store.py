"""The blob files of one master: whole ones under their digest, each with a checksum of every block.

Nothing leaves this module that is not what its digest says: each block is checked against its CRC-32 as
it is read, and when one differs, the SHA-256 of the whole file decides. A damaged file is put aside and
counts as missing from then on. The receiver checks the SHA-256 once more.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import struct
import zlib
from collections.abc import AsyncGenerator, Iterator
from pathlib import Path
from typing import Final

from titan.errors import DiskFull, NotFound, UserError
from titan.ids import Digest, is_digest
from titan.limits import (
    BLOB_BLOCK_BYTES,
    CHUNK_BYTES,
    DISK_RESERVE_BYTES,
    QUARANTINE_FILES_MAX,
)
from titan.master.in_threads import undisturbed

log = logging.getLogger(__name__)

_SUM: Final = struct.Struct("<I")
_SUMS_SUFFIX: Final = ".sums"
_QUARANTINE: Final = "quarantine"


class BlobDamaged(NotFound):
    """This master's copy of the blob is damaged and has been put aside."""


class BlobStore:
    """The files: `blobs/ab/abcdef…` and its checksums in `blobs/ab/abcdef….sums`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.sent_bytes = 0  # since the process began
        folder.mkdir(parents=True, exist_ok=True)
        for leftover in folder.glob("*.part"):  # of versions that began every upload anew
            leftover.unlink()

    @property
    def partials(self) -> Path:
        """The folder of uploads that are not complete."""
        return self._folder / "partial"

    def path(self, digest: Digest) -> Path:
        """Where the blob is, or would be."""
        if not is_digest(digest):
            raise UserError(f"{digest!r} is not a digest: 64 hex digits are expected")
        return self._folder / digest[:2] / digest

    def has(self, digest: Digest) -> bool:
        """Whether this master holds it."""
        return self.path(digest).is_file()

    def check_room(self, size: int) -> None:
        """Raise `DiskFull` when another `size` bytes would eat the reserve."""
        disk = os.statvfs(self._folder)
        if disk.f_bavail * disk.f_frsize < size + DISK_RESERVE_BYTES:
            raise DiskFull(f"no room for a blob of {size} bytes", hint="free space on the masters")

    # --- writing ------------------------------------------------------------------------------

    def settle(self, part: Path, digest: Digest, sums: bytes) -> None:
        """Take a complete, checked and durable file into the store. Blocks; for a thread."""
        path = self.path(digest)
        path.parent.mkdir(exist_ok=True)
        _sums_of(path).write_bytes(sums)
        part.replace(path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def delete(self, digest: Digest) -> None:
        """Remove a blob, if it is there. Blocks a little."""
        path = self.path(digest)
        path.unlink(missing_ok=True)
        _sums_of(path).unlink(missing_ok=True)

    def all_older_than(self, at_s: float) -> Iterator[Digest]:
        """Blobs whose files were last written before `at_s`. Blocks; for a thread."""
        for folder in self._folder.iterdir():
            if len(folder.name) == 2 and folder.is_dir():
                for path in folder.iterdir():
                    if is_digest(path.name) and path.stat().st_mtime < at_s:
                        yield Digest(path.name)

    # --- reading ------------------------------------------------------------------------------

    async def read(
        self, digest: Digest, *, offset: int = 0, length: int = 0
    ) -> AsyncGenerator[bytes, None]:
        """Checked bytes from `offset`, `length` of them or all, in chunks.

        Raises `NotFound`, and `BlobDamaged` in front of the first byte that is not as it was stored.
        """
        path = self.path(digest)
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            raise NotFound(f"this master does not hold the blob {digest[:12]}…") from None
        try:
            size = os.fstat(fd).st_size
            end = min(size, offset + length) if length else size
            sums = await asyncio.to_thread(self._sums, path)
            at = max(offset, 0)
            while at < end:
                number = at // BLOB_BLOCK_BYTES
                block = await undisturbed(_checked_block, fd, number, sums)
                if block is None:
                    block = await asyncio.to_thread(self._doubt, path, digest, number)
                start = number * BLOB_BLOCK_BYTES
                if start + len(block) <= at:  # shorter than it was when it was stored
                    raise self._put_aside(path, digest)
                for piece in _pieces(block, at - start, end - start):
                    self.sent_bytes += len(piece)
                    yield piece
                at = start + len(block)
        finally:
            os.close(fd)

    def _sums(self, path: Path) -> bytes:
        try:
            return _sums_of(path).read_bytes()
        except FileNotFoundError:
            return b""

    def _doubt(self, path: Path, digest: Digest, number: int) -> bytes:
        """A block is not as its checksum says: the file is judged as a whole."""
        with path.open("rb") as file:
            is_sound = hashlib.file_digest(file, "sha256").hexdigest() == digest
            if not is_sound:
                raise self._put_aside(path, digest)
            file.seek(0)
            sums = bytearray()
            while block := file.read(BLOB_BLOCK_BYTES):
                sums += _SUM.pack(zlib.crc32(block))
            _sums_of(path).write_bytes(sums)
            file.seek(number * BLOB_BLOCK_BYTES)
            return file.read(BLOB_BLOCK_BYTES)

    def _put_aside(self, path: Path, digest: Digest) -> BlobDamaged:
        aside = self._folder / _QUARANTINE
        aside.mkdir(exist_ok=True)
        kept = sorted(aside.iterdir(), key=lambda one: one.stat().st_mtime)
        for old in kept[: max(0, len(kept) - QUARANTINE_FILES_MAX + 1)]:
            old.unlink(missing_ok=True)
        try:
            path.rename(aside / digest)
        except FileNotFoundError:
            pass  # another reader was faster
        _sums_of(path).unlink(missing_ok=True)
        log.error("blob %s is damaged on this disk; it is in %s now", digest, aside)
        return BlobDamaged(f"this master's copy of the blob {digest[:12]}… is damaged")


class Summing:
    """The SHA-256 of a stream and the CRC-32 of each of its blocks, as it comes."""

    def __init__(self) -> None:
        self._sha = hashlib.sha256()
        self._sums = bytearray()
        self._crc = 0
        self._in_block = 0

    def update(self, data: bytes | memoryview) -> None:
        """The next bytes."""
        self._sha.update(data)
        view = memoryview(data)
        while view:
            part = view[: BLOB_BLOCK_BYTES - self._in_block]
            self._crc = zlib.crc32(part, self._crc)
            self._in_block += len(part)
            view = view[len(part) :]
            if self._in_block == BLOB_BLOCK_BYTES:
                self._close_block()

    @property
    def digest(self) -> str:
        """Of all so far."""
        return self._sha.hexdigest()

    def sums(self) -> bytes:
        """The checksums of all blocks; the stream is over."""
        if self._in_block:
            self._close_block()
        return bytes(self._sums)

    def _close_block(self) -> None:
        self._sums += _SUM.pack(self._crc)
        self._crc = self._in_block = 0


def _sums_of(path: Path) -> Path:
    return path.with_name(path.name + _SUMS_SUFFIX)


def _checked_block(fd: int, number: int, sums: bytes) -> bytes | None:
    """A block, None when it is not what its checksum says."""
    block = os.pread(fd, BLOB_BLOCK_BYTES, number * BLOB_BLOCK_BYTES)
    at = number * _SUM.size
    known = sums[at : at + _SUM.size]
    if len(known) == _SUM.size and _SUM.unpack(known)[0] == zlib.crc32(block):
        return block
    return None


def _pieces(block: bytes, start: int, end: int) -> Iterator[bytes]:
    view = memoryview(block)[start:end]
    for at in range(0, len(view), CHUNK_BYTES):
        yield bytes(view[at : at + CHUNK_BYTES])
