"""The files of the log: which there are, what their names say, and how one comes into being."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from titan import limits
from titan.consensus import segment
from titan.consensus.disk import Disk, File

_PREFIX: Final = "log-"
_SUFFIX: Final = ".titan"


def paths_in(disk: Disk, directory: Path) -> list[Path]:
    """All segments, in the order of the log."""
    names = [name for name in disk.names(directory) if name.startswith(_PREFIX)]
    return [directory / name for name in names if name.endswith(_SUFFIX)]


def path_of(directory: Path, *, number: int, first_frame: int) -> Path:
    """Where the segment with this number is, whose first frame has that one."""
    return directory / f"{_PREFIX}{number:016d}-{first_frame:016d}{_SUFFIX}"


def numbers_of(path: Path) -> tuple[int, int]:
    """The number of the segment, and that of its first frame."""
    number, first_frame = path.stem.removeprefix(_PREFIX).split("-")
    return int(number), int(first_frame)


def create(disk: Disk, path: Path) -> File:
    """A new segment without frames, durable. It is made whole under another name: a segment either exists
    with its header or not at all."""
    number, first_frame = numbers_of(path)
    temporary = path.with_suffix(".tmp")
    disk.unlink(temporary)
    file = disk.open(temporary, create=True)
    try:
        file.allocate(offset=0, size=limits.SEGMENT_PREALLOCATE_BYTES)
        file.pwrite(segment.encode_header(number=number, first_frame=first_frame), offset=0)
        file.datasync()
        disk.replace(temporary, path)
        disk.fsync_dir(path.parent)
    except BaseException:
        file.close()
        raise
    return file
