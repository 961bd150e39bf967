"""A member dies in each single operation on its disk in turn, by itself or with the power, and comes back.

One story in which a member stores a log, votes, rolls segments, takes snapshots, is left behind and gets
the leader's snapshot. It is told once for every operation that its disk sees in it. The chance of the
whole-cluster simulation is not enough for that: the rare operations are the dangerous ones.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from tests.consensus.sim import Cluster, small_limits
from tests.consensus.sim_disk import SimDisk, SimFile
from tests.sim.disk import kind_of
from titan import limits

PARTS = 3  # of the operations, so that one test takes seconds
DOWN_S = 0.1


class Died(BaseException):
    """The process ends here."""


class MortalFile(SimFile):
    _disk: MortalDisk
    kind: str

    def pwrite(self, data: bytes, *, offset: int) -> None:
        if self._disk.is_last("write", self.kind):
            self._inode.write(data[: len(data) // 2], offset)
            raise Died
        super().pwrite(data, offset=offset)

    def datasync(self) -> None:
        self._disk.step("sync", self.kind)
        super().datasync()

    def truncate(self, size: int) -> None:
        self._disk.step("truncate", self.kind)
        super().truncate(size)

    def allocate(self, *, offset: int, size: int) -> None:
        self._disk.step("allocate", self.kind)
        super().allocate(offset=offset, size=size)


class MortalDisk(SimDisk):
    """Ends the process in operation `dies_at`, counted over all its lives."""

    def __init__(self, dies_at: int) -> None:
        super().__init__()
        self.dies_at = dies_at
        self.seen: list[str] = []

    def is_last(self, operation: str, kind: str) -> bool:
        self.seen.append(f"{operation} {kind}")
        return len(self.seen) == self.dies_at

    def step(self, operation: str, kind: str) -> None:
        if self.is_last(operation, kind):
            raise Died

    def open(self, path: Path, *, create: bool = False) -> MortalFile:
        if create and str(path) not in self.names_now:
            self.step("create", kind_of(path))
        file = MortalFile(self, super().open(path, create=create)._inode)
        file.kind = kind_of(path)
        return file

    def replace(self, source: Path, target: Path) -> None:
        self.step("rename to", kind_of(target))
        super().replace(source, target)
        self.step("renamed to", kind_of(target))

    def unlink(self, path: Path) -> None:
        if self.exists(path):
            self.step("unlink", kind_of(path))
        super().unlink(path)

    def fsync_dir(self, path: Path) -> None:
        self.step("sync", "directory")
        super().fsync_dir(path)


class Mortal(Cluster):
    """C dies once and is started again; the others live."""

    def __init__(self, *, dies_at: int, with_power: bool) -> None:
        self.disk = MortalDisk(dies_at)
        self.with_power = with_power
        self.deaths = 0
        super().__init__(snapshot_entries=24, keep_entries=4, rtt_budget_ms=50)

    def start(self, name: str) -> bool:
        if name == "C":
            self[name].disk = self.disk
        try:
            return super().start(name)
        except Died:
            self._die()
            return False

    def step(self) -> None:
        try:
            super().step()
        except Died:
            self._die()

    def _die(self) -> None:
        self.deaths += 1
        self.crash("C", power=self.with_power)
        self.later(DOWN_S, lambda: self.restart("C") and None)


def tell(*, dies_at: int = -1, with_power: bool = False) -> Mortal:
    """The story; C must have everything in the end."""
    c = Mortal(dies_at=dies_at, with_power=with_power)
    c.elect("A")
    wanted = [f"early{i}" for i in range(40)]
    c.write("A", *[f"{key}={'x' * 200}" for key in wanted])
    c.net.disconnect("A", "C")
    c.net.disconnect("B", "C")
    c.write("A", *[f"missed{i}={'y' * 100}" for i in range(40)])
    c["A"].live.core.request_compaction()
    c.run(0.3)
    c.net.connect("A", "C")
    c.net.connect("B", "C")
    c.run(0.5)
    c.elect("B")
    c.write("B", *[f"late{i}=z" for i in range(10)])
    assert c.run(20, until=lambda: c["C"].replica is not None and c.converged()), c.disk.seen[-5:]
    assert not c.fatal, c.fatal
    wanted += [f"missed{i}" for i in range(40)] + [f"late{i}" for i in range(10)]
    assert set(wanted) <= set(c["C"].machine.data)
    return c


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    small_limits(monkeypatch)
    for name, size in (
        ("SEGMENT_BYTES", 4096), ("SNAPSHOT_CHUNK_BYTES", 2048), ("SNAPSHOT_BLOCK_BYTES", 2048),
        ("APPEND_BATCH_BYTES", 2000),
    ):  # fmt: skip
        monkeypatch.setattr(limits, name, size)


def test_the_story_sees_every_kind_of_operation() -> None:
    c = tell()
    seen = Counter(c.disk.seen)
    for needed in (
        "write log", "sync log", "create log", "renamed to log", "unlink log", "write hardstate",
        "sync hardstate", "write snapshot", "sync snapshot", "renamed to snapshot",
        "unlink snapshot", "write incoming", "sync incoming", "write list", "sync directory",
    ):  # fmt: skip
        assert seen[needed], (needed, seen)
    assert c["C"].live.counters["snapshot installed"] == 1


@pytest.mark.timeout(300)
@pytest.mark.parametrize("with_power", [False, True], ids=["killed", "power"])
@pytest.mark.parametrize("part", range(PARTS))
def test_death_in_any_operation_loses_nothing(part: int, with_power: bool) -> None:
    operations = len(tell().disk.seen)
    for dies_at in range(1 + part, operations + 1, PARTS):
        c = tell(dies_at=dies_at, with_power=with_power)
        assert c.deaths == 1, f"nobody died in operation {dies_at} of {operations}"
