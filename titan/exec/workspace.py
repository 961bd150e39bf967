"""The private folder of an attempt: made before it starts, emptied or removed after it has ended.

Owns `work/`. In each folder there, `cwd` holds a copy of the bundle, `tmp` is TMPDIR, `checkpoint` is what
the job's next attempt is to find, `output` is what the job may hand to its children. Copies, not links: a
job that rewrites its files must not touch the shared cache.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import time
from pathlib import Path
from typing import Final

from titan.limits import MIB, OUTPUT_BLOB_BYTES_MAX, OUTPUT_BYTES_MAX

_OUTPUT_NAME: Final = "output"
_MODE: Final = 0o700
_COPY_BYTES: Final = 1 * MIB
_FREE_MAX: Final = 64  # pristine folders kept
_CLOCK_STEP_NS: Final = 50_000_000  # time stamps come from a clock that moves every 1 to 10 ms


class Workspace:
    """The folder of one attempt."""

    __slots__ = ("_changed_ns", "_is_settled", "checkpoint", "cwd", "output", "root", "tmp")

    def __init__(self, root: Path) -> None:
        self.root = root
        self.cwd = root / "cwd"  # where the job starts
        self.tmp = root / "tmp"  # its TMPDIR
        self.checkpoint = root / "checkpoint"  # what the job's next attempt is to find
        self.output = root / _OUTPUT_NAME  # absent until the job writes it
        self._changed_ns: tuple[int, ...] = ()  # of its folders, when they were last looked into
        self._is_settled = False

    def make(self) -> None:
        """Create its folders."""
        for folder in (self.root, *self._folders):
            folder.mkdir(_MODE)

    def fill(self, bundle: Path) -> None:
        """Copy the bundle's files to where the job starts. Blocks; for a thread."""
        shutil.copytree(bundle, self.cwd, symlinks=True, dirs_exist_ok=True, copy_function=_copy)

    def read_output(self) -> tuple[bytes, str]:
        """What the job wrote as its output, and what is wrong with it ("" when nothing is)."""
        try:
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

    def take_large_output(self, target: Path) -> None:
        """Copy it to where nobody else writes. Blocks; for a thread. Raises `OSError`."""
        fd = os.open(self.output, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(fd, "rb") as source, target.open("wb") as copy:
            left = OUTPUT_BLOB_BYTES_MAX
            while left and (data := source.read(min(left, _COPY_BYTES))):
                copy.write(data)
                left -= len(data)

    def settle(self) -> None:
        """Note, before a job gets it, whether any change from now on will show in its time stamps."""
        since_ns = time.time_ns() - _CLOCK_STEP_NS
        self._is_settled = bool(self._changed_ns) and max(self._changed_ns) < since_ns

    def is_pristine(self) -> bool:
        """Whether it is as it was made, but for the output file, which is removed here.

        The time of the last change of a folder cannot be set by anybody: while it is what it was,
        nothing in there was made, removed, renamed or opened to others.
        """
        try:
            if self._is_settled and self._changed_ns == self._read_changed_ns():
                return True
            with contextlib.suppress(FileNotFoundError):
                self.output.unlink()
            self._changed_ns = self._read_changed_ns()
            names = sorted(os.listdir(self.root))  # noqa: PTH208 - speed
            return names == ["checkpoint", "cwd", "tmp"] and all(
                _is_empty_folder(folder) for folder in self._folders
            )
        except OSError:
            return False

    def _read_changed_ns(self) -> tuple[int, ...]:
        return tuple(os.lstat(folder).st_ctime_ns for folder in (self.root, *self._folders))

    @property
    def _folders(self) -> tuple[Path, ...]:
        return (self.cwd, self.tmp, self.checkpoint)

    def remove(self) -> None:
        """Remove it whatever is in it. Blocks; for a thread."""
        _remove(self.root)


class Workspaces:
    """Makes workspaces under one folder, which it empties first: what is there was left by a kill.

    A workspace that its attempt left as it was serves again: on ext4 removing three folders costs
    more than running a small job.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._free: list[Workspace] = []
        self._made = 0
        _remove(root)
        root.mkdir(parents=True, exist_ok=True)

    def take(self) -> Workspace:
        """An empty workspace that is nobody else's."""
        if self._free:
            workspace = self._free.pop()
            workspace.settle()
            return workspace
        self._made += 1
        workspace = Workspace(self._root / str(self._made))
        workspace.make()
        return workspace

    def give_back(self, workspace: Workspace) -> bool:
        """Keep it for another attempt if it is pristine; else the caller must have it removed."""
        if len(self._free) >= _FREE_MAX or not workspace.is_pristine():
            return False
        self._free.append(workspace)
        return True


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


def _remove(path: Path) -> None:
    """Remove a tree, also one whose folders a job made unwritable."""
    for _ in range(2):
        shutil.rmtree(path, ignore_errors=True)
        if not path.exists():
            return
        for folder, _names, _files in os.walk(path):
            with contextlib.suppress(OSError):
                Path(folder).chmod(0o700)
