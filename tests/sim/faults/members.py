"""Masters come and go: added, removed, replaced with an empty disk; and the leadership is moved.

Plays the operator, who does one thing at a time and insists until it is done. A disk is lost only while
every other voter is there: two disks lost at once are outside of what is promised.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Final

from tests.sim.faults.base import Hurting, Kind
from titan.errors import Conflict, TitanError
from titan.sdk.aio import AsyncClient
from titan.wire.messages import LeaderNamed, Ok, RemoveMaster, TransferLeadership

if TYPE_CHECKING:
    from tests.sim.hosts import MasterHost
    from tests.sim.world import World

LOOK_S: Final = 0.1
VOTERS_MIN: Final = 3  # before one of them is lost or removed


class Members(Hurting):
    """See the module. `subject` is the master that the operator is busy with."""

    def __init__(self, world: World, rng: random.Random) -> None:
        super().__init__(world, rng)
        self.subject: MasterHost | None = None

    def kinds(self) -> tuple[Kind, ...]:
        return (
            Kind(3, self.add_master),
            Kind(2, self.remove_master),
            Kind(2, self.replace_wiped),
            Kind(3, self.transfer),
        )

    # --- what is done ----------------------------------------------------------------------

    def add_master(self) -> str | None:
        """A new master is started with --join."""
        spare = next((each for each in self.world.all_masters if not each.is_in_use), None)
        if self.subject is not None or spare is None:
            return None
        self.subject = spare
        self._join(spare)
        return spare.name

    def remove_master(self) -> str | None:
        """A voter, perhaps the leader, is removed; it comes back as a new member."""
        if not self.may_lose_for_good():
            return None
        leader = self.world.leader()
        victim = self.rng.choice(self.world.voters())
        if leader is not None and self.rng.random() < 0.4:
            victim = leader
        self.subject = victim
        self._remove(victim)
        return f"{victim.name}{', the leader' if victim is leader else ''}"

    def replace_wiped(self) -> str | None:
        """A voter loses its disk and starts as if nothing had happened; then it is replaced."""
        if not self.may_lose_for_good():
            return None
        victim = self.rng.choice(self.world.voters())
        self.lose_disk(victim)
        return victim.name

    def transfer(self) -> str | None:
        """The leadership is moved to somebody, or to one."""
        voters = self.world.voters()
        address = self.rng.choice(("", *(each.address for each in voters)))
        self.world.as_admin(lambda client: self._transfer(client, address))
        return address or "to anybody"

    async def _transfer(self, client: AsyncClient, address: str) -> None:
        named = await client._ask(TransferLeadership(address=address), LeaderNamed)
        self.world.happened(f"leadership moved to {'one' if address else 'anybody'}")
        self.world.note(f"{named.address} took over")

    # --- for good --------------------------------------------------------------------------

    def may_lose_for_good(self) -> bool:
        """Whether a voter may vanish: nobody else is lost, and the others are there."""
        voters = self.world.voters()
        return (
            self.subject is None
            and len(voters) >= VOTERS_MIN
            and all(each.is_up and not each.refused for each in voters)
            and self.world.leader() is not None
        )

    def lose_disk(self, victim: MasterHost) -> None:
        """Wipe it, let it try with what it was told before, and then replace it."""
        self.subject = victim
        victim.stop("its disk is replaced by an empty one", power=True)
        victim.wipe()
        self.world.happened("disk lost")
        victim.is_amnesiac = True
        delay_s = 0.1 if self.world.faults.is_over else self.rng.uniform(0.5, 2.5)
        self.world.loop.later(delay_s, self._remove, victim)

    def _remove(self, victim: MasterHost) -> None:
        victim.may_be_removed = True
        if victim.is_amnesiac and victim.joins:  # else it would be let in before it is started anew
            victim.is_held = True
            victim.stop("the operator takes it down")
        self.world.as_admin(lambda client: self._insist(client, victim))

    async def _insist(self, client: AsyncClient, victim: MasterHost) -> None:
        """Ask until the victim is no member any more."""
        try:
            await client._ask(RemoveMaster(address=victim.address), Ok)
        except Conflict as error:
            if error.reason != "member_unknown":
                self.world.violate(f"removing {victim.name} was refused: {error.reason} {error}")
                return
        except TitanError as error:
            self.world.note(f"removing {victim.name}: {type(error).__name__} {error}")
            self.world.loop.later(LOOK_S, self._remove, victim)
            return
        self.world.note(f"{victim.name} is removed")
        self.world.happened("master removed")
        delay_s = 0.1 if self.world.faults.is_over else self.rng.uniform(0.3, 2.0)
        self.world.loop.later(delay_s, self._join, victim)

    def _join(self, host: MasterHost) -> None:
        """Start it with an empty disk and --join, and be done when it counts."""
        host.stop("the operator takes it down")
        host.wipe()
        host.joins, host.is_in_use = True, True
        host.may_be_removed = host.is_amnesiac = host.is_held = False
        host.start()
        self.world.loop.later(LOOK_S, self._until_it_counts, host)

    def _until_it_counts(self, host: MasterHost) -> None:
        if host in self.world.voters():
            self.world.happened("newcomer became voter")
            self.subject = None
        else:
            self.world.loop.later(LOOK_S, self._until_it_counts, host)
