"""Bundles on the worker: fetched once, checked, unpacked once, shared by every attempt that needs one.

Owns the cache folder. A digest is fetched by one task however many attempts wait for it, resumed where
a broken connection left it, and believed only when its SHA-256 is right. Unpacked folders are evicted,
least recently used first, when they take more than the configured bytes and nobody uses them.
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
from titan.exec.archives import ArchiveRefused, unpack
from titan.exec.drivers import CannotStart
from titan.exec.fetching import Fetches
from titan.exec.files.download import BlobSource, download
from titan.ids import Digest, is_digest
from titan.limits import BUNDLE_BYTES_MAX

_SIZE_FILE: Final = "size"
_FILES: Final = "files"


@dataclass(slots=True)
class _Entry:
    size_bytes: int
    users: int = 0
    used: int = 0  # a counter, not a clock


class BundleCache:
    """See the module."""

    def __init__(self, root: Path, *, source: BlobSource, bytes_max: int) -> None:
        self._root = root
        self._source = source
        self._bytes_max = bytes_max
        self._entries: dict[Digest, _Entry] = {}
        self._fetches = Fetches(self._fetch, what="bundle")
        self._uses = 0
        root.mkdir(parents=True, exist_ok=True)
        self._load()

    @contextlib.asynccontextmanager
    async def use(self, digest: Digest) -> AsyncIterator[Path]:
        """The unpacked files, read-only, kept as long as the context lasts. Raises `CannotStart`."""
        if not is_digest(digest):
            raise CannotStart(f"{digest!r} is not the digest of a bundle")
        while digest not in self._entries:
            await self._fetches.join(digest)
        entry = self._entries[digest]
        self._uses += 1
        entry.used = self._uses
        entry.users += 1
        try:
            yield self._root / digest / _FILES
        finally:
            entry.users -= 1

    async def close(self) -> None:
        """Stop fetching."""
        await self._fetches.close()

    @property
    def size_bytes(self) -> int:
        """What the unpacked bundles take."""
        return sum(entry.size_bytes for entry in self._entries.values())

    # --- fetching -----------------------------------------------------------------------------

    async def _fetch(self, digest: Digest) -> None:
        part = self._root / f"{digest}.part"
        await download(self._source, digest, part, what="bundle", bytes_max=BUNDLE_BYTES_MAX)
        try:
            size_bytes = await asyncio.to_thread(_unpack_into, part, self._root / digest)
        except ArchiveRefused as error:
            raise CannotStart(f"bundle {digest}: {error}") from None
        except OSError as error:
            raise Unavailable(f"bundle {digest} cannot be unpacked: {error}") from None
        finally:
            part.unlink(missing_ok=True)
        await self._make_room(size_bytes)
        self._entries[digest] = _Entry(size_bytes)

    # --- the folder ---------------------------------------------------------------------------

    async def _make_room(self, size_bytes: int) -> None:
        by_age = sorted(self._entries.items(), key=lambda item: item[1].used)
        for digest, entry in by_age:
            if self.size_bytes + size_bytes <= self._bytes_max:
                return
            if entry.users == 0:
                del self._entries[digest]
                # Move it away first: it may be wanted, and unpacked, again while it is removed.
                gone = (self._root / digest).rename(self._root / f"{digest}.gone")
                await asyncio.to_thread(_remove, gone)

    def _load(self) -> None:
        """Take over what an earlier life unpacked; remove what it left unfinished."""
        for path in self._root.iterdir():
            if is_digest(path.name) and (path / _SIZE_FILE).exists():
                self._entries[Digest(path.name)] = _Entry(int((path / _SIZE_FILE).read_text()))
            elif path.is_dir():
                _remove(path)
            elif path.suffix != ".part":
                path.unlink()


def _unpack_into(archive: Path, place: Path) -> int:
    """Unpack beside the final place and move it there whole, so that a kill leaves no half of it."""
    fresh = place.with_suffix(".new")
    _remove(fresh)
    files = fresh / _FILES
    files.mkdir(parents=True)
    try:
        size_bytes = unpack(archive, files)
    except ArchiveRefused:
        _remove(fresh)
        raise
    _make_read_only(files)
    (fresh / _SIZE_FILE).write_text(str(size_bytes))
    fresh.replace(place)
    return size_bytes


def _make_read_only(root: Path) -> None:
    for folder, _names, files in os.walk(root):
        for name in files:
            path = Path(folder, name)
            if not path.is_symlink():
                path.chmod(path.stat().st_mode & 0o555)


def _remove(path: Path) -> None:
    shutil.rmtree(path, ignore_errors=True)
