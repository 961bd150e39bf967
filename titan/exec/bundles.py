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
from pathlib import Path
from typing import Final

from titan.errors import Unavailable
from titan.exec.archives import ArchiveRefused, unpack
from titan.exec.drivers import CannotStart
from titan.exec.fetching import Fetches
from titan.exec.files.download import BlobSource, download
from titan.exec.kept_folder import KeptFolder
from titan.ids import Digest, is_digest
from titan.limits import BUNDLE_BYTES_MAX

_SIZE_FILE: Final = "size"
_FILES: Final = "files"


class BundleCache:
    """See the module."""

    def __init__(self, root: Path, *, source: BlobSource, bytes_max: int) -> None:
        self._source = source
        self._kept = KeptFolder(root, bytes_max=bytes_max)
        self._fetches = Fetches(self._fetch, what="bundle")
        self._load()

    @contextlib.asynccontextmanager
    async def use(self, digest: Digest) -> AsyncIterator[Path]:
        """The unpacked files, read-only, kept as long as the context lasts. Raises `CannotStart`."""
        if not is_digest(digest):
            raise CannotStart(f"{digest!r} is not the digest of a bundle")
        while digest not in self._kept:
            await self._fetches.join(digest)
        with self._kept.in_use(digest) as folder:
            yield folder / _FILES

    def size_of(self, digest: Digest) -> int:
        """What the files of a bundle take, 0 when it is not here."""
        return self._kept.size_of(digest)

    async def close(self) -> None:
        """Stop fetching."""
        await self._fetches.close()

    @property
    def size_bytes(self) -> int:
        """What the unpacked bundles take."""
        return self._kept.size_bytes

    # --- fetching -----------------------------------------------------------------------------

    async def _fetch(self, digest: Digest) -> None:
        place = self._kept.path(digest)
        part = place.with_suffix(".part")
        await download(self._source, digest, part, what="bundle", bytes_max=BUNDLE_BYTES_MAX)
        try:
            size_bytes = await asyncio.to_thread(_unpack_into, part, place)
        except ArchiveRefused as error:
            raise CannotStart(f"bundle {digest}: {error}") from None
        except OSError as error:
            raise Unavailable(f"bundle {digest} cannot be unpacked: {error}") from None
        finally:
            part.unlink(missing_ok=True)
        await self._make_room(size_bytes)
        self._kept.add(digest, size_bytes=size_bytes)

    # --- the folder ---------------------------------------------------------------------------

    async def _make_room(self, size_bytes: int) -> None:
        for digest in self._kept.evict(more_bytes=size_bytes):
            # Move it away first: it may be wanted, and unpacked, again while it is removed.
            place = self._kept.path(digest)
            gone = place.rename(place.with_suffix(".gone"))
            await asyncio.to_thread(_remove, gone)

    def _load(self) -> None:
        """Take over what an earlier life unpacked; remove what it left unfinished."""
        for path in self._kept.root.iterdir():
            if is_digest(path.name) and (path / _SIZE_FILE).exists():
                size_bytes = int((path / _SIZE_FILE).read_text())
                self._kept.add(Digest(path.name), size_bytes=size_bytes)
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
