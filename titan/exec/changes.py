"""Whether anything in a folder has changed since it was looked at, without reading it.

The time of a file's last change cannot be set by anybody: while it is what it was, nothing was written,
renamed, linked or opened to others. Two things blunt it, and both are asked about: its clock moves in
steps, and a file system may not note what is written through a mapping, as tmpfs did not for long.
"""

from __future__ import annotations

import mmap
import os
import stat
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

CLOCK_STEP_NS: Final = 50_000_000  # time stamps come from a clock that moves every 1 to 10 ms
_COMPARE_BYTES: Final = 1 << 20


class Watched:
    """Some files and folders, as they were at the last `look`."""

    __slots__ = ("_changed_ns", "_is_settled", "_paths")

    def __init__(self, paths: Sequence[Path]) -> None:
        self._paths = [os.fspath(path) for path in paths]  # read for each job: strings are quicker
        self._changed_ns: list[int] = []
        self._is_settled = False

    def look(self) -> None:
        """Take what there is as the state to compare with. Raises `OSError`."""
        self._changed_ns = self._read()
        self._is_settled = False

    def settle(self) -> None:
        """Note, before somebody may change them, whether any change from now on will show."""
        since_ns = time.time_ns() - CLOCK_STEP_NS
        self._is_settled = bool(self._changed_ns) and max(self._changed_ns) < since_ns

    def is_untouched(self) -> bool:
        """Whether it is certain that nothing has changed since `settle`. Raises `OSError`."""
        return self._is_settled and self.looks_untouched()

    def looks_untouched(self) -> bool:
        """The same but for changes within the clock's step after the look. Raises `OSError`."""
        return self._changed_ns == self._read()

    def _read(self) -> list[int]:
        return [os.lstat(path).st_ctime_ns for path in self._paths]


def below(folder: Path, *, count_max: int) -> list[Path] | None:
    """Everything below a folder, None when it is more than `count_max`. Raises `OSError`."""
    found: list[Path] = []
    for at, folders, files in os.walk(folder):
        found += (Path(at, name) for name in (*folders, *files))
        if len(found) > count_max:
            return None
    return found


def is_copy(source: Path, copy: Path) -> bool:
    """Whether `copy` has the kind and contents of `source`, which only its owner may write, and no other
    name. For a folder, the same of everything in it. Raises `OSError`.
    """
    one, other = source.lstat(), copy.lstat()
    kind = stat.S_IFMT(one.st_mode)
    if kind != stat.S_IFMT(other.st_mode) or other.st_uid != os.getuid():
        return False
    if kind == stat.S_IFLNK:
        return source.readlink() == copy.readlink()
    own = stat.S_IRUSR | stat.S_IWUSR if kind == stat.S_IFREG else 0
    if stat.S_IMODE(other.st_mode) != stat.S_IMODE(one.st_mode) | own:
        return False
    if kind == stat.S_IFDIR:
        names = sorted(os.listdir(source))  # noqa: PTH208 - speed
        is_alike = names == sorted(os.listdir(copy))  # noqa: PTH208
        return is_alike and all(is_copy(source / name, copy / name) for name in names)
    return one.st_size == other.st_size and other.st_nlink == 1 and _reads_alike(source, copy)


def _reads_alike(one: Path, other: Path) -> bool:
    with one.open("rb") as left, other.open("rb") as right:
        while piece := left.read(_COMPARE_BYTES):
            if right.read(_COMPARE_BYTES) != piece:
                return False
    return True


class MappingProbe:
    """Whether a file system notes the time of what is written through a mapping."""

    def __init__(self, path: Path) -> None:
        self._path = path  # a file that is made and removed for it
        self._is_noted: bool | None = None
        self._trying = threading.Lock()  # several workspaces may be the first

    def is_noted(self) -> bool:
        """Found out once, by trying. Blocks for one step of the clock; for a thread."""
        with self._trying:
            if self._is_noted is None:
                self._is_noted = self._try()
            return self._is_noted

    def _try(self) -> bool:
        try:
            self._path.write_bytes(b"\0")
            before_ns = self._path.stat().st_ctime_ns
            time.sleep(CLOCK_STEP_NS / 1e9)
            with self._path.open("r+b") as file, mmap.mmap(file.fileno(), 1) as mapping:
                mapping[0] = 1
            is_noted = self._path.stat().st_ctime_ns > before_ns
            self._path.unlink()
        except OSError:
            return False
        return is_noted
