"""The private folder of an attempt: made before it starts, removed after it has ended.

Owns `work/<attempt>/`: `cwd` holds a copy of the bundle, `tmp` is TMPDIR, `output` is what the job may
hand to its children. Copies, not links: a job that rewrites its files must not touch the shared cache.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from titan.ids import AttemptId
from titan.limits import OUTPUT_BYTES_MAX

_OUTPUT_NAME: Final = "output"


@dataclass(frozen=True, slots=True)
class Workspace:
    """The folder of one attempt."""

    root: Path

    @property
    def cwd(self) -> Path:
        """Where the job starts."""
        return self.root / "cwd"

    @property
    def tmp(self) -> Path:
        """The job's TMPDIR."""
        return self.root / "tmp"

    @property
    def output(self) -> Path:
        """The file the job may write its output into; absent until it does."""
        return self.root / _OUTPUT_NAME

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
        with open(fd, "rb") as file:
            try:
                data = file.read(OUTPUT_BYTES_MAX + 1) or b""
            except OSError as error:
                return b"", f"the output cannot be read: {error.strerror}"
        if len(data) > OUTPUT_BYTES_MAX:
            return b"", f"the output is larger than {OUTPUT_BYTES_MAX} bytes and was dropped"
        return data, ""

    def remove_quickly(self) -> bool:
        """Remove it if the job left nothing in it; whether it is gone. Never takes long."""
        try:
            for folder in (self.tmp, self.cwd):
                with contextlib.suppress(FileNotFoundError):
                    folder.rmdir()
            with contextlib.suppress(FileNotFoundError):
                self.output.unlink()
            self.root.rmdir()
        except OSError:
            return not self.root.exists()
        return True

    def remove(self) -> None:
        """Remove it whatever is in it. Blocks; for a thread."""
        _remove(self.root)


class Workspaces:
    """Makes workspaces under one folder, which it empties first: what is there was left by a kill."""

    def __init__(self, root: Path) -> None:
        self._root = root
        _remove(root)
        root.mkdir(parents=True, exist_ok=True)

    def make(self, attempt: AttemptId) -> Workspace:
        """An empty workspace."""
        workspace = Workspace(self._root / str(attempt))
        for folder in (workspace.root, workspace.cwd, workspace.tmp):
            folder.mkdir(0o700)
        return workspace


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
