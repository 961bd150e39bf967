"""A snapshot is used whole or not at all, and never goes back in time."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.consensus.sim_disk import SimDisk
from titan.consensus.snapshots import DamagedSnapshot, Place, SnapshotFiles
from titan.errors import Fatal

HERE = Path("/d")


def place(index: int) -> Place:
    return Place((b"before", index - 1, 1), (b"last", index, 1))


def files_with(disk: SimDisk, *indexes: int) -> SnapshotFiles:
    files = SnapshotFiles(disk, directory=HERE)
    for index in indexes:
        files.write(place(index), blocks=[b"state %d" % index, b"more"])
    return files


def test_the_state_comes_back_as_it_was_written() -> None:
    files = files_with(SimDisk(), 10)
    assert files.newest_good() == place(10)
    assert b"".join(files.state_blocks(10)) == b"state 10more"


def test_two_generations_are_kept_and_an_older_one_never_replaces_a_newer() -> None:
    files = files_with(SimDisk(), 10, 20, 30)
    files.write(place(25), blocks=[b"late"])
    assert files.indexes() == [20, 30]


def test_no_flipped_byte_is_ever_believed() -> None:
    disk = SimDisk()
    files = files_with(disk, 10)
    data = disk.names_now[str(files.path(10))].data
    for at in range(len(data)):
        for mask in (0x01, 0x80):
            data[at] ^= mask
            with pytest.raises(DamagedSnapshot):
                files.check(files.path(10))
            data[at] ^= mask
    for size in range(len(data)):
        cut = SimDisk()
        torn = cut.open(files.path(10), create=True)
        torn.pwrite(bytes(data[:size]), offset=0)
        with pytest.raises(DamagedSnapshot):
            SnapshotFiles(cut, directory=HERE).check(files.path(10))


def test_a_damaged_newest_falls_back_to_the_one_before() -> None:
    disk = SimDisk()
    files = files_with(disk, 10, 20)
    disk.names_now[str(files.path(20))].data[30] ^= 1
    assert files.newest_good() == place(10)
    disk.names_now[str(files.path(10))].data[30] ^= 1
    with pytest.raises(Fatal, match="no snapshot is readable"):
        files.newest_good()


def test_a_snapshot_that_cannot_be_written_leaves_no_file() -> None:
    disk = SimDisk()
    disk.fails = True
    with pytest.raises(OSError, match="injected"):
        files_with(disk, 10)
    assert SnapshotFiles(disk, directory=HERE).indexes() == []
