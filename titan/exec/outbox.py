"""Results that no leader has confirmed yet, in one append-only file.

Owns the file. A record is a length, a CRC-32 and a message: `AttemptEnded` adds, `Confirmed` removes.
Nothing is fsynced: the file outlives any death of the worker, and after a power cut a lost result only
means that the job runs again. A torn or damaged record ends the file where it begins.
"""

from __future__ import annotations

import logging
import os
import struct
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import msgspec

from titan.ids import AttemptId
from titan.limits import FRAME_BYTES_MAX, MIB
from titan.wire.messages import AttemptEnded, Confirmed, Message, decode, encode

log = logging.getLogger(__name__)

_HEADER: Final = struct.Struct("<II")  # length, CRC-32 of what follows
_COMPACT_BYTES_MIN: Final = 1 * MIB  # a smaller file is not worth rewriting


class Outbox:
    """The unconfirmed results, oldest first, in memory and on disk."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._results: dict[AttemptId, AttemptEnded] = {}
        self._sizes: dict[AttemptId, int] = {}  # of their records
        self._live_bytes = 0
        self._size_bytes = self._load()
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o640)
        os.ftruncate(self._fd, self._size_bytes)

    def __iter__(self) -> Iterator[AttemptEnded]:
        return iter(list(self._results.values()))

    def __len__(self) -> int:
        return len(self._results)

    @property
    def attempts(self) -> tuple[AttemptId, ...]:
        """Whose results wait."""
        return tuple(self._results)

    def add(self, result: AttemptEnded) -> None:
        """Keep a result. When the disk does not take it, `OSError` is raised and memory still has it."""
        record = _record(result)
        self._results[result.attempt] = result
        self._sizes[result.attempt] = len(record)
        self._live_bytes += len(record)
        self._write(record)

    def remove(self, attempts: Iterable[AttemptId]) -> None:
        """Forget confirmed results; unknown ones are ignored."""
        known = tuple(attempt for attempt in attempts if attempt in self._results)
        if not known:
            return
        for attempt in known:
            del self._results[attempt]
            self._live_bytes -= self._sizes.pop(attempt)
        self._write(_record(Confirmed(attempts=known)))
        if self._size_bytes > max(_COMPACT_BYTES_MIN, 2 * self._live_bytes):
            self._compact()

    def close(self) -> None:
        """Stop using the file."""
        os.close(self._fd)

    def _write(self, record: bytes) -> None:
        written = os.write(self._fd, record)
        if written != len(record):  # the disk filled up in the middle: do not leave half a record
            os.ftruncate(self._fd, self._size_bytes)
            raise OSError(f"{self._path} took {written} of {len(record)} bytes")
        self._size_bytes += written

    def _compact(self) -> None:
        fresh = self._path.with_suffix(".new")
        records = b"".join(_record(result) for result in self._results.values())
        fresh.write_bytes(records)
        fresh.replace(self._path)
        os.close(self._fd)
        self._fd = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        self._size_bytes = self._live_bytes = len(records)

    def _load(self) -> int:
        """Read what an earlier life left; the size of its sound part."""
        data = self._path.read_bytes() if self._path.exists() else b""
        at = 0
        for message, end in _records(data):
            if isinstance(message, AttemptEnded):
                self._results[message.attempt] = message
            elif isinstance(message, Confirmed):
                for attempt in message.attempts:
                    self._results.pop(attempt, None)
            at = end
        if at != len(data):
            log.warning("%s: dropped %d damaged bytes at %d", self._path, len(data) - at, at)
        self._sizes = {key: len(_record(result)) for key, result in self._results.items()}
        self._live_bytes = sum(self._sizes.values())
        return at


def _record(message: Message) -> bytes:
    body = encode(message)
    return _HEADER.pack(len(body), zlib.crc32(body)) + body


def _records(data: bytes) -> Iterator[tuple[Message, int]]:
    at = 0
    while at + _HEADER.size <= len(data):
        length, crc = _HEADER.unpack_from(data, at)
        body = data[at + _HEADER.size : at + _HEADER.size + length]
        if length > FRAME_BYTES_MAX or len(body) < length or zlib.crc32(body) != crc:
            return
        at += _HEADER.size + length
        try:
            yield decode(body), at
        except msgspec.DecodeError:
            return
