"""A blob from the masters into a file: resumed after every break, believed only with the right SHA-256."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final, Protocol

from titan.errors import NotFound, Unavailable
from titan.exec.drivers import CannotStart
from titan.ids import Digest
from titan.spec.fileset import sha256_of

log = logging.getLogger(__name__)

WRONG_MAX: Final = 3  # whole fetches that arrive damaged
FRUITLESS_MAX: Final = 20  # connections in a row that bring no byte


class BlobSource(Protocol):
    """Where blobs come from."""

    async def wait_ready(self) -> None:
        """Until there is somebody to ask."""

    def fetch(self, digest: Digest, *, offset: int) -> AsyncIterator[bytes]:
        """The blob's bytes from `offset`. Raises `NotFound`, `Unavailable`."""


async def download(
    source: BlobSource, digest: Digest, part: Path, *, what: str, bytes_max: int = 0
) -> None:
    """Complete `part`. Raises `CannotStart` when it cannot be had at all, `Unavailable` when not now."""
    for _ in range(WRONG_MAX):
        await _complete(source, digest, part, what=what, bytes_max=bytes_max)
        if await asyncio.to_thread(sha256_of, part) == digest:
            return
        log.warning("%s %s arrived damaged; fetching it again", what, digest)
        part.unlink()
    raise CannotStart(f"{what} {digest} arrives damaged: its SHA-256 is wrong")


async def _complete(
    source: BlobSource, digest: Digest, part: Path, *, what: str, bytes_max: int
) -> None:
    fruitless = 0
    while fruitless < FRUITLESS_MAX:
        await source.wait_ready()
        before = part.stat().st_size if part.exists() else 0
        try:
            await _append(source, digest, part, offset=before, what=what, bytes_max=bytes_max)
        except NotFound:
            raise CannotStart(f"the cluster does not hold {what} {digest}") from None
        except Unavailable as error:
            grown = part.exists() and part.stat().st_size > before
            fruitless = 0 if grown else fruitless + 1
            log.info("%s %s interrupted: %s", what, digest, error)
            await asyncio.sleep(0.01 * fruitless)
            continue
        return
    raise Unavailable(f"{what} {digest} could not be fetched")


async def _append(
    source: BlobSource, digest: Digest, part: Path, *, offset: int, what: str, bytes_max: int
) -> None:
    size_bytes = offset
    with part.open("ab", buffering=0) as file:
        async for piece in source.fetch(digest, offset=offset):
            size_bytes += len(piece)
            if bytes_max and size_bytes > bytes_max:
                raise CannotStart(f"{what} {digest} is larger than {bytes_max} bytes")
            await asyncio.to_thread(file.write, piece)
