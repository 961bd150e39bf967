"""Frames: how bytes on a socket become pieces of the protocol. Sans-IO; never touches a socket.

    | length: u32 big-endian, of what follows | kind: u8 | id: u32 | payload |

`id` names the call or channel a frame belongs to, 0 for frames that belong to none. The side that
dialled draws odd ids, the side that accepted draws even ones, so both may ask at once.
"""

from __future__ import annotations

import enum
import struct
from typing import Final, NamedTuple

from titan.errors import ProtocolError
from titan.limits import FIRST_FRAME_BYTES_MAX, FRAME_BYTES_MAX

_HEAD: Final = struct.Struct(">IBI")
_LENGTH_BYTES: Final = 4
_HTTP: Final = int.from_bytes(b"HTTP", "big")  # how the answer of an HTTP server begins
_OVERHEAD: Final = _HEAD.size - _LENGTH_BYTES


class Kind(enum.IntEnum):
    """What a frame is. The numbers are the protocol: never reused."""

    HELLO = 1  # dialler: a Hello message
    WELCOME = 2  # acceptor: a Welcome message
    REFUSED = 3  # acceptor: an error; the connection ends
    CALL = 4  # a message that wants one REPLY or ERROR with its id
    REPLY = 5
    ERROR = 6
    OPEN = 7  # a message that opens a channel; ends with REPLY or ERROR
    PIECE = 8  # bytes of a channel, either way
    FINISH = 9  # no more pieces from this side
    CREDIT = 10  # u32: the receiver has consumed so many bytes of pieces
    CANCEL = 11  # the opener gives up
    NOTE = 12  # a message that wants nothing
    RAW = 13  # bytes that want nothing
    PING = 14
    PONG = 15


_KINDS: Final = {int(kind): kind for kind in Kind}


class Frame(NamedTuple):
    """One frame."""

    kind: Kind
    id: int
    payload: bytes


def encode_frame(kind: Kind, ident: int = 0, payload: bytes = b"") -> bytes:
    """The bytes of one frame; raises `ProtocolError` when it would be refused on arrival."""
    length = _OVERHEAD + len(payload)
    if length > FRAME_BYTES_MAX:
        raise ProtocolError(f"a frame of {length} bytes is over the limit of {FRAME_BYTES_MAX}")
    return _HEAD.pack(length, kind, ident) + payload


class FrameDecoder:
    """Collects bytes and gives whole frames. Holds at most one unfinished frame."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._limit = FIRST_FRAME_BYTES_MAX

    def trust(self) -> None:
        """The peer has said who it is: allow frames of the full size."""
        self._limit = FRAME_BYTES_MAX

    def feed(self, data: bytes) -> list[Frame]:
        """Add what arrived; give the frames that are now whole. Raises `ProtocolError` for a lie."""
        if not self._buffer:
            frames, at = self._frames_in(data)
            self._buffer += data[at:]
            return frames
        self._buffer += data
        frames, at = self._frames_in(self._buffer)
        del self._buffer[:at]
        return frames

    def _frames_in(self, buffer: bytes | bytearray) -> tuple[list[Frame], int]:
        """The whole frames that the bytes begin with, and where they end."""
        frames: list[Frame] = []
        at = 0
        while len(buffer) - at >= _HEAD.size:
            length, kind, ident = _HEAD.unpack_from(buffer, at)
            self._check(length, kind)
            end = at + _LENGTH_BYTES + length
            if end > len(buffer):
                break
            frames.append(Frame(_KINDS[kind], ident, bytes(buffer[at + _HEAD.size : end])))
            at = end
        return frames, at

    def _check(self, length: int, kind: int) -> None:
        if length == _HTTP:
            raise ProtocolError("the other side speaks HTTP; this is not a master's --listen port")
        if not _OVERHEAD <= length <= self._limit:
            raise ProtocolError(f"a frame claims {length} bytes; at most {self._limit} are allowed")
        if kind not in _KINDS:
            raise ProtocolError(f"unknown frame kind {kind}; is the other side a newer Titan?")
