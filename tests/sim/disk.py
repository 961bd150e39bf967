"""A master's disk: the consensus simulator's lossy one, with sync times, crashes in the middle, ENOSPC."""

from __future__ import annotations

import errno
import random
from collections.abc import Callable
from pathlib import Path

from tests.consensus.sim_disk import Inode, SimDisk, SimFile
from tests.sim.loop import Life, ProcessGone, SimLoop


class HostFile(SimFile):
    """A file that takes time to sync and may be the last thing that its process touches."""

    _disk: HostDisk

    def pwrite(self, data: bytes, *, offset: int) -> None:
        if self._disk.dies_now():
            self._inode.write(data[: self._disk.rng.randrange(len(data) + 1)], offset)
            self._disk.die()
        self._disk.refuse_when_full()
        super().pwrite(data, offset=offset)

    def datasync(self) -> None:
        if self._disk.dies_now():
            self._disk.die()
        super().datasync()
        self._disk.wait()

    def truncate(self, size: int) -> None:
        if self._disk.dies_now():
            self._disk.die()
        super().truncate(size)


class HostDisk(SimDisk):
    """Belongs to a host and outlives its lives. `life` is the one that uses it now."""

    def __init__(self, loop: SimLoop, rng: random.Random, on_crash: Callable[[], None]) -> None:
        super().__init__()
        self.loop, self.rng, self._on_crash = loop, rng, on_crash
        self.life: Life | None = None
        self.sync_s = 0.0
        self.is_full = False
        self.crash_in = -1  # operations until the process dies in the middle of one
        self.operations = 0

    def dies_now(self) -> bool:
        """Count an operation; whether it is the one in which the process dies."""
        if self.life is None or not self.life.is_alive or self.loop.current is not self.life:
            raise ProcessGone
        self.operations += 1
        if self.crash_in > 0:
            self.crash_in -= 1
        return self.crash_in == 0

    def die(self) -> None:
        """The process ends here, between two steps of what it was doing."""
        self.crash_in = -1
        self._on_crash()
        raise ProcessGone

    def refuse_when_full(self) -> None:
        if self.is_full:
            raise OSError(errno.ENOSPC, "No space left on device")

    def wait(self) -> None:
        """The caller blocks as long as the disk takes."""
        if self.life is not None:
            self.loop.busy(self.life, self.sync_s * self.rng.uniform(0.5, 1.5))

    def open(self, path: Path, *, create: bool = False) -> HostFile:
        if create and str(path) not in self.names_now:
            self._step()
            self.refuse_when_full()
        inode = super().open(path, create=create)._inode
        return HostFile(self, inode)

    def replace(self, source: Path, target: Path) -> None:
        self._step()
        super().replace(source, target)
        self._step()

    def unlink(self, path: Path) -> None:
        self._step()
        super().unlink(path)

    def fsync_dir(self, path: Path) -> None:
        self._step()
        super().fsync_dir(path)
        self.wait()

    def lock(self, path: Path) -> HostFile:
        return HostFile(self, Inode())

    def free_bytes(self, path: Path) -> int:
        return 0 if self.is_full else self.free

    def _step(self) -> None:
        if self.dies_now():
            self.die()
