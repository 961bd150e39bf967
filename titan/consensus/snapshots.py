"""Snapshot files: written beside the log without stopping it, checked whole before they are used.

Format 1: a header, then blocks (length, `zlib.crc32`, bytes), the first of which names the place in
the log; then an end mark with the SHA-256 of everything before it. A file appears under its name
only when it is complete and durable, and the newest two are kept. This module never touches the
state machine and never decides when to take or install one.
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import msgspec

from titan import limits
from titan.consensus.disk import Disk, File
from titan.consensus.journal import Entry
from titan.consensus.membership import Roster
from titan.errors import Fatal

FORMAT: Final = 1
_MAGIC: Final = b"TITANSNP"
_HEADER: Final = struct.Struct("<8sI")
_BLOCK: Final = struct.Struct("<II")
_END: Final = 0xFFFFFFFF
_PREFIX: Final = "snapshot-"
_SUFFIX: Final = ".titan"


class DamagedSnapshot(Exception):
    """The file is not a whole snapshot. Never leaves this package."""


class Place(msgspec.Struct, frozen=True, array_like=True):
    """Where in the log a snapshot stands: its last entry and the one before it, and who was there."""

    previous: Entry
    last: Entry
    roster: Roster = Roster()  # the members as of the last entry; empty: the bootstrap list

    @property
    def index(self) -> int:
        """The last index that the snapshot contains."""
        return self.last[1]


class SnapshotFiles:
    """The snapshots of one member, newest last."""

    def __init__(self, disk: Disk, *, directory: Path) -> None:
        self._disk = disk
        self._directory = directory

    def path(self, index: int) -> Path:
        """Where the snapshot that ends at `index` is."""
        return self._directory / f"{_PREFIX}{index:020d}{_SUFFIX}"

    def incoming_path(self) -> Path:
        """Where a snapshot from the leader gathers."""
        return self._directory / "incoming.tmp"

    def indexes(self) -> list[int]:
        """The indexes of the complete files, ascending."""
        names = self._disk.names(self._directory)
        stems = [n[len(_PREFIX) : -len(_SUFFIX)] for n in names if n.startswith(_PREFIX)]
        return sorted(int(stem) for stem in stems if stem.isdigit())

    def write(self, place: Place, *, blocks: Iterable[bytes]) -> None:
        """Write, sync and publish a snapshot; runs in a thread. Raises `OSError`.

        Nothing happens when one at least as new is there already: an old one never replaces it.
        """
        if self.newest_index() >= place.index:
            return
        temporary = self._directory / "outgoing.tmp"
        self._disk.unlink(temporary)
        file = self._disk.open(temporary, create=True)
        try:
            _write_blocks(file, place=place, blocks=blocks)
            file.datasync()
        finally:
            file.close()
        self.publish(temporary, index=place.index)

    def publish(self, temporary: Path, *, index: int) -> None:
        """Give a complete, synced file its name, and forget generations beyond the kept ones."""
        self._disk.replace(temporary, self.path(index))
        self._disk.fsync_dir(self._directory)
        for old in self.indexes()[: -limits.SNAPSHOT_GENERATIONS]:
            self._disk.unlink(self.path(old))

    def newest_index(self) -> int:
        """The index of the newest file, 0 without one."""
        return max(self.indexes(), default=0)

    def size(self, index: int) -> int:
        """The bytes of a complete file."""
        file = self._disk.open(self.path(index))
        try:
            return file.size()
        finally:
            file.close()

    def check(self, path: Path) -> Place:
        """Read a file to its end. Raises `DamagedSnapshot` unless every byte is as written."""
        place: Place | None = None
        for number, block in enumerate(self._blocks(path)):
            if number == 0:
                place = _decode_place(block)
        if place is None:
            raise DamagedSnapshot(f"{path}: empty")
        return place

    def state_blocks(self, index: int) -> Iterator[bytes]:
        """The state in a file that `check` has passed."""
        return self.blocks_behind_place(self.path(index))

    def blocks_behind_place(self, path: Path) -> Iterator[bytes]:
        """The state in any file that `check` has passed."""
        blocks = self._blocks(path)
        next(blocks)
        return blocks

    def newest_good(self) -> Place | None:
        """The newest readable snapshot, None when there are no files. Raises `Fatal`.

        Damaged newer ones are set aside: they must neither be served nor pass for a snapshot taken.
        """
        reasons: dict[int, str] = {}
        for index in reversed(self.indexes()):
            try:
                place = self.check(self.path(index))
            except DamagedSnapshot as error:
                reasons[index] = str(error)
                continue
            for damaged in reasons:
                self._set_aside(damaged)
            return place
        if reasons:
            raise Fatal(
                "no snapshot is readable: " + "; ".join(reasons.values()),
                hint="replace this member with an empty one that has a new member id",
            )
        return None

    def _set_aside(self, index: int) -> None:
        self._disk.replace(self.path(index), self._directory / f"damaged-{index}{_SUFFIX}")
        self._disk.fsync_dir(self._directory)

    def open(self, index: int) -> File:
        """The file as bytes, for a laggard. Raises `OSError`."""
        return self._disk.open(self.path(index))

    def _blocks(self, path: Path) -> Iterator[bytes]:
        file = self._disk.open(path)
        try:
            yield from _read_blocks(file, path=path)
        finally:
            file.close()


def _write_blocks(file: File, *, place: Place, blocks: Iterable[bytes]) -> None:
    whole, offset = hashlib.sha256(), 0

    def put(data: bytes) -> None:
        nonlocal offset
        whole.update(data)
        file.pwrite(data, offset=offset)
        offset += len(data)

    def put_block(block: bytes) -> None:
        put(_BLOCK.pack(len(block), zlib.crc32(block)) + block)

    put(_HEADER.pack(_MAGIC, FORMAT))
    put_block(msgspec.msgpack.encode(place))
    for piece in blocks:
        for at in range(0, len(piece), limits.SNAPSHOT_BLOCK_BYTES):
            put_block(piece[at : at + limits.SNAPSHOT_BLOCK_BYTES])
    put(_BLOCK.pack(_END, 0))
    file.pwrite(whole.digest(), offset=offset)


def _read_blocks(file: File, *, path: Path) -> Iterator[bytes]:
    whole, offset = hashlib.sha256(), 0

    def take(size: int) -> bytes:
        nonlocal offset
        data = file.read(offset=offset, size=size)
        if len(data) != size:
            raise DamagedSnapshot(f"{path}: ends at offset {offset + len(data)}")
        offset += size
        return data

    header = take(_HEADER.size)
    whole.update(header)
    if _HEADER.unpack(header) != (_MAGIC, FORMAT):
        raise DamagedSnapshot(f"{path}: not a snapshot of format {FORMAT}")
    while True:
        head = take(_BLOCK.size)
        whole.update(head)
        length, checksum = _BLOCK.unpack(head)
        if length == _END:
            break
        if length > limits.SNAPSHOT_BLOCK_BYTES:
            raise DamagedSnapshot(f"{path}: impossible block at offset {offset}")
        block = take(length)
        if zlib.crc32(block) != checksum:
            raise DamagedSnapshot(f"{path}: damaged block before offset {offset}")
        whole.update(block)
        yield block
    if checksum or take(32) != whole.digest() or file.size() != offset:
        raise DamagedSnapshot(f"{path}: the whole does not match its digest")


def _decode_place(block: bytes) -> Place:
    try:
        return msgspec.msgpack.decode(block, type=Place)
    except msgspec.DecodeError as error:
        raise DamagedSnapshot(f"the snapshot does not say where it stands: {error}") from error
