"""Serving an attempt's log from its file, in bounded pieces, following it while it grows.

Keeps one piece in memory per reader and waits for the channel's window, so a slow reader costs nothing
and a fast job is never held up by anyone who watches it.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, Protocol

from titan.errors import NotFound
from titan.exec.logs import LogStore
from titan.limits import LOG_READ_BYTES
from titan.wire.log_text import Excerpt, Sample, chunks, span_of
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
    if logs.is_silent(request.run, request.job, attempt):
        return LogEnd(attempt=attempt, size=0)
    while not path.exists() and logs.is_running(attempt):  # its process is about to open it
        if not request.follow:
            return LogEnd(attempt=attempt, size=0)
        await asyncio.sleep(_POLL_S)
    if logs.is_silent(request.run, request.job, attempt):  # it has ended meanwhile
        return LogEnd(attempt=attempt, size=0)
    is_running = logs.is_running(attempt)
    fd = _open(path)
    try:
        start, end = _span(request, fd, samples=logs.samples(path), is_running=is_running)
        skip = max(request.offset, 0)
        if not request.grep:
            start, skip = start + skip, 0  # what the reader has need not be read again
        excerpt = Excerpt(text=request.grep, skip=skip)
        at = await _copy(
            fd,
            sink,
            excerpt,
            offset=start,
            end=end,
            more=lambda: request.follow and end is None and logs.is_running(attempt),
        )
    finally:
        os.close(fd)
    return LogEnd(attempt=attempt, size=excerpt.size if request.grep else at)


def _span(
    request: ReadLog, fd: int, *, samples: Sequence[Sample], is_running: bool
) -> tuple[int, int | None]:
    """From where to where to read; to None means as far as there is anything."""
    if not request.since_ms and not request.until_ms:
        return 0, None
    seen = os.fstat(fd)
    now_ms = time.time_ns() // 1_000_000
    start, end = span_of(
        samples,
        size=seen.st_size,
        ended_ms=now_ms if is_running else seen.st_mtime_ns // 1_000_000,
        since_ms=request.since_ms,
        until_ms=request.until_ms,
    )
    return start, end if request.until_ms and request.until_ms < now_ms else None


async def _copy(
    fd: int,
    sink: Sink,
    excerpt: Excerpt,
    *,
    offset: int,
    end: int | None,
    more: Callable[[], bool],
) -> int:
    """Send what is asked for of all there is; the offset behind the last byte read."""
    while True:
        # Asked before the read: what is written between the two is found by one more round.
        may_grow = more()
        room = LOG_READ_BYTES if end is None else min(LOG_READ_BYTES, max(0, end - offset))
        piece = os.pread(fd, room, offset)
        if piece:
            offset += len(piece)
            await _send(sink, excerpt.feed(piece))
        elif may_grow:
            await asyncio.sleep(_POLL_S)
        else:
            await _send(sink, excerpt.close())
            return min(offset, os.fstat(fd).st_size)


async def _send(sink: Sink, data: bytes) -> None:
    for piece in chunks(data, LOG_READ_BYTES):
        await sink.send(piece)


def _open(path: Path) -> int:
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        raise NotFound("the log has been removed to make room") from None
