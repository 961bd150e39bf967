"""Disks of masters fill up, fail, are slow, and are the last thing that a process touches."""

from __future__ import annotations

from typing import Final

from tests.sim.disk import FILES
from tests.sim.faults.base import Hurting, Kind

DISARM_S: Final = 4.0


class Disks(Hurting):
    """See the module."""

    def kinds(self) -> tuple[Kind, ...]:
        return (
            Kind(8, self.crash_in_disk),
            Kind(2, self.crash_in_recovery),
            Kind(2, self.full_disk),
            Kind(1, self.disk_error),
            Kind(2, self.slow_disk),
        )

    def crash_in_disk(self) -> str | None:
        """The process dies in the middle of one of its next operations on one kind of file."""
        master = self.any_master()
        if not master.is_up or not self.may_lose(master):
            return None
        file = self.rng.choice(("", *FILES))
        operations = self.rng.randrange(1, 30 if file in ("", "log") else 6)
        master.disk.arm(file, operations)
        master.crash_with_power = self.rng.random() < 0.5
        armed = master.life

        def disarm() -> None:
            if master.life is armed:
                master.disk.disarm()

        self.undo_later(disarm, DISARM_S)
        return f"{master.name} in operation {operations} on {file or 'anything'}"

    def crash_in_recovery(self) -> str | None:
        """It dies, and dies again while it reads its log and snapshots back."""
        master = self.any_master()
        if not master.is_up or not self.may_lose(master):
            return None
        master.disk.arm_next_start(self.rng.randrange(1, 8))
        power = master.crash_with_power = self.rng.random() < 0.5
        master.stop("killed, and will be again", power=power)
        return master.name

    def full_disk(self) -> str:
        master = self.leader_or_any()
        disk = master.disk
        if self.rng.random() < 0.5:
            disk.free = 1024
            self.undo_later(disk.make_room, 1.0, 3.0)
            return f"{master.name} is below its reserve"
        disk.is_full = master.fails_disk = True
        self.undo_later(disk.make_room, 0.5, 2.0)
        return master.name

    def disk_error(self) -> str | None:
        master = self.any_master()
        if not self.may_lose(master):
            return None
        master.disk.fails = master.fails_disk = True
        self.undo_later(lambda: setattr(master.disk, "fails", False), 0.1, 1.0)
        return master.name

    def slow_disk(self) -> str:
        master = self.any_master()
        master.disk.sync_s = self.rng.choice((0.02, 0.1, 1.5))

        def mend() -> None:
            master.disk.sync_s = self.world.settings.sync_s

        self.undo_later(mend, 0.5, 2.0)
        return f"{master.name} {master.disk.sync_s} s per sync"
