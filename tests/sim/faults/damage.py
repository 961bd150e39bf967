"""A bit of a dead master's log, hard state or snapshot flips: it starts right, or refuses with the reason.

A refusal must come before the master has served anybody. Whoever refused gets its bytes back, or is
replaced with an empty disk; nothing else is a way back.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Final

from tests.sim.disk import kind_of
from tests.sim.faults.base import Hurting, Kind
from tests.sim.faults.members import Members

if TYPE_CHECKING:
    from tests.sim.hosts import MasterHost
    from tests.sim.world import World

CHECKSUMMED: Final = ("log", "hardstate", "snapshot")
BLANK: Final = 0.25  # how often the bit is one that was never written


class Damage(Hurting):
    """See the module."""

    def __init__(self, world: World, rng: random.Random, members: Members) -> None:
        super().__init__(world, rng)
        self._members = members

    def kinds(self) -> tuple[Kind, ...]:
        return (Kind(8, self.flip_bit),)

    def flip_bit(self) -> str | None:
        master = self.any_master()
        if not master.has_served or not self.may_lose(master):
            return None
        master.stop("killed, and a bit of its disk flips", power=self.rng.random() < 0.3)
        return f"{master.name} {self._flip(master)}"

    def _flip(self, master: MasterHost) -> str:
        files = master.disk.names_now
        by_kind = {
            kind: [name for name in sorted(files) if kind_of(name) == kind] for kind in CHECKSUMMED
        }
        kind = self.rng.choice([kind for kind, names in by_kind.items() if names])
        names = by_kind[kind]
        # Of snapshots only the newest is read at the next start: an older one could hurt much later.
        name = names[-1] if kind == "snapshot" else self.rng.choice(names)
        data = files[name].data
        used = len(data.rstrip(b"\0"))
        at = self.rng.randrange(len(data) if self.rng.random() < BLANK else used)
        master.disk.keep_image()
        data[at] ^= 1 << self.rng.randrange(8)
        master.damaged = kind
        self.world.happened(f"bit flipped in {kind}")
        return f"{name.rsplit('/', 1)[1]} at {at} of {used}"

    def repair(self, master: MasterHost) -> None:
        """After a refusal: an empty disk under a new identity, or the bytes that were written."""
        self.world.happened(f"refused a damaged {master.damaged}")
        is_lost = self._is_lost(master)
        self.world.note(
            f"{master.name} refused ({master.refused}): {'new' if is_lost else 'old'} disk"
        )
        master.damaged = master.refused = ""
        if is_lost:
            self._members.lose_disk(master)
        else:
            master.disk.restore_image()
            master.start()

    def _is_lost(self, master: MasterHost) -> bool:
        voters = self.world.voters()
        return (
            self._members.subject is None
            and master in voters
            and len(voters) >= 3
            and all(each.is_up for each in voters if each is not master)
            and self.rng.random() < 0.5
        )
