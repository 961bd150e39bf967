"""Serving an attempt's log from its file, in bounded pieces, following it while it grows.

Keeps one piece in memory per reader and waits for the channel's window, so a slow reader costs nothing
and a fast job is never held up by anyone who watches it.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol

from titan.errors import NotFound
from titan.exec.logs import LogStore
from titan.limits import LOG_READ_BYTES
from titan.wire.messages import LogEnd, ReadLog

_POLL_S: Final = 0.05  # how late a follower may see a line


class Sink(Protocol):
    """Where pieces go: a channel."""

    async def send(self, piece: bytes) -> None:
        """Take a piece; waits while the other side does not read."""


async def serve_log(request: ReadLog, sink: Sink, *, logs: LogStore) -> LogEnd:
    """Send the log from `request.offset`; with `follow`, until the attempt has ended.

    Raises `NotFound` when this worker has no such log.
    """
    attempt, path = logs.find(request.run, request.job, request.attempt)
    while not path.exists() and logs.is_running(attempt):  # its process is about to open it
        if not request.follow:
            return LogEnd(attempt=attempt, size=0)
        await asyncio.sleep(_POLL_S)
    fd = _open(path)
    try:
        offset = max(request.offset, 0)
        offset = await _copy(
            fd, sink, offset=offset, more=lambda: request.follow and logs.is_running(attempt)
        )
    finally:
        os.close(fd)
    return LogEnd(attempt=attempt, size=offset)


async def _copy(fd: int, sink: Sink, *, offset: int, more: Callable[[], bool]) -> int:
    """Send all there is; the offset behind the last byte sent."""
    while True:
        # Asked before the read: what is written between the two is found by one more round.
        may_grow = more()
        piece = os.pread(fd, LOG_READ_BYTES, offset)
        if piece:
            offset += len(piece)
            await sink.send(piece)
        elif may_grow:
            await asyncio.sleep(_POLL_S)
        else:
            return min(offset, os.fstat(fd).st_size)


def _open(path: Path) -> int:
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        raise NotFound("the log has been removed to make room") from None
