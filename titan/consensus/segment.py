"""The bytes of a journal segment: header, frames, records, and how to tell a torn end from damage.

Format 1. A segment is a header followed by frames. A frame is what one sync made durable: a head
with its own checksum, a body of records with another (both `zlib.crc32`), and an end mark. Frames
are numbered without gaps through all segments, so a missing piece anywhere is noticed.

A power cut can hurt only the last frame, because nothing is written behind a frame that is not yet
synced. Hence: a bad frame with a good one behind it is damage, never a torn write. A bad last frame
is a torn write only if it shows where the writing stopped (its end, or a whole sector, is zero).
Damage is never repaired here: the member must leave rather than forget what it acknowledged.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import Final, NamedTuple

from titan.errors import Fatal

FORMAT: Final = 1
ENTRY: Final = 1  # append the entry with index `at`
TRUNCATE: Final = 2  # forget the entries from `at` on
RESTART: Final = 3  # forget all entries; the next one may have any index

_HEADER: Final = struct.Struct("<8sIQQ")  # magic, format, segment number, first frame number
_CRC: Final = struct.Struct("<I")
_HEAD: Final = struct.Struct("<4sQII")  # magic, frame number, body length, body checksum
_RECORD: Final = struct.Struct("<BQQI")  # kind, term, index, payload length
_MAGIC: Final = b"TITANLOG"
_FRAME_MAGIC: Final = b"TJF1"
_END_MARK: Final = b"\xa5END"
_SECTOR: Final = 512

HEADER_BYTES: Final = _HEADER.size + _CRC.size
_HEAD_BYTES: Final = _HEAD.size + _CRC.size
_FRAME_OVERHEAD: Final = _HEAD_BYTES + len(_END_MARK)
_HINT: Final = (
    "the disk returned other bytes than were written; keep the directory for inspection, "
    "then replace this member with an empty one that has a new member id"
)


class Record(NamedTuple):
    """One change of the log."""

    kind: int
    term: int
    at: int
    payload: bytes


class Scan(NamedTuple):
    """What a segment holds. `end` is where the next frame goes; `is_torn`: zero the rest first."""

    number: int
    records: list[Record]
    next_frame: int
    end: int
    is_torn: bool


def encode_header(*, number: int, first_frame: int) -> bytes:
    """The first bytes of a segment."""
    head = _HEADER.pack(_MAGIC, FORMAT, number, first_frame)
    return head + _CRC.pack(zlib.crc32(head))


def encode_record(record: Record) -> bytes:
    """One record, to be put in a frame."""
    return _RECORD.pack(record.kind, record.term, record.at, len(record.payload)) + record.payload


def encode_frame(body: bytes, *, number: int) -> bytes:
    """A frame around encoded records."""
    head = _HEAD.pack(_FRAME_MAGIC, number, len(body), zlib.crc32(body))
    return b"".join((head, _CRC.pack(zlib.crc32(head)), body, _END_MARK))


def damage(path: str, *, offset: int, what: str) -> Fatal:
    """The error for bytes that cannot be explained by a power cut."""
    return Fatal(f"{path}: {what} at offset {offset}", hint=_HINT)


def scan(data: bytes, *, path: str, number: int, first_frame: int, is_last: bool) -> Scan:
    """Read a segment that must be number `number` and start with frame `first_frame`.

    Raises `Fatal` for damage; only the last segment may end in a torn frame.
    """
    if data[:HEADER_BYTES] != encode_header(number=number, first_frame=first_frame):
        raise damage(path, offset=0, what="not the expected segment header")
    records: list[Record] = []
    offset, frame = HEADER_BYTES, first_frame
    while (body := _frame_at(data, offset=offset, number=frame)) is not None:
        records.extend(_records(body, path=path, offset=offset))
        offset += len(body) + _FRAME_OVERHEAD
        frame += 1
    is_torn = _torn_or_raise(data, path=path, offset=offset, is_last=is_last)
    return Scan(number, records, frame, offset, is_torn)


def _frame_at(data: bytes, *, offset: int, number: int | None) -> bytes | None:
    head = data[offset : offset + _HEAD_BYTES]
    if len(head) < _HEAD_BYTES or head[:4] != _FRAME_MAGIC:
        return None
    magic_head, (head_crc,) = head[: _HEAD.size], _CRC.unpack(head[_HEAD.size :])
    if zlib.crc32(magic_head) != head_crc:
        return None
    _, found, length, body_crc = _HEAD.unpack(magic_head)
    body = data[offset + _HEAD_BYTES : offset + _HEAD_BYTES + length]
    mark_at = offset + _HEAD_BYTES + length
    is_whole = len(body) == length and data[mark_at : mark_at + len(_END_MARK)] == _END_MARK
    if not is_whole or zlib.crc32(body) != body_crc or number not in (None, found):
        return None
    return body


def _records(body: bytes, *, path: str, offset: int) -> Iterator[Record]:
    at = 0
    while at < len(body):
        if at + _RECORD.size > len(body):
            raise damage(path, offset=offset, what="a record that overruns its frame")
        kind, term, index, length = _RECORD.unpack_from(body, at)
        at += _RECORD.size
        if at + length > len(body) or kind not in (ENTRY, TRUNCATE, RESTART):
            raise damage(path, offset=offset, what="an impossible record")
        yield Record(kind, term, index, body[at : at + length])
        at += length


def _torn_or_raise(data: bytes, *, path: str, offset: int, is_last: bool) -> bool:
    if not any(data[offset:]):
        return False
    if not is_last or _has_frame_behind(data, offset):
        raise damage(path, offset=offset, what="a damaged frame with good ones behind it")
    if not _looks_torn(data, offset):
        raise damage(path, offset=offset, what="a damaged frame that was written whole")
    return True


def _has_frame_behind(data: bytes, offset: int) -> bool:
    at = data.find(_FRAME_MAGIC, offset + 1)
    while at >= 0:
        if _frame_at(data, offset=at, number=None) is not None:
            return True
        at = data.find(_FRAME_MAGIC, at + 1)
    return False


def _looks_torn(data: bytes, offset: int) -> bool:
    """Whether the bytes of the frame at `offset` show that its writing stopped half way."""
    head = data[offset : offset + _HEAD_BYTES]
    if len(head) < _HEAD_BYTES:
        return True
    if zlib.crc32(head[: _HEAD.size]) != _CRC.unpack(head[_HEAD.size :])[0]:
        # Every record starts with a kind above zero: a blank one was never written.
        never_written = not any(data[offset + _HEAD_BYTES :][: _RECORD.size])
        return never_written or _has_blank_sector(data, start=offset, end=offset + _HEAD_BYTES)
    end = offset + _FRAME_OVERHEAD + _HEAD.unpack(head[: _HEAD.size])[2]
    mark = data[end - len(_END_MARK) : end]
    stopped = mark != _END_MARK and _END_MARK.startswith(mark.rstrip(b"\0"))
    return stopped or _has_blank_sector(data, start=offset, end=end)


def _has_blank_sector(data: bytes, *, start: int, end: int) -> bool:
    while start < end:
        stop = min(end, (start // _SECTOR + 1) * _SECTOR)
        if not any(data[start:stop]):
            return True
        start = stop
    return False
