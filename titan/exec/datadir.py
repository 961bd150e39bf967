"""The worker's data directory: who owns it, which worker it is, and where things are in it."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import Final

from titan.errors import Fatal
from titan.ids import WorkerId, new_worker_id

_ID_FILE: Final = "worker-id"
_LOCK_FILE: Final = "lock"
_MASTER_FILE: Final = "identity.json"  # of titan.master: what tells that a directory is a master's


class DataDir:
    """An opened, locked data directory. `close` releases it; so does the end of the process."""

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()
        self.root.mkdir(parents=True, exist_ok=True, mode=0o750)
        if (self.root / _MASTER_FILE).exists():
            raise Fatal(
                f"{self.root} belongs to a master", hint="give the worker a directory of its own"
            )
        self._lock_fd = _lock(self.root / _LOCK_FILE)
        self.worker = _worker_id(self.root / _ID_FILE)

    @property
    def outbox(self) -> Path:
        """The file of unconfirmed results."""
        return self.root / "outbox"

    @property
    def logs(self) -> Path:
        """The folder of the jobs' output."""
        return self.root / "logs"

    @property
    def work(self) -> Path:
        """The folder of the attempts' private folders; emptied when the worker starts."""
        return self.root / "work"

    @property
    def bundles(self) -> Path:
        """The cache of unpacked bundles."""
        return self.root / "bundles"

    @property
    def environments(self) -> Path:
        """The virtual environments that were built here."""
        return self.root / "environments"

    @property
    def private(self) -> Path:
        """What no job may read: what sandboxes and containers are told, what helpers said."""
        return self.root / "private"

    @property
    def files(self) -> Path:
        """The cache of blobs."""
        return self.root / "files"

    @property
    def scratch(self) -> Path:
        """What is on its way to the masters; emptied when the worker starts."""
        return self.root / "scratch"

    def close(self) -> None:
        """Let another worker have it."""
        os.close(self._lock_fd)


def _lock(path: Path) -> int:
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        owner = os.pread(fd, 64, 0).decode(errors="replace").strip()
        os.close(fd)
        raise Fatal(
            f"{path.parent} belongs to another running worker (process {owner or 'unknown'})",
            hint="give each worker its own --data directory",
        ) from None
    os.ftruncate(fd, 0)
    os.pwrite(fd, b"%d\n" % os.getpid(), 0)
    return fd


def _worker_id(path: Path) -> WorkerId:
    if path.exists():
        text = path.read_text().strip()
        if not text:
            raise Fatal(f"{path} is empty", hint="remove it to give the worker a new identity")
        return WorkerId(text)
    worker = new_worker_id()
    fresh = path.with_suffix(".new")
    fresh.write_text(f"{worker}\n")
    fresh.replace(path)
    return worker
