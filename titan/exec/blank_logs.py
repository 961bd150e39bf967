"""Log files that nothing was printed to, kept for the next attempts.

Most small jobs print nothing. A new file for each costs more than reusing one: ext4 looks for an inode, and
passes all that were freed in the last minute one by one. A file is kept only if it is certain that nobody
has it open any more, neither what a job may have left behind nor a reader.
"""

from __future__ import annotations

import fcntl
import os
import stat
from pathlib import Path
from typing import Final

from titan.limits import LOG_BLANKS_MAX

_MODE_MAX: Final = 0o640  # as the warden makes them: a job may have opened its log to others


class BlankLogs:
    """Where such files are. Each keeps the name of its old attempt until another takes it."""

    def __init__(self) -> None:
        self._free: list[Path] = []

    def take(self, path: Path) -> Path | None:
        """Let one of them become `path`; what it was, None when there is none."""
        if not self._free:
            return None
        old = self._free.pop()
        try:
            os.rename(old, path)  # noqa: PTH104 - speed
        except OSError:
            return None  # its process makes the file
        return old

    def put(self, path: Path) -> bool:
        """Take the log of an ended attempt; whether it is fit to be reused."""
        if len(self._free) >= LOG_BLANKS_MAX or not _is_blank(path):
            return False
        self._free.append(path)
        return True


def _is_blank(path: Path) -> bool:
    try:
        fd = os.open(path, os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        seen = os.fstat(fd)
        if not stat.S_ISREG(seen.st_mode) or stat.S_IMODE(seen.st_mode) & ~_MODE_MAX:
            return False
        # The kernel gives a lease for writing only where nobody else has the file open.
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_WRLCK)
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_UNLCK)
        return seen.st_size == 0 and seen.st_nlink == 1
    except OSError:
        return False
    finally:
        os.close(fd)
