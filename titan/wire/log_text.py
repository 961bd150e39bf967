"""Choosing from a log: the lines that hold a text, and the bytes of a span of time.

Shared by whoever has the log, so that only what is asked for travels. The time index is a list of samples:
at that moment the log had so many bytes. Between samples nobody knows, so a span shows a little too much
rather than too little.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from titan.limits import LOG_LINE_BYTES_MAX

SAMPLE: Final = struct.Struct("<QQ")  # wall-clock ms, size of the log at that moment


class Sample(NamedTuple):
    """The log had `size` bytes at `at_ms`."""

    at_ms: int
    size: int


def read_samples(data: bytes) -> list[Sample]:
    """The samples in an index; a kill may have cut the last one."""
    whole = data[: len(data) - len(data) % SAMPLE.size]
    return [Sample(*pair) for pair in SAMPLE.iter_unpack(whole)]


def span_of(
    samples: Sequence[Sample], *, size: int, ended_ms: int, since_ms: int, until_ms: int
) -> tuple[int, int]:
    """From which byte to which one the log was written between two moments; 0 is no bound.

    `ended_ms`: when nothing more was written, now for a log that still grows.
    """
    start, end = 0, size
    for sample in samples:
        if since_ms and sample.at_ms <= since_ms:
            start = sample.size
        if until_ms and sample.at_ms >= until_ms:
            end = min(end, sample.size)
            break
    if since_ms > ended_ms:
        start = size
    return min(start, size), end


class Excerpt:
    """Lines with `text`, of what is fed; everything when `text` is "". The first `skip` bytes of the
    answer are left out: that much the reader has already."""

    def __init__(self, *, text: str = "", skip: int = 0) -> None:
        self._text = text.encode("utf-8", "surrogateescape")
        self._skip = max(skip, 0)
        self._rest = b""  # of a line that is not complete
        self.size = 0  # of the answer so far, with what was skipped

    def feed(self, piece: bytes) -> bytes:
        """What the next bytes of the log add to the answer."""
        if not self._text:
            return self._answer(piece)
        data = self._rest + piece
        cut = data.rfind(b"\n") + 1
        if not cut and len(data) > LOG_LINE_BYTES_MAX:
            cut = len(data)  # a line as long as that is judged in pieces
        self._rest = data[cut:]
        return self._answer(self._chosen(data[:cut]))

    def close(self) -> bytes:
        """What the last, incomplete line adds."""
        rest, self._rest = self._rest, b""
        return self._answer(self._chosen(rest)) if rest else b""

    def _chosen(self, lines: bytes) -> bytes:
        if self._text not in lines:
            return b""
        return b"".join(line for line in lines.splitlines(keepends=True) if self._text in line)

    def _answer(self, data: bytes) -> bytes:
        self.size += len(data)
        out = data[min(self._skip, len(data)) :]
        self._skip -= len(data) - len(out)
        return out


def chunks(data: bytes, size: int) -> Iterator[bytes]:
    """The data in pieces of at most `size` bytes."""
    for at in range(0, len(data), size):
        yield data[at : at + size]
