"""The blocks of a frozen state as a stream of bytes, so that whoever stores them may cut them anywhere.

Consensus keeps snapshots in blocks of its own size; the state machine needs its blocks back as they were.
Owns the framing: each block after its length. Knows nothing of what is in a block.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from typing import Final

from titan.consensus.api import Freeze
from titan.errors import Fatal

_LENGTH: Final = struct.Struct(">Q")


def framed(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """The pieces to store."""
    for block in blocks:
        yield _LENGTH.pack(len(block)) + block


class FramedFreeze:
    """A freeze whose blocks are drawn as such pieces."""

    def __init__(self, freeze: Freeze) -> None:
        self._freeze = freeze

    def step(self) -> bool:
        """Of the freeze."""
        return self._freeze.step()

    def __iter__(self) -> Iterator[bytes]:
        return framed(self._freeze)


def unframed(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The blocks in `pieces`, wherever these were cut. Raises `Fatal` when the last one is cut off."""
    waiting = bytearray()
    for piece in pieces:
        waiting += piece
        while (block := _first_block(waiting)) is not None:
            del waiting[: _LENGTH.size + len(block)]
            yield block
    if waiting:
        raise Fatal("the snapshot is damaged: its last block is cut off")


def _first_block(waiting: bytearray) -> bytes | None:
    if len(waiting) < _LENGTH.size:
        return None
    (length,) = _LENGTH.unpack_from(waiting)
    end = _LENGTH.size + length
    return bytes(waiting[_LENGTH.size : end]) if len(waiting) >= end else None
