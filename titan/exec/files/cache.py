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
from pathlib import Path
from typing import Final

from titan.errors import Unavailable
from titan.exec.drivers import CannotStart
from titan.exec.fetching import Fetches
from titan.exec.files.download import BlobSource, download
from titan.exec.kept_folder import KeptFolder
from titan.ids import Digest, is_digest
from titan.spec.fileset import sha256_of

_PART: Final = ".part"
_Looks = tuple[int, int, int]  # inode, size, time of the last change


class FileCache:
    """See the module."""

    def __init__(self, root: Path, *, source: BlobSource, bytes_max: int) -> None:
        self._source = source
        self._kept = KeptFolder(root, bytes_max=bytes_max)
        self._seen: dict[Digest, _Looks] = {}  # as they were when they were known to be right
        self._fetches = Fetches(self._fetch, what="blob")
        self._load()

    @contextlib.asynccontextmanager
    async def use(self, digest: Digest) -> AsyncIterator[Path]:
        """The file, read-only, kept as long as the context lasts. Raises `CannotStart`, `Unavailable`."""
        with contextlib.ExitStack() as until:
            yield await self.hold(digest, until=until)

    async def hold(self, digest: Digest, *, until: contextlib.ExitStack) -> Path:
        """The same until this stack is closed."""
        if not is_digest(digest):
            raise CannotStart(f"{digest!r} is not a digest")
        while not await self._is_here(digest):
            await self._fetches.join(digest)
        return until.enter_context(self._kept.in_use(digest))

    async def adopt(self, digest: Digest, path: Path) -> None:
        """Take over a file whose SHA-256 is known and that nobody writes any more."""
        if digest in self._kept:
            return
        place = self._kept.path(digest)
        try:
            await asyncio.to_thread(_take_over, path, place)
        except OSError:
            return  # it will be fetched when it is needed
        self._keep(digest, place)
        self._make_room()

    async def close(self) -> None:
        """Stop fetching."""
        await self._fetches.close()

    @property
    def size_bytes(self) -> int:
        """What the files take."""
        return self._kept.size_bytes

    async def _is_here(self, digest: Digest) -> bool:
        """Whether the file is there and right; one that is not known to be right is checked."""
        if digest not in self._kept:
            return False
        with self._kept.in_use(digest) as path:
            looks = _looks(path)
            if looks is not None and self._seen.get(digest) == looks:
                return True
            is_right = looks is not None and await asyncio.to_thread(sha256_of, path) == digest
            if looks is not None and is_right and digest in self._kept:
                self._seen[digest] = looks
                return True
        self._drop(digest)
        return False

    # --- fetching -----------------------------------------------------------------------------

    async def _fetch(self, digest: Digest) -> None:
        place = self._kept.path(digest)
        part = place.with_suffix(_PART)
        try:
            await download(self._source, digest, part, what="blob")
            part.chmod(0o440)
            part.replace(place)
        except OSError as error:
            raise Unavailable(f"blob {digest} cannot be kept: {error.strerror}") from None
        self._keep(digest, place)
        with self._kept.in_use(digest):  # whoever waits for it has not come yet
            self._make_room()

    # --- the folder ---------------------------------------------------------------------------

    def _keep(self, digest: Digest, place: Path) -> None:
        """The right file is there."""
        status = place.stat()
        self._kept.add(digest, size_bytes=status.st_size)
        self._seen[digest] = status.st_ino, status.st_size, status.st_mtime_ns

    def _make_room(self) -> None:
        for digest in self._kept.evict():
            self._drop(digest)

    def _drop(self, digest: Digest) -> None:
        self._kept.drop(digest)
        self._seen.pop(digest, None)
        self._kept.path(digest).unlink(missing_ok=True)

    def _load(self) -> None:
        for path in sorted(self._kept.root.iterdir(), key=lambda one: one.lstat().st_atime):
            if is_digest(path.name) and path.is_file():
                self._kept.add(Digest(path.name), size_bytes=path.stat().st_size)
            elif path.suffix != _PART:
                path.unlink()


def _looks(path: Path) -> _Looks | None:
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
