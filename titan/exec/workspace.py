"""The private folder of an attempt: made before it starts, kept for another or removed after it has ended.

`workspaces.py` decides which. In each folder `cwd` holds a copy of the bundle, `tmp` is TMPDIR,
`checkpoint` is what the job's next attempt is to find, `output` is what the job may hand to its children.
Copies, not links: a job that rewrites its files must not touch the shared cache.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
from pathlib import Path
from typing import Final

from titan.exec.changes import Watched, below, is_copy
from titan.ids import Digest
from titan.limits import (
    MIB,
    OUTPUT_BLOB_BYTES_MAX,
    OUTPUT_BYTES_MAX,
    WORKSPACE_WATCHED_MAX,
)

_OUTPUT_NAME: Final = "output"
_MODE: Final = 0o700
_NAMES: Final = ["checkpoint", "cwd", "tmp"]
_COPY_BYTES: Final = 1 * MIB


class Workspace:
    """The folder of one attempt."""

    __slots__ = ("_inner", "_outer", "bundle", "checkpoint", "cwd", "output", "root", "tmp")

    def __init__(self, root: Path) -> None:
        self.root = root
        self.cwd = root / "cwd"  # where the job starts
        self.tmp = root / "tmp"  # its TMPDIR
        self.checkpoint = root / "checkpoint"  # what the job's next attempt is to find
        self.output = root / _OUTPUT_NAME  # absent until the job writes it
        self.bundle = Digest("")  # whose files are in `cwd`
        self._outer = Watched([root])
        self._inner: Watched | None = Watched(self._folders)  # None: too much to be looked at

    def make(self) -> None:
        """Create its folders."""
        for folder in (self.root, *self._folders):
            folder.mkdir(_MODE)

    def fill(self, files: Path, digest: Digest) -> None:
        """Copy the bundle's files to where the job starts. Blocks; for a thread."""
        self.bundle = digest
        self._inner = None
        shutil.copytree(files, self.cwd, symlinks=True, dirs_exist_ok=True, copy_function=_copy)
        found = below(self.cwd, count_max=WORKSPACE_WATCHED_MAX)
        if found is not None:
            self._inner = Watched([*self._folders, *found])
            self._inner.look()

    def read_output(self) -> tuple[bytes, str]:
        """What the job wrote as its output, and what is wrong with it ("" when nothing is)."""
        try:
            if self._outer.is_untouched():
                return b"", ""  # no file was made: most jobs put nothing out
            fd = os.open(self.output, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError:
            return b"", ""
        except OSError as error:
            return b"", f"the output cannot be read: {error.strerror}"
        try:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                return b"", "the output cannot be read: it is not a file"
            data = os.read(fd, OUTPUT_BYTES_MAX + 1)
        except OSError as error:
            return b"", f"the output cannot be read: {error.strerror}"
        finally:
            os.close(fd)
        if len(data) <= OUTPUT_BYTES_MAX:
            return data, ""
        if self.has_large_output():
            return b"", ""
        return b"", f"the output is larger than {OUTPUT_BLOB_BYTES_MAX} bytes and was dropped"

    def has_large_output(self) -> bool:
        """Whether the output does not fit into the state, but into a blob."""
        try:
            seen = self.output.lstat()
        except OSError:
            return False
        return (
            stat.S_ISREG(seen.st_mode) and OUTPUT_BYTES_MAX < seen.st_size <= OUTPUT_BLOB_BYTES_MAX
        )

    def settle(self) -> None:
        """Note, before a job gets it, whether any change from now on will show in its time stamps."""
        self._outer.settle()
        if self._inner is not None:
            self._inner.settle()

    def is_pristine(self) -> bool:
        """Whether it is certainly as it was made or filled, but for the output file, which is removed."""
        try:
            if self._inner is None or not self._has_its_folders_only():
                return False
            if self._inner.is_untouched():
                return True
            if self.bundle or not all(_is_empty_folder(folder) for folder in self._folders):
                return False
            self._inner.look()
        except OSError:
            return False
        return True

    def is_copy_of(self, files: Path) -> bool:
        """Whether it is as it was filled, by its contents: its time stamps were too young to tell.

        Blocks; for a thread. Nobody may use it meanwhile.
        """
        try:
            return (
                self._inner is not None
                and self._has_its_folders_only()
                and self._inner.looks_untouched()
                and _is_empty_folder(self.tmp)
                and _is_empty_folder(self.checkpoint)
                and is_copy(files, self.cwd)
                and self._inner.looks_untouched()
            )
        except OSError:
            return False

    def _has_its_folders_only(self) -> bool:
        if self._outer.is_untouched():
            return True
        with contextlib.suppress(FileNotFoundError):
            self.output.unlink()
        self._outer.look()
        return sorted(os.listdir(self.root)) == _NAMES  # noqa: PTH208 - speed

    @property
    def _folders(self) -> tuple[Path, ...]:
        return (self.cwd, self.tmp, self.checkpoint)

    def remove(self) -> None:
        """Remove it whatever is in it. Blocks; for a thread."""
        remove_tree(self.root)


def take_large_output(output: Path, target: Path) -> None:
    """Copy what a job has put out to where nobody else writes. Blocks; for a thread. Raises `OSError`."""
    fd = os.open(output, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(fd, "rb") as source, target.open("wb") as copy:
        left = OUTPUT_BLOB_BYTES_MAX
        while left and (data := source.read(min(left, _COPY_BYTES))):
            copy.write(data)
            left -= len(data)


def _is_empty_folder(path: Path) -> bool:
    seen = os.lstat(path)  # a job may have put a link in its place, or changed who may enter
    is_ours = seen.st_mode == stat.S_IFDIR | _MODE and seen.st_uid == os.getuid()
    return is_ours and not os.listdir(path)  # noqa: PTH208 - speed


def _copy(source: str, target: str) -> None:
    """Contents and the executable bit; the copy is the job's own to write."""
    shutil.copyfile(source, target, follow_symlinks=False)
    if not Path(target).is_symlink():
        mode = Path(source).stat().st_mode
        Path(target).chmod((mode & 0o777) | 0o600)


def remove_tree(path: Path) -> None:
    """Remove a tree, also one whose folders a job made unwritable."""
    for _ in range(2):
        shutil.rmtree(path, ignore_errors=True)
        if not path.exists():
            return
        for folder, _names, _files in os.walk(path):
            with contextlib.suppress(OSError):
                Path(folder).chmod(0o700)
