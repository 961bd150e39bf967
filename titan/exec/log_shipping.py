"""Finished logs that are too large to travel with a result become blobs, so that they outlive the worker.

Owns what waits: in memory, and as an empty file beside each log, so that an earlier life's are not
forgotten. Small ones go together; a failure is tried again, and what cannot be sent for too long stays
where it is. Nothing here holds up a job or a result.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from pathlib import Path
from typing import Final, NamedTuple

from titan.errors import Conflict, TitanError
from titan.exec.files.links import Links
from titan.fsm.commands import KeepLogs
from titan.ids import AttemptId, Digest, JobId, RunId
from titan.limits import (
    LOG_PACK_ATTEMPTS_MAX,
    LOG_SHIP_BYTES,
    LOG_SHIP_TRIES_MAX,
    LOGS_UNSHIPPED_MAX,
)
from titan.spec.fileset import sha256_of
from titan.wire.log_pack import PackWriter

log = logging.getLogger(__name__)

_PENDING: Final = ".unsent"
_RETRY_S: Final = 1.0
_RETRY_CAP_S: Final = 60.0


class Finished(NamedTuple):
    """A finished log."""

    run: RunId
    job: JobId
    attempt: AttemptId
    path: Path
    size: int


class LogShipper:
    """See the module."""

    def __init__(self, links: Links, *, logs: Path, scratch: Path) -> None:
        self._links = links
        self._scratch = scratch
        self._waiting: deque[Finished] = deque()
        self._woken = asyncio.Event()
        scratch.mkdir(parents=True, exist_ok=True)
        self._load(logs)

    def add(self, finished: Finished) -> None:
        """Send this log some time."""
        if len(self._waiting) >= LOGS_UNSHIPPED_MAX:
            log.warning("too many logs wait; that of attempt %d stays here", finished.attempt)
            return
        with contextlib.suppress(OSError):
            _mark(finished.path).touch()
        self._waiting.append(finished)
        self._woken.set()

    async def run(self) -> None:
        """Send what waits, until cancelled."""
        while True:
            await self._woken.wait()
            self._woken.clear()
            while self._waiting:
                await self._send_batch(self._take_batch())

    def _take_batch(self) -> list[Finished]:
        batch = [self._waiting.popleft()]
        size = batch[0].size
        while (
            self._waiting
            and len(batch) < LOG_PACK_ATTEMPTS_MAX
            and size + self._waiting[0].size <= LOG_SHIP_BYTES
        ):
            size += self._waiting[0].size
            batch.append(self._waiting.popleft())
        return batch

    async def _send_batch(self, batch: list[Finished]) -> None:
        pause_s = _RETRY_S
        for _ in range(LOG_SHIP_TRIES_MAX):
            try:
                await self._send(batch)
            except Conflict as error:
                log.warning("the masters refuse logs: %s", error)
                return
            except (TitanError, OSError) as error:
                log.info("%d logs must wait: %s", len(batch), error)
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, _RETRY_CAP_S)
            else:
                for one in batch:
                    _mark(one.path).unlink(missing_ok=True)
                return

    async def _send(self, batch: list[Finished]) -> None:
        pack = self._scratch / "logs"
        packed = await asyncio.to_thread(_pack, batch, pack)
        if not packed:
            return
        digest = Digest(await asyncio.to_thread(sha256_of, pack))
        await self._links.upload(digest, pack)
        pack.unlink(missing_ok=True)
        await self._links.write(
            KeepLogs(
                digest=digest,
                attempts=tuple(one.attempt for one in packed),
                runs=tuple(dict.fromkeys(one.run for one in packed)),
            ),
            attempt=AttemptId(0),
        )

    def _load(self, logs: Path) -> None:
        for mark in sorted(logs.glob(f"*/*{_PENDING}")):
            path = mark.with_suffix(".log")
            job, _dot, number = path.stem.rpartition(".")
            if path.exists() and number.isdigit():
                run, attempt = RunId(path.parent.name), AttemptId(int(number))
                size = path.stat().st_size
                self._waiting.append(Finished(run, JobId(job), attempt, path, size))
                self._woken.set()
            else:
                mark.unlink()


def _mark(path: Path) -> Path:
    return path.with_suffix(_PENDING)


def _pack(batch: list[Finished], pack: Path) -> list[Finished]:
    """Write the pack; what has been removed to make room meanwhile is left out. Blocks."""
    packed = []
    with pack.open("wb") as out:
        writer = PackWriter(out)
        for one in batch:
            try:
                source = one.path.open("rb")
            except FileNotFoundError:
                continue
            with source:
                index = one.path.with_suffix(".idx")
                samples = index.read_bytes() if index.exists() else b""
                ended_ms = int(one.path.stat().st_mtime * 1000)
                writer.add(
                    source,
                    attempt=one.attempt,
                    run=one.run,
                    job=one.job,
                    ended_ms=ended_ms,
                    samples=samples,
                )
            packed.append(one)
        writer.close()
    return packed
