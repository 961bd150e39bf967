"""A master's disk: the consensus simulator's lossy one, with sync times, crashes in the middle, ENOSPC."""

from __future__ import annotations

import errno
import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Final

from tests.consensus.sim_disk import Inode, SimDisk, SimFile
from tests.sim.loop import Life, ProcessGone, SimLoop

PLENTY: Final = 1 << 40  # bytes of free space
FILES: Final = ("log", "hardstate", "snapshot", "incoming", "list")


def kind_of(path: Path | str) -> str:
    """Which of `FILES` a file of a master is, by its name or that which it will get."""
    name = str(path).rsplit("/", 1)[-1]
    if name.startswith("damaged-"):
        return "damaged"
    if name.startswith(("snapshot-", "outgoing")):
        return "snapshot"
    stem = name.split("-", 1)[0].split(".", 1)[0]
    return stem if stem in FILES else "list"


class HostFile(SimFile):
    """A file that takes time to sync and may be the last thing that its process touches."""

    _disk: HostDisk

    def __init__(self, disk: HostDisk, inode: Inode, *, kind: str) -> None:
        super().__init__(disk, inode)
        self._kind = kind

    def pwrite(self, data: bytes, *, offset: int) -> None:
        if self._disk.dies_now("write", self._kind):
            written = self._disk.rng.randrange(len(data) + 1)
            self._disk.happened["bytes torn"] += 0 < written < len(data)
            self._inode.write(data[:written], offset)
            self._disk.die()
        self._disk.refuse_when_full()
        super().pwrite(data, offset=offset)

    def datasync(self) -> None:
        self._disk.step("sync", self._kind)
        super().datasync()
        self._disk.wait()

    def truncate(self, size: int) -> None:
        self._disk.step("truncate", self._kind)
        super().truncate(size)


class HostDisk(SimDisk):
    """Belongs to a host and outlives its lives. `life` is the one that uses it now.

    `happened` counts what was lost, torn and refused, and where processes died.
    """

    def __init__(self, loop: SimLoop, rng: random.Random, on_crash: Callable[[], None]) -> None:
        super().__init__()
        self.loop, self.rng, self._on_crash = loop, rng, on_crash
        self.life: Life | None = None
        self.sync_s = 0.0
        self.is_full = False
        self.happened: Counter[str] = Counter()
        self._crash_in = 0  # operations until the process dies in the middle of one
        self._crash_on = ""  # one of FILES: only these count
        self._crash_in_at_start = 0
        self._image: dict[str, bytes] = {}

    # --- dying in the middle ---------------------------------------------------------------

    def arm(self, kind: str, operations: int) -> None:
        """Let the process die in the middle of an operation on files of a kind, "" for any."""
        self._crash_on, self._crash_in = kind, operations

    def arm_next_start(self, operations: int) -> None:
        """The same for the next process, from its first operation on."""
        self._crash_in_at_start = operations

    def disarm(self) -> None:
        """Nobody dies here."""
        self._crash_in = 0

    def started(self, life: Life | None) -> None:
        """Another process uses it."""
        self.life = life
        self.arm("", self._crash_in_at_start)
        self._crash_in_at_start = 0

    def dies_now(self, operation: str, kind: str) -> bool:
        """Count an operation; whether it is the one in which the process dies."""
        if self.life is None or not self.life.is_alive or self.loop.current is not self.life:
            raise ProcessGone
        if not self._crash_in or self._crash_on not in ("", kind):
            return False
        self._crash_in -= 1
        if self._crash_in == 0:
            self.happened[f"died in {operation} of {kind}"] += 1
        return self._crash_in == 0

    def step(self, operation: str, kind: str) -> None:
        """A moment in which the process may die."""
        if self.dies_now(operation, kind):
            self.die()

    def die(self) -> None:
        """The process ends here, between two steps of what it was doing."""
        self._on_crash()
        raise ProcessGone

    # --- what else goes wrong --------------------------------------------------------------

    def refuse_when_full(self) -> None:
        if self.is_full:
            self.happened["ENOSPC"] += 1
            raise OSError(errno.ENOSPC, "No space left on device")

    def fail_if_told(self) -> None:
        self.happened["EIO"] += self.fails
        super().fail_if_told()

    def make_room(self) -> None:
        """The disk is not full any more."""
        self.is_full, self.free = False, PLENTY

    def mend(self, *, sync_s: float) -> None:
        """As new, but for its content."""
        self.make_room()
        self.disarm()
        self._crash_in_at_start = 0
        self.fails, self.sync_s = False, sync_s

    def wait(self) -> None:
        """The caller blocks as long as the disk takes."""
        if self.life is not None:
            self.loop.busy(self.life, self.sync_s * self.rng.uniform(0.5, 1.5))

    def power_cut(self, rng: random.Random) -> None:
        """Lose what was not synced, or parts of it."""
        inodes = {id(inode): inode for inode in self.names_now.values()}
        pending = [(inode, list(inode.undo)) for inode in inodes.values() if inode.undo]
        names = set(self.names_now)
        super().power_cut(rng)
        self.happened["names lost"] += names != set(self.names_now)
        for inode, writes in pending:
            for offset, before, after in writes:
                there = bytes(inode.data[offset : offset + len(after)])
                is_lost = there == before.ljust(len(after), b"\0")
                self.happened["bytes lost"] += is_lost and there != after
                self.happened["bytes torn"] += not is_lost and there != after

    # --- content ---------------------------------------------------------------------------

    def wipe(self) -> None:
        """Another, empty disk."""
        self.names_now, self.history = {}, [{}]

    def keep_image(self) -> None:
        """Remember the content, to have it back when it has been damaged."""
        self._image = {name: bytes(inode.data) for name, inode in self.names_now.items()}

    def restore_image(self) -> None:
        """The content as it was remembered."""
        self.wipe()
        for name, data in self._image.items():
            inode = self.names_now[name] = Inode()
            inode.data[:] = data
        self.history = [dict(self.names_now)]

    # --- names -----------------------------------------------------------------------------

    def open(self, path: Path, *, create: bool = False) -> HostFile:
        if create and str(path) not in self.names_now:
            self.step("create", kind_of(path))
            self.refuse_when_full()
        inode = super().open(path, create=create)._inode
        return HostFile(self, inode, kind=kind_of(path))

    def replace(self, source: Path, target: Path) -> None:
        self.step("rename", kind_of(target))
        super().replace(source, target)
        self.step("rename", kind_of(target))

    def unlink(self, path: Path) -> None:
        if self.exists(path):
            self.step("unlink", kind_of(path))
        super().unlink(path)

    def fsync_dir(self, path: Path) -> None:
        self.step("sync", "directory")
        super().fsync_dir(path)
        self.wait()

    def lock(self, path: Path) -> HostFile:
        return HostFile(self, Inode(), kind="lock")

    def free_bytes(self, path: Path) -> int:
        return 0 if self.is_full else self.free
