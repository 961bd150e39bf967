"""What goes wrong, when, and for how long. Everything ends by itself or with `heal`."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Final

from tests.sim.faults.base import Hurting, Kind
from tests.sim.faults.damage import Damage
from tests.sim.faults.disks import Disks
from tests.sim.faults.links import Links
from tests.sim.faults.machines import Machines
from tests.sim.faults.masters import Masters
from tests.sim.faults.members import Members
from tests.sim.faults.rivals import Rivals
from tests.sim.hosts import MasterHost

if TYPE_CHECKING:
    from tests.sim.hosts import Host
    from tests.sim.world import World

SWARMS: Final = 0.6  # of the seeds draw from a few kinds of faults
SWARM_SIZES: Final = (3, 5, 8)


class Faults:
    """Draws faults until `heal`, and starts again what has died. `only`: the kinds to draw from; none
    leaves the choice to the seed."""

    def __init__(self, world: World, rng: random.Random, *, only: Collection[str] = ()) -> None:
        self.world, self.rng = world, rng
        self.count: Counter[str] = Counter()
        self.is_over = False
        self.members = Members(world, rng)
        self.damage = Damage(world, rng, self.members)
        groups: tuple[Hurting, ...] = (
            Masters(world, rng),
            Disks(world, rng),
            self.damage,
            self.members,
            Links(world, rng),
            Rivals(world, rng),
            Machines(world, rng),
        )
        self.kinds: tuple[Kind, ...] = tuple(kind for group in groups for kind in group.kinds())
        self._swarm = _swarm(self.kinds, random.Random(f"swarm {world.seed}"))
        if only:
            self._swarm = [kind for kind in self.kinds if kind.name in only]
            assert len(self._swarm) == len(only), f"{only} of {[one.name for one in self.kinds]}"

    def plan(self) -> None:
        """The first fault; each plans the next."""
        self.world.loop.later(self.rng.uniform(0.8, 1.5), self._next)

    def _next(self) -> None:
        if self.is_over:
            return
        kind = self.rng.choices(self._swarm, [kind.weight for kind in self._swarm])[0]
        told = kind.inject()
        if told is not None:
            self.count[kind.name] += 1
            self.world.note(f"FAULT {kind.name} {told}")
        mean_s = self.world.settings.fault_every_s
        self.world.loop.later(self.rng.uniform(0.2, 1.8) * mean_s, self._next)

    def restart_later(self, host: Host) -> None:
        """Whoever died is started again, sooner or later."""
        delay_s = 0.1 if self.is_over else self.rng.choice((0.05, 0.3, 1.0, 3.0))
        self.world.loop.later(delay_s, self._restart, host)

    def _restart(self, host: Host) -> None:
        if host in self.world.doubles or (self.is_over and host in self.world.clients):
            return
        if isinstance(host, MasterHost) and host.refused:
            self.damage.repair(host)
        else:
            host.start()

    def heal(self) -> None:
        """No more faults; everything that was broken works, everybody is up."""
        self.is_over = True
        world = self.world
        world.note("HEAL")
        world.executions.is_quick = True
        world.network.heal()
        for master in world.all_masters:
            master.disk.mend(sync_s=world.settings.sync_s)
        for double in world.doubles:
            double.stop("the copy is stopped")
        for host in world.hosts:
            host.resume()
            if host not in world.doubles and host not in world.clients:
                self._restart(host)


def _swarm(kinds: tuple[Kind, ...], rng: random.Random) -> Sequence[Kind]:
    """The faults of one seed: all of them, or a few that then come again and again and meet one another
    (Groce et al., "Swarm Testing", 2012). Over many seeds each comes as often as with all."""
    if rng.random() < SWARMS:
        return rng.sample(kinds, rng.choice(SWARM_SIZES))
    return kinds
