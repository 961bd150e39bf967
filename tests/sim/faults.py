"""What goes wrong, when, and for how long. Everything ends by itself or with `heal`."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from tests.sim.hosts import Host, MasterHost
    from tests.sim.world import World

MINUTE_S: Final = 60.0
PLENTY: Final = 1 << 40  # bytes of free space


class Faults:
    """Draws faults until `heal`, and starts again what has died."""

    def __init__(self, world: World, rng: random.Random) -> None:
        self.world, self.rng = world, rng
        self.count: Counter[str] = Counter()
        self.is_over = False
        self._kinds: list[tuple[int, Callable[[], str | None]]] = [
            (4, self.kill_master),
            (2, self.kill_leader),
            (2, self.cut_power),
            (1, self.cut_all_power),
            (3, self.crash_in_disk),
            (3, self.pause_master),
            (4, self.isolate),
            (3, self.strand_leader),
            (3, self.one_way),
            (2, self.split),
            (2, self.ring),
            (3, self.slow_link),
            (3, self.break_connections),
            (2, self.full_disk),
            (1, self.disk_error),
            (2, self.slow_disk),
            (2, self.jump_clock),
            (4, self.kill_worker),
            (4, self.zombie),
            (3, self.cut_off_worker),
            (1, self.double_worker),
            (2, self.kill_client),
            (1, self.drain_worker),
        ]

    # --- the plan --------------------------------------------------------------------------

    def plan(self) -> None:
        """The first fault; each plans the next."""
        self.world.loop.later(self.rng.uniform(0.8, 1.5), self._next)

    def _next(self) -> None:
        if self.is_over:
            return
        weights = [weight for weight, _ in self._kinds]
        kind = self.rng.choices([kind for _, kind in self._kinds], weights)[0]
        told = kind()
        if told is not None:
            self.count[kind.__name__] += 1
            self.world.note(f"FAULT {kind.__name__} {told}")
        mean_s = self.world.settings.fault_every_s
        self.world.loop.later(self.rng.uniform(0.2, 1.8) * mean_s, self._next)

    def restart_later(self, host: Host) -> None:
        """Whoever died is started again, sooner or later."""
        delay_s = 0.1 if self.is_over else self.rng.choice((0.05, 0.3, 1.0, 3.0))
        self.world.loop.later(delay_s, self._restart, host)

    def _restart(self, host: Host) -> None:
        if host in self.world.doubles or (self.is_over and host in self.world.clients):
            return
        host.start()

    def _undo_later(self, undo: Callable[[], None], *choices: float) -> None:
        self.world.loop.later(self.rng.choice(choices) * self.rng.uniform(0.5, 1.5), undo)

    def heal(self) -> None:
        """No more faults; everything that was broken works, everybody is up."""
        self.is_over = True
        world = self.world
        world.note("HEAL")
        world.executions.is_quick = True
        world.network.heal()
        for master in world.masters:
            master.disk.fails = master.disk.is_full = False
            master.disk.crash_in = -1
            master.disk.free = PLENTY
            master.disk.sync_s = world.settings.sync_s
        for double in world.doubles:
            double.stop("the copy is stopped")
        for host in world.hosts:
            host.resume()
            if host not in world.doubles and host not in world.clients:
                host.start()

    # --- choosing --------------------------------------------------------------------------

    def _master(self) -> MasterHost:
        return self.rng.choice(self.world.masters)

    def _leader_or_any(self) -> MasterHost:
        leader = self.world.leader()
        return leader if leader is not None and self.rng.random() < 0.6 else self._master()

    def _may_lose_a_master(self) -> bool:
        down = sum(not master.is_up for master in self.world.masters)
        return 2 * (down + 1) < len(self.world.masters) or self.rng.random() < 0.1

    # --- masters ---------------------------------------------------------------------------

    def kill_master(self) -> str | None:
        master = self._master()
        return self._kill(master, power=False)

    def kill_leader(self) -> str | None:
        leader = self.world.leader()
        return None if leader is None else self._kill(leader, power=self.rng.random() < 0.3)

    def cut_power(self) -> str | None:
        return self._kill(self._master(), power=True)

    def _kill(self, master: MasterHost, *, power: bool) -> str | None:
        if not master.is_up or not self._may_lose_a_master():
            return None
        master.stop("killed", power=power)
        return master.name

    def cut_all_power(self) -> str:
        for master in self.world.masters:
            master.stop("all lose power", power=True)
        return "all masters"

    def crash_in_disk(self) -> str | None:
        master = self._master()
        if not master.is_up or not self._may_lose_a_master():
            return None
        master.disk.crash_in = self.rng.randrange(1, 30)
        master.crash_with_power = self.rng.random() < 0.5
        return f"{master.name} in {master.disk.crash_in} operations"

    def pause_master(self) -> str:
        master = self._leader_or_any()
        master.pause()
        self._undo_later(master.resume, 0.1, 0.5, 2.0, 5.0)
        return master.name

    def full_disk(self) -> str:
        master = self._leader_or_any()
        if self.rng.random() < 0.5:
            master.disk.free = 1024

            self._undo_later(lambda: setattr(master.disk, "free", PLENTY), 1.0, 3.0)
            return f"{master.name} is below its reserve"
        master.disk.is_full = master.fails_disk = True
        self._undo_later(lambda: setattr(master.disk, "is_full", False), 0.5, 2.0)
        return master.name

    def disk_error(self) -> str | None:
        if not self._may_lose_a_master():
            return None
        master = self._master()
        master.disk.fails = master.fails_disk = True
        self._undo_later(lambda: setattr(master.disk, "fails", False), 0.1, 1.0)
        return master.name

    def slow_disk(self) -> str:
        master = self._master()
        master.disk.sync_s = self.rng.choice((0.02, 0.1, 1.5))

        def mend() -> None:
            master.disk.sync_s = self.world.settings.sync_s

        self._undo_later(mend, 0.5, 2.0)
        return f"{master.name} {master.disk.sync_s} s per sync"

    def jump_clock(self) -> str:
        host = self.rng.choice(self.world.hosts)
        seconds = self.rng.choice((-3600.0, -MINUTE_S, -1.0, 1.0, MINUTE_S, 3600.0))
        host.jump(seconds)
        return f"{host.name} {seconds:+} s"

    # --- the network -----------------------------------------------------------------------

    def _block(self, pairs: list[tuple[str, str]], *, noticed: bool) -> None:
        network = self.world.network
        for source, target in pairs:
            network.block(source, target)
            if noticed:
                network.break_between(source, target)

        def undo() -> None:
            for source, target in pairs:
                network.unblock(source, target)

        self._undo_later(undo, 0.3, 1.0, 3.0, 6.0)

    def isolate(self) -> str:
        victim = self._leader_or_any()
        others = [host.name for host in self.world.hosts if host is not victim]
        if self.rng.random() < 0.5:  # from the masters alone: clients and workers still reach it
            others = [master.name for master in self.world.masters if master is not victim]
        pairs = [(victim.name, other) for other in others]
        pairs += [(other, victim.name) for other in others]
        self._block(pairs, noticed=self.rng.random() < 0.3)
        return f"{victim.name} from {len(others)}"

    def strand_leader(self) -> str | None:
        """Cut off from the masters and from some clients, while the others still believe in it."""
        leader = self.world.leader()
        if leader is None:
            return None
        clients = self.rng.sample(self.world.clients, len(self.world.clients) - 1)
        gone = [client.name for client in clients]
        for name, others in (
            (leader.name, [one.name for one in self.world.masters if one is not leader]),
            (leader.name, gone),
        ):
            pairs = [(name, other) for other in others]
            self._block(pairs + [(b, a) for a, b in pairs], noticed=others is gone)
        return f"{leader.name} with {len(self.world.clients) - len(gone)} client"

    def one_way(self) -> str:
        a, b = self.rng.sample(self.world.masters, 2)
        pairs = [(a.name, b.name)]
        if self.rng.random() < 0.3:
            pairs = [(a.name, other.name) for other in self.world.masters if other is not a]
        self._block(pairs, noticed=False)
        return f"{a.name} to {[target for _, target in pairs]}"

    def split(self) -> str:
        hosts = list(self.world.hosts)
        self.rng.shuffle(hosts)
        cut = self.rng.randrange(1, len(hosts))
        left, right = hosts[:cut], hosts[cut:]
        pairs = [(a.name, b.name) for a in left for b in right]
        pairs += [(b, a) for a, b in pairs]
        self._block(pairs, noticed=self.rng.random() < 0.3)
        return f"{[host.name for host in left]} from the rest"

    def ring(self) -> str:
        """Each master sees its neighbours alone; with three, one is the bridge of the others."""
        names = [master.name for master in self.world.masters]
        self.rng.shuffle(names)
        count = len(names)
        cut = [(0, 1)] if count == 3 else [(i, (i + 2) % count) for i in range(count)]
        pairs = [(names[i], names[j]) for i, j in cut]
        pairs += [(b, a) for a, b in pairs]
        self._block(pairs, noticed=False)
        return str(names)

    def slow_link(self) -> str:
        a, b = self.rng.sample(self.world.hosts, 2)
        link = self.world.network.link(a.name, b.name)
        link.latency_s = self.rng.choice((0.02, 0.1, 0.4))
        link.jitter_s = self.rng.choice((0.0, link.latency_s))
        link.bytes_per_s = self.rng.choice((0.0, 125_000.0))

        def mend() -> None:
            link.latency_s, link.jitter_s, link.bytes_per_s = 0.0003, 0.0, 0.0

        self._undo_later(mend, 1.0, 4.0)
        return f"{a.name} to {b.name} {link.latency_s} s"

    def break_connections(self) -> str:
        a, b = self.rng.sample(self.world.hosts, 2)
        self.world.network.break_between(a.name, b.name)
        return f"{a.name} and {b.name}"

    # --- workers and clients ---------------------------------------------------------------

    def kill_worker(self) -> str | None:
        worker = self.rng.choice(self.world.workers)
        if not worker.is_up:
            return None
        worker.stop("killed", power=self.rng.random() < 0.3)
        return worker.name

    def zombie(self) -> str:
        """Paused until its lease is over, or nearly; its jobs go on and report late."""
        worker = self.rng.choice(self.world.workers)
        worker.pause()
        self._undo_later(worker.resume, 0.5, 4.0, 8.0)
        return worker.name

    def cut_off_worker(self) -> str:
        worker = self.rng.choice(self.world.workers)
        pairs = [(worker.name, master.name) for master in self.world.masters]
        pairs += [(b, a) for a, b in pairs]
        if self.rng.random() < 0.3:
            pairs = pairs[: len(pairs) // 2]
        self._block(pairs, noticed=self.rng.random() < 0.3)
        return worker.name

    def double_worker(self) -> str | None:
        """A second machine runs with the identity of a worker."""
        double, original = self.world.doubles[0], self.rng.choice(self.world.workers)
        if double.is_up or not (original.folder / "worker-id").exists():
            return None
        double.become_double_of(original)
        double.start()
        self._undo_later(lambda: double.stop("the copy is stopped"), 1.0, 5.0)
        return f"of {original.name}"

    def kill_client(self) -> str | None:
        client = self.rng.choice(self.world.clients)
        if not client.is_up:
            return None
        client.stop("killed")
        return client.name

    def drain_worker(self) -> str:
        worker = self.rng.choice(self.world.workers)
        mode = self.rng.choice(("cordoned", "draining"))
        self.world.set_mode(worker, mode)
        return f"{worker.name} {mode}"
