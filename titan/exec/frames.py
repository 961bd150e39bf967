"""How a worker and its warden talk: a length, then a `marshal` tuple. Both ends are one program.

Part of the warden, so the standard library's small modules only.
"""

from __future__ import annotations

import marshal
import struct
from collections.abc import Iterator
from typing import Any

READ_BYTES = 1 << 16  # a larger buffer is mapped and unmapped for each read
_HEADER = struct.Struct("<I")


def packed(frame: tuple[Any, ...]) -> bytes:
    """The bytes of one frame."""
    body = marshal.dumps(frame)
    return _HEADER.pack(len(body)) + body


def take_frames(buffer: bytearray) -> Iterator[tuple[Any, ...]]:
    """The whole frames at the beginning of `buffer`, which keeps the rest."""
    at = 0
    while len(buffer) - at >= _HEADER.size:
        (length,) = _HEADER.unpack_from(buffer, at)
        end = at + _HEADER.size + length
        if len(buffer) < end:
            break
        yield marshal.loads(buffer[at + _HEADER.size : end])  # noqa: S302 - our own other end wrote it
        at = end
    del buffer[:at]
