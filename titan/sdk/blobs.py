"""Uploading blobs: content-addressed, streamed, and only what the cluster does not hold."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import IO

from titan.errors import ConnectionLost, TimedOut
from titan.ids import Digest
from titan.limits import CHUNK_BYTES, UPLOAD_BYTES_PER_S_MIN
from titan.sdk.core import Core
from titan.sdk.packing import digest_of
from titan.spec.bundle import Bundle, bundle_project
from titan.wire.connection import Connection
from titan.wire.messages import BlobList, BlobMissing, PutBlob


class BlobsApi(Core):
    """Files of a client."""

    async def upload_file(self, path: str | os.PathLike[str]) -> str:
        """Store one file in the cluster; answers its digest. What is there already is not sent."""
        file = Path(path)
        digest = await asyncio.to_thread(digest_of, file)
        with await asyncio.to_thread(file.open, "rb") as stream:
            await self._put(digest, os.fstat(stream.fileno()).st_size, lambda: _rewound(stream))
        return digest

    async def upload_project_folder(self, folder: str | os.PathLike[str]) -> str:
        """Pack a folder as a pipeline's project is packed and store it; answers its digest.

        Jobs use it by `TitanJob(..., bundle=digest)`. Raises as `titan.spec.bundle.bundle_project`.
        """
        with await asyncio.to_thread(bundle_project, folder) as bundle:
            await self._put_bundle(bundle)
            return bundle.digest

    async def _put_bundle(self, bundle: Bundle) -> None:
        await self._put(bundle.digest, bundle.size, bundle.rewind)

    async def _put(self, digest: Digest, size: int, open_again: Callable[[], IO[bytes]]) -> None:
        """Send a blob unless the cluster holds it; from its beginning again after a failure."""
        time_s = self._transport.deadline_s + size / UPLOAD_BYTES_PER_S_MIN

        async def put(connection: Connection, left_s: float) -> None:
            missing = await connection.call(
                BlobMissing(digests=(digest,)), timeout_s=self._transport.try_s(left_s)
            )
            if isinstance(missing, BlobList) and not missing.digests:
                return
            await _send(connection, PutBlob(digest=digest, size=size), open_again(), left_s=left_s)

        await self._transport.retry(put, timeout_s=time_s)


async def _send(
    connection: Connection, message: PutBlob, stream: IO[bytes], *, left_s: float
) -> None:
    channel = connection.open(message)
    try:
        async with asyncio.timeout(left_s):
            while piece := await asyncio.to_thread(stream.read, CHUNK_BYTES):
                await channel.send(piece)
            await channel.finish()
    except TimeoutError:
        channel.cancel()
        raise TimedOut(f"{connection.remote} took the upload too slowly") from None
    except ConnectionLost:
        if connection.is_closed:
            raise  # else the answer came early: somebody else has just sent the same blob
    try:
        await channel.result(left_s)
    finally:
        channel.cancel()


def _rewound(stream: IO[bytes]) -> IO[bytes]:
    stream.seek(0)
    return stream
