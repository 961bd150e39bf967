"""Blobs of a client: content-addressed, streamed, resumed where they were cut off, checked."""

from __future__ import annotations

import asyncio
import hashlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import IO

from titan.errors import Conflict, Unavailable
from titan.ids import Digest
from titan.limits import UPLOAD_BYTES_PER_S_MIN
from titan.sdk.core import Core
from titan.sdk.packing import digest_of
from titan.spec.bundle import Bundle
from titan.wire.blob_transfer import upload
from titan.wire.connection import Connection
from titan.wire.messages import GetBlob, Message

_DAMAGED_MAX = 3  # downloads that arrive damaged


class BlobsApi(Core):
    """Files of a client, by digest."""

    bytes_uploaded = 0  # of blobs, since the client was made; what the cluster had is not sent

    async def _put_file(self, path: str | os.PathLike[str]) -> tuple[Digest, int]:
        """Store one file in the cluster; its digest and size. What is there already is not sent."""
        file = Path(path)
        digest = await asyncio.to_thread(digest_of, file)
        with await asyncio.to_thread(file.open, "rb") as stream:
            size = os.fstat(stream.fileno()).st_size
            await self._put(digest, size, lambda: stream)
        return digest, size

    async def _put_bundle(self, bundle: Bundle) -> None:
        await self._put(bundle.digest, bundle.size, bundle.rewind)

    async def _put(self, digest: Digest, size: int, stream: Callable[[], IO[bytes]]) -> None:
        """Send a blob unless the cluster holds it; after a failure, what the next master lacks."""
        time_s = self._transport.deadline_s + size / UPLOAD_BYTES_PER_S_MIN

        async def put(connection: Connection, left_s: float) -> None:
            self.bytes_uploaded += await upload(
                connection,
                digest,
                size,
                stream(),
                timeout_s=left_s,
                question_s=self._transport.try_s(left_s),
            )

        await self._transport.retry(put, timeout_s=time_s)

    async def _get(
        self, digest: Digest, path: Path, *, offset: int = 0, length: int = 0, mode: int = 0o644
    ) -> None:
        """Bring a blob, or a piece of one, to `path`; a whole one is checked. Nobody sees half of it.

        Raises `NotFound`, `Unavailable`, `OSError`.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:100]}.")
        part = Path(name)
        try:
            with os.fdopen(handle, "wb") as file:
                for _ in range(_DAMAGED_MAX):
                    await self._download(digest, file, offset=offset, length=length)
                    if length or await asyncio.to_thread(digest_of, part) == digest:
                        break
                    file.truncate(0)
                    file.seek(0)
                else:
                    raise Unavailable(f"blob {digest[:12]}… arrives damaged")
            part.chmod(mode & 0o777)
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)

    async def _download(self, digest: Digest, file: IO[bytes], *, offset: int, length: int) -> None:
        got = 0

        def request() -> Message:
            left = length - got if length else 0
            return GetBlob(digest=digest, offset=offset + got, length=left)

        async for piece in self._transport.stream(request):
            if isinstance(piece, bytes):
                await asyncio.to_thread(file.write, piece)
                got += len(piece)
                if got == length:
                    break
        file.flush()

    async def _fetched(self, digest: Digest) -> bytes:
        """A whole blob that may be large, checked; on its way it is a file."""
        with tempfile.TemporaryDirectory(prefix="titan-output-") as folder:
            file = Path(folder) / "output"
            await self._get(digest, file)
            return await asyncio.to_thread(file.read_bytes)

    async def _load(self, digest: Digest) -> bytes:
        """A whole small blob, checked."""
        for _ in range(_DAMAGED_MAX):
            got = b""

            def request(at: int = 0) -> Message:
                return GetBlob(digest=digest, offset=at)

            async for piece in self._transport.stream(request):
                if isinstance(piece, bytes):
                    got += piece
            if hashlib.sha256(got).hexdigest() == digest:
                return got
        raise Conflict(f"blob {digest[:12]}… arrives damaged", reason="digest_mismatch")
