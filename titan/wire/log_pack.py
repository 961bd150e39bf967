"""The blob that finished logs become: their bytes, compressed where that pays, then an index.

Written by workers and by the leader, read by masters in pieces: the index first, which is at the end, then
the one log that is wanted. The format is on disk for ever.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import IO, Final

import msgspec

from titan.ids import AttemptId, JobId, RunId
from titan.limits import LOG_READ_BYTES

_MAGIC: Final = b"TITANLG1"
FOOTER: Final = struct.Struct("<I8s")  # bytes of the index, magic
_LEVEL: Final = 3
_PAYS_BELOW: Final = 0.9  # of the plain size


class PackedLog(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One log in a pack."""

    attempt: AttemptId
    run: RunId
    job: JobId
    offset: int
    stored: int  # bytes in the pack
    size: int  # bytes of the log
    is_compressed: bool
    ended_ms: int
    samples: bytes = b""  # the time index


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(list[PackedLog])


class PackWriter:
    """Writes a pack into a file. Blocks; for a thread when logs are large."""

    def __init__(self, out: IO[bytes]) -> None:
        self._out = out
        self._index: list[PackedLog] = []

    def add(
        self,
        source: IO[bytes],
        *,
        attempt: AttemptId,
        run: RunId,
        job: JobId,
        ended_ms: int,
        samples: bytes = b"",
    ) -> None:
        """Append one log, from where `source` stands to its end."""
        first = source.read(LOG_READ_BYTES)
        is_compressed = len(zlib.compress(first, _LEVEL)) < _PAYS_BELOW * len(first)
        offset, size = self._out.tell(), 0
        packer = zlib.compressobj(_LEVEL)
        piece = first
        while piece:
            size += len(piece)
            self._out.write(packer.compress(piece) if is_compressed else piece)
            piece = source.read(LOG_READ_BYTES)
        if is_compressed:
            self._out.write(packer.flush())
        stored = self._out.tell() - offset
        self._index.append(
            PackedLog(attempt, run, job, offset, stored, size, is_compressed, ended_ms, samples)
        )

    def close(self) -> None:
        """Write the index. The file is the caller's."""
        index = _encoder.encode(self._index)
        self._out.write(index + FOOTER.pack(len(index), _MAGIC))


def index_size(footer: bytes) -> int:
    """How long the index in front of this footer is. Raises `ValueError` when it is none."""
    if len(footer) != FOOTER.size:
        raise ValueError("a pack of logs is too short")
    size, magic = FOOTER.unpack(footer)
    if magic != _MAGIC:
        raise ValueError("not a pack of logs")
    return int(size)


def read_index(data: bytes) -> list[PackedLog]:
    """The logs of a pack. Raises `ValueError`."""
    try:
        return _decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ValueError(f"the index of a pack of logs is damaged: {error}") from None


class Unpacker:
    """The bytes of one log from its bytes in the pack, piece by piece."""

    def __init__(self, entry: PackedLog) -> None:
        self._inflate = zlib.decompressobj() if entry.is_compressed else None

    def feed(self, piece: bytes) -> Iterator[bytes]:
        """What the next bytes of the pack hold, in pieces of bounded size."""
        if self._inflate is None:
            yield piece
            return
        while piece:
            yield self._inflate.decompress(piece, LOG_READ_BYTES)
            piece = self._inflate.unconsumed_tail
