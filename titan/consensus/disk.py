"""The one door to the file system. Journal, hard state, snapshots and bindings use nothing else.

Owns no format. Raises plain `OSError`; the callers decide that a failed write or sync is fatal.
The simulator replaces `Disk` by one that forgets what was not synced.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
from pathlib import Path
from typing import Protocol


class File(Protocol):
    """An open file, addressed by offset."""

    def pwrite(self, data: bytes, *, offset: int) -> None:
        """Write all of `data` at `offset`."""

    def read(self, *, offset: int, size: int) -> bytes:
        """Up to `size` bytes from `offset`; fewer at the end of the file."""

    def size(self) -> int:
        """The file's length in bytes."""

    def allocate(self, *, offset: int, size: int) -> None:
        """Reserve zeroed space; a file system that cannot do it is left alone."""

    def truncate(self, size: int) -> None:
        """Cut the file to `size` bytes."""

    def datasync(self) -> None:
        """Return once what was written survives a power cut."""

    def close(self) -> None:
        """Close it; never syncs."""


class Disk(Protocol):
    """Directory operations and the way to files."""

    def make_dir(self, path: Path) -> None:
        """Create `path` and its parents when missing."""

    def names(self, path: Path) -> list[str]:
        """The names in a directory, sorted."""

    def exists(self, path: Path) -> bool:
        """Whether there is a file at `path`."""

    def open(self, path: Path, *, create: bool = False) -> File:
        """Open for reading and writing; `create` makes an empty file when there is none."""

    def replace(self, source: Path, target: Path) -> None:
        """Rename atomically over `target`; durable after `fsync_dir`."""

    def unlink(self, path: Path) -> None:
        """Remove a file; one that is gone already is fine."""

    def fsync_dir(self, path: Path) -> None:
        """Make names created, replaced and removed in `path` durable."""

    def free_bytes(self, path: Path) -> int:
        """Space left for us on the file system that holds `path`."""

    def lock(self, path: Path) -> File:
        """Take the exclusive lock on `path`, held until the file is closed. Raises `OSError`."""


class OsFile:
    """`File` on a descriptor."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def pwrite(self, data: bytes, *, offset: int) -> None:
        """Write all of `data`; a short write is continued."""
        view = memoryview(data)
        while view:
            done = os.pwrite(self._fd, view, offset)
            view, offset = view[done:], offset + done

    def read(self, *, offset: int, size: int) -> bytes:
        """Read until `size` bytes or the end of the file."""
        parts: list[bytes] = []
        while size > 0 and (part := os.pread(self._fd, size, offset)):
            parts.append(part)
            offset, size = offset + len(part), size - len(part)
        return b"".join(parts)

    def size(self) -> int:
        """The length by fstat."""
        return os.fstat(self._fd).st_size

    def allocate(self, *, offset: int, size: int) -> None:
        """posix_fallocate; without it (or without room) appends still work, only slower."""
        try:
            os.posix_fallocate(self._fd, offset, size)
        except OSError as error:
            if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSPC, errno.EFBIG):
                raise

    def truncate(self, size: int) -> None:
        """Cut with ftruncate."""
        os.ftruncate(self._fd, size)

    def datasync(self) -> None:
        """Sync data and the metadata needed to read it back."""
        os.fdatasync(self._fd)

    def close(self) -> None:
        """Close the descriptor once."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)


class OsDisk:
    """`Disk` on the operating system."""

    def make_dir(self, path: Path) -> None:
        """Create with parents, for this user only."""
        path.mkdir(parents=True, exist_ok=True, mode=0o700)

    def names(self, path: Path) -> list[str]:
        """A sorted listing."""
        return sorted(entry.name for entry in path.iterdir())

    def exists(self, path: Path) -> bool:
        """Whether it is a regular file."""
        return path.is_file()

    def open(self, path: Path, *, create: bool = False) -> OsFile:
        """Open for this user only; never inherited by children."""
        flags = os.O_RDWR | os.O_CLOEXEC | (os.O_CREAT if create else 0)
        return OsFile(os.open(path, flags, 0o600))

    def replace(self, source: Path, target: Path) -> None:
        """Rename by the operating system's atomic call."""
        source.replace(target)

    def unlink(self, path: Path) -> None:
        """Remove; missing is fine."""
        path.unlink(missing_ok=True)

    def fsync_dir(self, path: Path) -> None:
        """Sync the directory itself."""
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    def free_bytes(self, path: Path) -> int:
        """What the file system offers to this user."""
        return shutil.disk_usage(path).free

    def lock(self, path: Path) -> OsFile:
        """Take flock without waiting: another holder is an error, not a queue."""
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(fd)
            raise
        return OsFile(fd)


def write_durably(disk: Disk, path: Path, *, data: bytes) -> None:
    """Replace the file at `path` by `data` so that a power cut leaves the old or the new one."""
    temporary = path.with_name(path.name + ".tmp")
    disk.unlink(temporary)
    file = disk.open(temporary, create=True)
    try:
        file.pwrite(data, offset=0)
        file.datasync()
    finally:
        file.close()
    disk.replace(temporary, path)
    disk.fsync_dir(path.parent)


def read_whole(disk: Disk, path: Path) -> bytes:
    """Everything in a file."""
    file = disk.open(path)
    try:
        return file.read(offset=0, size=file.size())
    finally:
        file.close()
