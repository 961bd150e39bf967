"""A disk in memory that forgets, at a power cut, what was not synced."""

from __future__ import annotations

import errno
import random
from pathlib import Path

SECTOR = 512


class Inode:
    def __init__(self) -> None:
        self.data = bytearray()
        self.undo: list[tuple[int, bytes, bytes]] = []  # offset, before, after (both to the end)

    def write(self, data: bytes, offset: int) -> None:
        if len(self.data) < offset:
            self.data.extend(bytes(offset - len(self.data)))
        self.undo.append((offset, bytes(self.data[offset : offset + len(data)]), bytes(data)))
        self.data[offset : offset + len(data)] = data

    def power_cut(self, rng: random.Random) -> None:
        pending, self.undo = self.undo, []
        for offset, before, after in reversed(pending):
            self.data[offset : offset + len(after)] = before.ljust(len(after), b"\0")
        for offset, _, after in pending:
            kept = rng.choice((0, len(after), rng.randrange(len(after) + 1) // SECTOR * SECTOR))
            self.data[offset : offset + kept] = after[:kept]


class SimFile:
    def __init__(self, disk: SimDisk, inode: Inode) -> None:
        self._disk, self._inode = disk, inode

    def pwrite(self, data: bytes, *, offset: int) -> None:
        self._disk.fail_if_told()
        self._inode.write(data, offset)

    def read(self, *, offset: int, size: int) -> bytes:
        return bytes(self._inode.data[offset : offset + size])

    def size(self) -> int:
        return len(self._inode.data)

    def allocate(self, *, offset: int, size: int) -> None:
        missing = offset + size - len(self._inode.data)
        self._inode.data.extend(bytes(max(0, missing)))

    def truncate(self, size: int) -> None:
        del self._inode.data[size:]

    def datasync(self) -> None:
        self._disk.fail_if_told()
        self._disk.syncs += 1
        if self._disk.syncs == self._disk.power_ends_at_sync:
            raise OSError(errno.EIO, "the power went")
        if self._disk.honours_sync:
            self._inode.undo.clear()

    def close(self) -> None:
        pass


class SimDisk:
    def __init__(self) -> None:
        self.names_now: dict[str, Inode] = {}
        self.history: list[dict[str, Inode]] = [{}]  # states of the directory since its last sync
        self.free = 1 << 40
        self.syncs = 0
        self.honours_sync = True
        self.fails = False
        self.power_ends_at_sync = -1

    def fail_if_told(self) -> None:
        if self.fails:
            raise OSError(errno.EIO, "injected")

    def power_cut(self, rng: random.Random) -> None:
        everything = {id(i): i for names in self.history for i in names.values()}
        everything |= {id(i): i for i in self.names_now.values()}
        for inode in everything.values():
            inode.power_cut(rng)
        self.names_now = dict(rng.choice(self.history))
        self.history = [dict(self.names_now)]

    def _changed(self) -> None:
        self.history.append(dict(self.names_now))

    def make_dir(self, path: Path) -> None:
        pass

    def names(self, path: Path) -> list[str]:
        return sorted(n.rsplit("/", 1)[1] for n in self.names_now if Path(n).parent == path)

    def exists(self, path: Path) -> bool:
        return str(path) in self.names_now

    def open(self, path: Path, *, create: bool = False) -> SimFile:
        if str(path) not in self.names_now:
            if not create:
                raise FileNotFoundError(str(path))
            self.names_now[str(path)] = Inode()
            self._changed()
        return SimFile(self, self.names_now[str(path)])

    def replace(self, source: Path, target: Path) -> None:
        self.names_now[str(target)] = self.names_now.pop(str(source))
        self._changed()

    def unlink(self, path: Path) -> None:
        if self.names_now.pop(str(path), None) is not None:
            self._changed()

    def fsync_dir(self, path: Path) -> None:
        self.fail_if_told()
        if self.honours_sync:
            self.history = [dict(self.names_now)]

    def free_bytes(self, path: Path) -> int:
        return self.free

    def lock(self, path: Path) -> SimFile:
        return SimFile(self, Inode())
