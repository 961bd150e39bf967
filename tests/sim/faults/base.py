"""What every kind of fault needs: the world, chance, a choice of victims, and an end by itself."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from tests.sim.hosts import MasterHost
    from tests.sim.world import World


class Kind(NamedTuple):
    """One fault. It answers what it did, or None when it cannot be done now."""

    weight: int
    inject: Callable[[], str | None]

    @property
    def name(self) -> str:
        return self.inject.__name__


class Hurting:
    """One group of faults on one world."""

    def __init__(self, world: World, rng: random.Random) -> None:
        self.world, self.rng = world, rng

    def kinds(self) -> tuple[Kind, ...]:
        """The faults of this group and how often each comes."""
        raise NotImplementedError

    def undo_later(self, undo: Callable[[], None], *choices: float) -> None:
        """End it by itself after about one of these times."""
        self.world.loop.later(self.rng.choice(choices) * self.rng.uniform(0.5, 1.5), undo)

    def any_master(self) -> MasterHost:
        """One that is in use."""
        return self.rng.choice(self.world.masters)

    def leader_or_any(self) -> MasterHost:
        """Rather the leader."""
        leader = self.world.leader()
        return leader if leader is not None and self.rng.random() < 0.6 else self.any_master()

    def may_lose(self, master: MasterHost) -> bool:
        """Whether the voters that are left are a majority; now and then it does not matter."""
        voters = self.world.voters()
        down = [each for each in voters if each is master or not each.is_up]
        return 2 * len(down) < len(voters) or self.rng.random() < 0.1
