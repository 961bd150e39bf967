"""A fault: something done to a cluster that is undone later."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from chaos.control import Cluster, Member
from chaos.history import Recorder
from chaos.monitor import Monitor

LEADER_TIMEOUT_S = 15.0


class Need(Enum):
    """What a fault asks of the place where it happens."""

    LINKS = "links that can be cut"
    TMPFS = "a data directory on a file system of its own"
    WORKERS = "workers"
    MAJORITY = "three masters or more"
    FIVE = "five masters or more"


@dataclass(slots=True)
class World:
    """What a fault may touch."""

    cluster: Cluster
    monitor: Monitor
    recorder: Recorder
    rng: random.Random

    async def leader(self) -> Member:
        """The leader; any master when there is none for long."""
        found = await self.monitor.wait_leader(timeout_s=LEADER_TIMEOUT_S)
        return found or self.rng.choice(self.cluster.masters)

    async def follower(self) -> Member:
        """A master that does not lead."""
        leader = await self.leader()
        return self.rng.choice([m for m in self.cluster.masters if m is not leader])

    def number(self, master: Member) -> int:
        """The number by which the network knows a master."""
        return self.cluster.masters.index(master)

    def broken(self, check: str, what: str, *evidence: str) -> None:
        """A promise was seen broken while it happened."""
        self.recorder.event("broken", check=check, what=what, evidence=evidence)


class Injected(NamedTuple):
    """Who was hurt, and how to undo it."""

    target: str
    heal: Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Fault:
    """`inject` does it and answers how to undo it; it lasts a time drawn from `hold_s`."""

    name: str
    inject: Callable[[World], Awaitable[Injected]]
    hold_s: tuple[float, float]
    needs: frozenset[Need] = frozenset()
