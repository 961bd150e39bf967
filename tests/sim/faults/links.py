"""Partitions of every shape, slow links, and connections that break, perhaps on one side only."""

from __future__ import annotations

from tests.sim.faults.base import Hurting, Kind
from tests.sim.network import LATENCY_S


class Links(Hurting):
    """See the module."""

    def kinds(self) -> tuple[Kind, ...]:
        return (
            Kind(4, self.isolate),
            Kind(3, self.strand_leader),
            Kind(3, self.one_way),
            Kind(2, self.split),
            Kind(2, self.ring),
            Kind(2, self.bridge),
            Kind(1, self.flap),
            Kind(3, self.slow_link),
            Kind(3, self.break_connections),
            Kind(3, self.reorder),
        )

    def block(self, pairs: list[tuple[str, str]], *, noticed: bool) -> None:
        """Cut directions for a while; `noticed`: their connections break, and dialling fails at once."""
        network = self.world.network
        for source, target in pairs:
            network.block(source, target, is_refused=noticed)
            if noticed:
                network.break_between(source, target)

        def undo() -> None:
            for source, target in pairs:
                network.unblock(source, target)

        self.undo_later(undo, 0.3, 1.0, 3.0, 6.0)

    def isolate(self) -> str:
        victim = self.leader_or_any()
        others = [host.name for host in self.world.hosts if host is not victim]
        if self.rng.random() < 0.5:  # from the masters alone: clients and workers still reach it
            others = [master.name for master in self.world.masters if master is not victim]
        self.block(both_ways((victim.name, other) for other in others), noticed=self._noticed())
        return f"{victim.name} from {len(others)}"

    def strand_leader(self) -> str | None:
        """Cut off from the masters and from some clients, while the others still believe in it."""
        leader = self.world.leader()
        if leader is None:
            return None
        clients = self.rng.sample(self.world.clients, len(self.world.clients) - 1)
        gone = [client.name for client in clients]
        masters = [one.name for one in self.world.masters if one is not leader]
        self.block(both_ways((leader.name, other) for other in masters), noticed=False)
        self.block(both_ways((leader.name, other) for other in gone), noticed=True)
        return f"{leader.name} with {len(self.world.clients) - len(gone)} client"

    def one_way(self) -> str:
        a, b = self.rng.sample(self.world.masters, 2)
        pairs = [(a.name, b.name)]
        if self.rng.random() < 0.3:
            pairs = [(a.name, other.name) for other in self.world.masters if other is not a]
            if self.rng.random() < 0.5:  # deaf instead of mute
                pairs = [(other, name) for name, other in pairs]
        self.block(pairs, noticed=False)
        return str(pairs)

    def split(self) -> str:
        hosts = list(self.world.hosts)
        self.rng.shuffle(hosts)
        cut = self.rng.randrange(1, len(hosts))
        left, right = hosts[:cut], hosts[cut:]
        self.block(
            both_ways((a.name, b.name) for a in left for b in right), noticed=self._noticed()
        )
        return f"{[host.name for host in left]} from the rest"

    def ring(self) -> str:
        """Each master sees its neighbours alone: with five, every one sees another majority."""
        names = self._shuffled()
        count = len(names)
        cut = [(i, (i + 2) % count) for i in range(count)] if count > 3 else [(0, 1)]
        self.block(both_ways((names[i], names[j]) for i, j in cut), noticed=False)
        return str(names)

    def bridge(self) -> str:
        """Two halves that share one master."""
        middle, *rest = self._shuffled()
        half = len(rest) // 2
        left, right = rest[:half], rest[half:]
        self.block(both_ways((a, b) for a in left for b in right), noticed=False)
        return f"{left} and {right} by {middle}"

    def flap(self) -> str:
        """A master that is there and gone, again and again."""
        victim = self.leader_or_any()
        pairs = both_ways(
            (victim.name, one.name) for one in self.world.masters if one is not victim
        )
        times = self.rng.randrange(2, 5)
        for number in range(times):
            self.world.loop.later(number * 0.8, self._gone_for_a_while, pairs)
        return f"{victim.name} {times} times"

    def _gone_for_a_while(self, pairs: list[tuple[str, str]]) -> None:
        if not self.world.faults.is_over:
            for pair in pairs:
                self.world.network.block(*pair)
            self.world.loop.later(0.4, self._back, pairs)

    def _back(self, pairs: list[tuple[str, str]]) -> None:
        for pair in pairs:
            self.world.network.unblock(*pair)

    def slow_link(self) -> str:
        a, b = self.rng.sample(self.world.hosts, 2)
        link = self.world.network.link(a.name, b.name)
        link.latency_s = self.rng.choice((0.02, 0.1, 0.4))
        link.jitter_s = self.rng.choice((0.0, link.latency_s))
        link.bytes_per_s = self.rng.choice((0.0, 125_000.0))

        def mend() -> None:
            link.latency_s, link.jitter_s, link.bytes_per_s = LATENCY_S, 0.0, 0.0

        self.undo_later(mend, 1.0, 4.0)
        return f"{a.name} to {b.name} {link.latency_s} s"

    def break_connections(self) -> str:
        a, b = self.rng.sample(self.world.hosts, 2)
        self.world.network.break_between(a.name, b.name)
        return f"{a.name} and {b.name}"

    def reorder(self) -> str:
        """One master gives up its connections to another, which still hears, late, what went over
        them: behind what comes over the new ones."""
        a, b = self.rng.sample(self.world.masters, 2)
        late_s = self.rng.choice((0.05, 0.2, 0.6))
        self.world.network.delay_open(a.name, b.name, late_s=late_s)
        self.world.loop.later(
            self.rng.uniform(0.02, 0.2), self.world.network.break_one_end, a.name, b.name
        )
        return f"{a.name} to {b.name}, {late_s} s late"

    def _shuffled(self) -> list[str]:
        names = [master.name for master in self.world.masters]
        self.rng.shuffle(names)
        return names

    def _noticed(self) -> bool:
        return self.rng.random() < 0.3


def both_ways(pairs: object) -> list[tuple[str, str]]:
    """Each pair and its opposite."""
    one_way: list[tuple[str, str]] = list(pairs)  # type: ignore[call-overload]
    return one_way + [(b, a) for a, b in one_way]
