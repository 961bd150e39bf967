"""Publishes what jobs leave in their checkpoint folders, while they run and when they have ended.

A publication is all or nothing: the files are copied, hashed and stored, and then one command makes them
the job's checkpoint. Files that have not changed are neither read nor sent again. A job writes a file
under another name beginning with a dot and renames it; such names are not looked at. What changes while it
is copied is left for the next look.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import shutil
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

from titan.errors import Conflict, TitanError
from titan.fsm.commands import PublishCheckpoint
from titan.ids import AttemptId, Digest
from titan.limits import MANIFEST_FILES_MAX
from titan.spec.fileset import Found, Look, Seen, Store, look_at, sha256_of, store
from titan.spec.manifest import FileEntry, Manifest

log = logging.getLogger(__name__)

Publish = Callable[[PublishCheckpoint], Awaitable[object]]
_NOT_LIVE: Final = "attempt_not_live"


class _Watched:
    """One attempt's folder and what was published of it."""

    def __init__(self, folder: Path, published: Look) -> None:
        self.folder = folder
        self.published = published
        self.digests: dict[Seen, Digest] = {}
        self.busy = asyncio.Lock()


class Checkpoints:
    """See the module."""

    def __init__(self, *, put: Store, publish: Publish, scratch: Path) -> None:
        self._put = put
        self._publish = publish
        self._scratch = scratch
        self._watched: dict[AttemptId, _Watched] = {}
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir(parents=True)

    def watch(self, attempt: AttemptId, folder: Path, *, is_filled: bool) -> None:
        """The attempt is about to start; what is in the folder now is what was published."""
        self._watched[attempt] = _Watched(folder, look_at(folder) if is_filled else {})

    def forget(self, attempt: AttemptId) -> None:
        """The attempt is over."""
        self._watched.pop(attempt, None)

    def has_news(self, attempt: AttemptId) -> bool:
        """Whether the folder is not as it was published. Cheap for a folder that is empty."""
        watched = self._watched.get(attempt)
        if watched is None:
            return False
        with contextlib.suppress(OSError):
            return look_at(watched.folder) != watched.published
        return False

    async def run(self, *, period_s: float) -> None:
        """Publish what has changed, again and again, until cancelled."""
        while True:
            await asyncio.sleep(period_s)
            for attempt in list(self._watched):
                if self.has_news(attempt):
                    await self.publish(attempt)

    async def publish(self, attempt: AttemptId) -> bool:
        """Publish the folder as it is now; whether that worked. A failure is tried at the next look."""
        watched = self._watched.get(attempt)
        if watched is None:
            return False
        async with watched.busy:
            try:
                return await self._publish_now(attempt, watched)
            except Conflict as error:
                if error.reason == _NOT_LIVE:
                    self.forget(attempt)
                log.warning("the checkpoint of attempt %d is refused: %s", attempt, error)
            except (TitanError, OSError) as error:
                log.warning("the checkpoint of attempt %d must wait: %s", attempt, error)
        return False

    async def _publish_now(self, attempt: AttemptId, watched: _Watched) -> bool:
        taken_ms = time.time_ns() // 1_000_000
        look = await asyncio.to_thread(look_at, watched.folder)
        if look == watched.published:
            return True
        scratch = self._scratch / str(attempt)
        scratch.mkdir(exist_ok=True)
        try:
            taken = await asyncio.to_thread(_take, watched, look, scratch)
            manifest = await self._store(watched, look, taken, scratch)
        finally:
            await asyncio.to_thread(shutil.rmtree, scratch, ignore_errors=True)
        await self._publish(
            PublishCheckpoint(attempt=attempt, manifest=manifest, taken_ms=taken_ms)
        )
        watched.published = look
        watched.digests = {seen: taken[path].digest for path, seen in look.items()}
        return True

    async def _store(
        self, watched: _Watched, look: Look, taken: dict[str, FileEntry], scratch: Path
    ) -> Manifest:
        entries = [taken[path] for path in sorted(look)]
        sources = [
            Found(
                path,
                copy if (copy := _copy_of(scratch, look[path])).exists()
                else watched.folder / path,
                look[path].mode,
                look[path].size,
                taken[path].is_folder,
            )
            for path in sorted(look)
        ]  # fmt: skip
        return await store(sources, entries, put=self._put, scratch=scratch)


def _copy_of(scratch: Path, seen: Seen) -> Path:
    return scratch / str(seen.inode)


def _take(watched: _Watched, look: Look, scratch: Path) -> dict[str, FileEntry]:
    """Copy and hash what is new; raises `OSError` when something changes on the way."""
    taken: dict[str, FileEntry] = {}
    for path, seen in look.items():
        if seen.size < 0:
            taken[path] = FileEntry(path, Digest(""), 0, seen.mode)
            continue
        # A large set travels as one blob, so all of it has to be as it was hashed.
        digest = watched.digests.get(seen) if len(look) <= MANIFEST_FILES_MAX else None
        if digest is None:
            copy = _copy_of(scratch, seen)
            shutil.copyfile(watched.folder / path, copy, follow_symlinks=False)
            digest = Digest(sha256_of(copy))
        taken[path] = FileEntry(path, digest, seen.size, seen.mode)
    if look_at(watched.folder) != look:
        raise OSError("it changes while it is copied")
    return taken
