"""Blobs on the worker: fetched once per digest, kept as long as there is room, shared by all attempts.

Owns its folder. What a job leaves is taken over without a copy, so that its children on the same worker
fetch nothing. A file that an earlier life of the worker left is checked before its first use.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from titan.errors import Unavailable
from titan.exec.drivers import CannotStart
from titan.exec.fetching import Fetches
from titan.exec.files.download import BlobSource, download
from titan.ids import Digest, is_digest
from titan.spec.fileset import sha256_of

_PART: Final = ".part"


@dataclass(slots=True)
class _Entry:
    size_bytes: int
    seen: tuple[int, int, int] | None = None  # as it was when it was known to be right
    users: int = 0
    used: int = 0  # a counter, not a clock


class FileCache:
    """See the module."""

    def __init__(self, root: Path, *, source: BlobSource, bytes_max: int) -> None:
        self._root = root
        self._source = source
        self._bytes_max = bytes_max
        self._entries: dict[Digest, _Entry] = {}
        self._fetches = Fetches(self._fetch, what="blob")
        self._uses = 0
        root.mkdir(parents=True, exist_ok=True)
        self._load()

    @contextlib.asynccontextmanager
    async def use(self, digest: Digest) -> AsyncIterator[Path]:
        """The file, read-only, kept as long as the context lasts. Raises `CannotStart`, `Unavailable`."""
        if not is_digest(digest):
            raise CannotStart(f"{digest!r} is not a digest")
        while not await self._is_here(digest):
            await self._fetches.join(digest)
        entry = self._entries[digest]
        self._touch(entry)
        entry.users += 1
        try:
            yield self._root / digest
        finally:
            entry.users -= 1

    async def adopt(self, digest: Digest, path: Path) -> None:
        """Take over a file whose SHA-256 is known and that nobody writes any more."""
        if digest in self._entries:
            return
        place = self._root / digest
        try:
            await asyncio.to_thread(_take_over, path, place)
        except OSError:
            return  # it will be fetched when it is needed
        size_bytes = place.stat().st_size
        self._entries[digest] = entry = _Entry(size_bytes, _looks(place))
        self._touch(entry)
        self._make_room()

    async def close(self) -> None:
        """Stop fetching."""
        await self._fetches.close()

    @property
    def size_bytes(self) -> int:
        """What the files take."""
        return sum(entry.size_bytes for entry in self._entries.values())

    def _touch(self, entry: _Entry) -> None:
        self._uses += 1
        entry.used = self._uses

    async def _is_here(self, digest: Digest) -> bool:
        """Whether the file is there and right; one that is not known to be right is checked."""
        entry = self._entries.get(digest)
        if entry is None:
            return False
        path = self._root / digest
        looks = _looks(path)
        if entry.seen == looks and looks is not None:
            return True
        if looks is not None and await asyncio.to_thread(sha256_of, path) == digest:
            entry.seen = looks
            return True
        self._drop(digest)
        return False

    # --- fetching -----------------------------------------------------------------------------

    async def _fetch(self, digest: Digest) -> None:
        part, place = self._root / f"{digest}{_PART}", self._root / digest
        try:
            await download(self._source, digest, part, what="blob")
            part.chmod(0o440)
            part.replace(place)
        except OSError as error:
            raise Unavailable(f"blob {digest} cannot be kept: {error.strerror}") from None
        self._entries[digest] = entry = _Entry(place.stat().st_size, _looks(place))
        self._touch(entry)
        entry.users += 1  # whoever waits for it has not come yet
        self._make_room()
        entry.users -= 1

    # --- the folder ---------------------------------------------------------------------------

    def _make_room(self) -> None:
        for digest, entry in sorted(self._entries.items(), key=lambda item: item[1].used):
            if self.size_bytes <= self._bytes_max:
                return
            if entry.users == 0:
                self._drop(digest)

    def _drop(self, digest: Digest) -> None:
        del self._entries[digest]
        (self._root / digest).unlink(missing_ok=True)

    def _load(self) -> None:
        for path in sorted(self._root.iterdir(), key=lambda one: one.lstat().st_atime):
            if is_digest(path.name) and path.is_file():
                self._entries[Digest(path.name)] = entry = _Entry(path.stat().st_size)
                self._touch(entry)
            elif path.suffix != _PART:
                path.unlink()


def _looks(path: Path) -> tuple[int, int, int] | None:
    try:
        seen = path.stat()
    except FileNotFoundError:
        return None
    return seen.st_ino, seen.st_size, seen.st_mtime_ns


def _take_over(path: Path, place: Path) -> None:
    """Link the file, or copy it when somebody else has a name for it too."""
    fresh = place.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    if path.stat().st_nlink == 1:
        os.link(path, fresh)
    else:
        shutil.copyfile(path, fresh)
    fresh.replace(place)
