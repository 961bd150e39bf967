"""Term and vote on disk: two copies, each with a checksum, written and synced one after the other.

One copy can be lost (a torn write, a bad sector) and the other still tells the truth. With both
unreadable the member must leave: without its vote it could vote twice in one term.
"""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Final, NamedTuple

from titan.consensus.disk import Disk, File
from titan.errors import Fatal

_FORMAT: Final = 1
_SLOT: Final = struct.Struct("<8sIQQH")  # magic, format, sequence, term, length of the vote
_CRC: Final = struct.Struct("<I")
_MAGIC: Final = b"TITANHRD"
_SLOT_BYTES: Final = 512  # one sector each, and far enough apart not to share one
_OFFSETS: Final = (0, 4096)
_VOTE_BYTES_MAX: Final = _SLOT_BYTES - _SLOT.size - _CRC.size


class HardState(NamedTuple):
    """What a member promised: its term, and whom it voted for in it ("" is nobody)."""

    sequence: int = 0
    term: int = 0
    vote: str = ""


def _encode(state: HardState) -> bytes:
    vote = state.vote.encode()
    assert len(vote) <= _VOTE_BYTES_MAX, "an address longer than its slot"
    body = _SLOT.pack(_MAGIC, _FORMAT, state.sequence, state.term, len(vote)) + vote
    body = body.ljust(_SLOT_BYTES - _CRC.size, b"\0")
    return body + _CRC.pack(zlib.crc32(body))


def _decode(slot: bytes) -> HardState | None:
    if len(slot) != _SLOT_BYTES or zlib.crc32(slot[: -_CRC.size]) != _CRC.unpack(slot[-4:])[0]:
        return None
    magic, version, sequence, term, length = _SLOT.unpack_from(slot)
    if magic != _MAGIC or version != _FORMAT:
        return None
    return HardState(sequence, term, slot[_SLOT.size : _SLOT.size + length].decode())


class HardStateFile:
    """The file with both copies."""

    def __init__(self, disk: Disk, path: Path) -> None:
        self._path = path
        self._file: File | None = None
        self._disk = disk
        self.state = HardState()

    def open(self, *, must_exist: bool) -> None:
        """Read the newest good copy and mend the other. Raises `Fatal` when there is none.

        `must_exist`: this directory holds a log already, so a missing file means lost promises.
        """
        if not self._disk.exists(self._path):
            if must_exist:
                raise self._damaged("is missing beside a log")
            self._create()
            return
        self._file = self._disk.open(self._path)
        copies = [_decode(self._file.read(offset=at, size=_SLOT_BYTES)) for at in _OFFSETS]
        good = [copy for copy in copies if copy is not None]
        if not good:
            raise self._damaged("has no readable copy of term and vote")
        self.state = max(good)
        if copies != [self.state, self.state]:
            self._write_both()

    def write(self, *, term: int, vote: str) -> None:
        """Make a new promise durable before returning. Raises `OSError`."""
        self.state = HardState(self.state.sequence + 1, term, vote)
        self._write_both()

    def sync(self) -> None:
        """Make durable what was read, which an earlier life may only have written."""
        assert self._file is not None, "not open"
        self._file.datasync()

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()

    def _create(self) -> None:
        # Written whole under another name first: a half-made file must not look like damage.
        temporary = self._path.with_name(self._path.name + ".tmp")
        self._disk.unlink(temporary)
        self._file = self._disk.open(temporary, create=True)
        self._write_both()
        self._disk.replace(temporary, self._path)
        self._disk.fsync_dir(self._path.parent)

    def _write_both(self) -> None:
        assert self._file is not None, "not open"
        slot = _encode(self.state)
        for offset in _OFFSETS:
            self._file.pwrite(slot, offset=offset)
            self._file.datasync()

    def _damaged(self, what: str) -> Fatal:
        return Fatal(
            f"{self._path}: {what}",
            hint="this member no longer knows how it voted; replace it with an empty one "
            "that has a new member id",
        )
