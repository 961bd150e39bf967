"""What the runner has to do about an attempt's files, before it starts and after its process has ended.

Owns the order of things and their deadlines. The rest of `titan.exec.files` does the work.
"""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from titan.errors import TitanError
from titan.exec.files import inputs
from titan.exec.files.cache import FileCache
from titan.exec.files.checkpoints import Checkpoints
from titan.exec.files.links import Links
from titan.exec.files.values import CallValues, large_values
from titan.exec.workspace import Workspace, take_large_output
from titan.fsm.commands import PublishCheckpoint
from titan.ids import AttemptId, Digest
from titan.limits import FINISHING_AT_ONCE, OUTPUTS_TIMEOUT_S, UPLOAD_BYTES_PER_S_MIN
from titan.spec import fileset
from titan.spec.fileset import Incomplete
from titan.spec.manifest import Manifest
from titan.wire.messages import RunAttempt

log = logging.getLogger(__name__)

MISSING: Final = "artifact_missing"
NOT_STORED: Final = "artifacts_not_stored"


class Ending(NamedTuple):
    """What became of an ended attempt's files. `cause` is why it counts as failed because of them."""

    artifacts: Manifest | None = None
    cause: str = ""
    detail: str = ""


class AttemptFiles:
    """See the module."""

    def __init__(self, *, links: Links, cache: FileCache, scratch: Path) -> None:
        self._links = links
        self._cache = cache
        self._scratch = scratch
        self._slots = asyncio.Semaphore(FINISHING_AT_ONCE)
        self.values = CallValues(cache)
        self.checkpoints = Checkpoints(
            put=self._put, publish=self._publish, scratch=scratch / "checkpoints"
        )

    @staticmethod
    def needs_preparing(order: RunAttempt) -> bool:
        """Whether files have to be there before the process starts, besides the bundle's."""
        if order.spec.artifacts_in or order.checkpoint is not None:
            return True
        return bool(large_values(order))

    async def prepare(self, order: RunAttempt, workspace: Workspace) -> None:
        """Put the inputs and the checkpoint in place. Raises `CannotStart`, `Unavailable`, `OSError`."""
        chosen = await inputs.choose(order.spec.artifacts_in, order.inputs, cache=self._cache)
        await inputs.place(chosen, workspace.cwd, cache=self._cache)
        if order.checkpoint is not None:
            await inputs.place_all(order.checkpoint, workspace.checkpoint, cache=self._cache)
        if large_values(order):
            await self.values.bring(order)

    def starts(self, order: RunAttempt, workspace: Workspace) -> None:
        """The process is about to start."""
        is_filled = order.checkpoint is not None
        self.checkpoints.watch(order.attempt, workspace.checkpoint, is_filled=is_filled)

    def needs_finishing(self, order: RunAttempt, workspace: Workspace, *, went_well: bool) -> bool:
        """Whether files have to be stored before the attempt's end may be told."""
        if went_well:
            return bool(order.spec.artifacts_out) or workspace.has_large_output()
        return self.checkpoints.has_news(order.attempt)

    async def finish(self, order: RunAttempt, workspace: Workspace, *, went_well: bool) -> Ending:
        """Store what the attempt leaves: artifacts and a large output when it went well, else its
        checkpoint."""
        if not went_well:
            await self.checkpoints.publish(order.attempt)
            return Ending()
        async with self._slots:
            try:
                left = Manifest()
                if order.spec.artifacts_out:
                    left = await self._store_outputs(order, workspace)
                if workspace.has_large_output():
                    left = await self._store_output(order.attempt, workspace.output, left)
                return Ending(artifacts=left)
            except Incomplete as error:
                return Ending(cause=MISSING, detail=str(error))
            except (TitanError, OSError, TimeoutError) as error:
                return _not_stored(order.attempt, error)

    async def finish_call(self, attempt: AttemptId, value: Path) -> Ending:
        """Store what a call has returned, which lies in this file."""
        async with self._slots:
            try:
                return Ending(artifacts=await self._store_output(attempt, value, Manifest()))
            except (TitanError, OSError, TimeoutError) as error:
                return _not_stored(attempt, error)

    def over(self, attempt: AttemptId) -> None:
        """Nothing of the attempt is left."""
        self.checkpoints.forget(attempt)
        self.values.let_go(attempt)

    async def _store_outputs(self, order: RunAttempt, workspace: Workspace) -> Manifest:
        found = await asyncio.to_thread(fileset.find, workspace.cwd, order.spec.artifacts_out)
        size = sum(one.size for one in found)
        async with asyncio.timeout(OUTPUTS_TIMEOUT_S + size / UPLOAD_BYTES_PER_S_MIN):
            entries = await asyncio.to_thread(fileset.hashed, found)
            scratch = self._scratch / f"out-{order.attempt}"
            scratch.mkdir(parents=True, exist_ok=True)
            try:
                return await fileset.store(found, entries, put=self._put, scratch=scratch)
            finally:
                scratch.rmdir()

    async def _store_output(self, attempt: AttemptId, output: Path, beside: Manifest) -> Manifest:
        """The manifest with the output, which is too large for the state."""
        self._scratch.mkdir(parents=True, exist_ok=True)
        copy = self._scratch / f"output-{attempt}"
        try:
            await asyncio.to_thread(take_large_output, output, copy)
            size = copy.stat().st_size
            digest = Digest(await asyncio.to_thread(fileset.sha256_of, copy))
            async with asyncio.timeout(OUTPUTS_TIMEOUT_S + size / UPLOAD_BYTES_PER_S_MIN):
                await self._put(digest, copy)
        finally:
            copy.unlink(missing_ok=True)
        return msgspec.structs.replace(beside, output=digest, output_size=size)

    async def _put(self, digest: Digest, path: Path) -> None:
        await self._links.upload(digest, path)
        await self._cache.adopt(digest, path)

    async def _publish(self, command: PublishCheckpoint) -> object:
        return await self._links.write(command, attempt=command.attempt)


def _not_stored(attempt: AttemptId, error: Exception) -> Ending:
    log.warning("what attempt %d leaves: %s", attempt, error)
    return Ending(cause=NOT_STORED, detail=str(error) or "it took too long")
