"""One try at sending a blob to a master: only what it lacks, from where it has it.

Shared by clients and workers. Repeating after a failure, at this master or another one, is the caller's.
"""

from __future__ import annotations

import asyncio
from typing import IO

from titan.errors import Conflict, ConnectionLost, ProtocolError, TimedOut, Unavailable
from titan.ids import Digest
from titan.limits import CHUNK_BYTES
from titan.wire.connection import Connection
from titan.wire.messages import BlobAt, BlobList, BlobMissing, BlobOffset, PutBlob

_AGAIN = ("offset_mismatch", "digest_mismatch")  # what had come before is of no use: begin anew


async def upload(
    connection: Connection,
    digest: Digest,
    size: int,
    stream: IO[bytes],
    *,
    timeout_s: float,
    question_s: float,
) -> int:
    """Send the blob unless it is published; answers how many bytes were sent.

    `stream` can seek. Raises what may be tried again as `Unavailable`, and `Conflict` when the bytes
    are not those of `digest`.
    """
    missing = await connection.call(BlobMissing(digests=(digest,)), timeout_s=question_s)
    if isinstance(missing, BlobList) and not missing.digests:
        return 0
    at = await connection.call(BlobOffset(digest=digest, size=size), timeout_s=question_s)
    if not isinstance(at, BlobAt):
        raise ProtocolError(f"expected BlobAt, got {type(at).__name__}")
    stream.seek(at.offset)
    message = PutBlob(digest=digest, size=size, offset=at.offset)
    try:
        return await _send(connection, message, stream, timeout_s=timeout_s)
    except Conflict as error:
        if error.reason in _AGAIN and at.offset:
            raise Unavailable(f"{connection.remote} begins anew: {error}") from error
        raise


async def _send(
    connection: Connection, message: PutBlob, stream: IO[bytes], *, timeout_s: float
) -> int:
    channel = connection.open(message)
    sent = 0
    try:
        async with asyncio.timeout(timeout_s):
            while piece := await asyncio.to_thread(stream.read, CHUNK_BYTES):
                await channel.send(piece)
                sent += len(piece)
            await channel.finish()
    except TimeoutError:
        channel.cancel()
        raise TimedOut(f"{connection.remote} took the upload too slowly") from None
    except ConnectionLost:
        if connection.is_closed:
            raise  # else the answer came early: somebody else has just sent the same blob
    try:
        await channel.result(timeout_s)
    finally:
        channel.cancel()
    return sent
