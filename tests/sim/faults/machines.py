"""Workers and clients die, stand still, are cut off, or exist twice."""

from __future__ import annotations

from tests.sim.faults.base import Hurting, Kind
from tests.sim.faults.links import Links, both_ways


class Machines(Hurting):
    """See the module."""

    def kinds(self) -> tuple[Kind, ...]:
        return (
            Kind(4, self.kill_worker),
            Kind(4, self.zombie),
            Kind(3, self.cut_off_worker),
            Kind(1, self.double_worker),
            Kind(2, self.kill_client),
            Kind(1, self.drain_worker),
        )

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
        self.undo_later(worker.resume, 0.5, 4.0, 8.0)
        return worker.name

    def cut_off_worker(self) -> str:
        worker = self.rng.choice(self.world.workers)
        pairs = both_ways((worker.name, master.name) for master in self.world.masters)
        if self.rng.random() < 0.3:
            pairs = pairs[: len(pairs) // 2]
        Links(self.world, self.rng).block(pairs, noticed=self.rng.random() < 0.3)
        return worker.name

    def double_worker(self) -> str | None:
        """A second machine runs with the identity of a worker."""
        double, original = self.world.doubles[0], self.rng.choice(self.world.workers)
        if double.is_up or not (original.folder / "worker-id").exists():
            return None
        double.become_double_of(original)
        double.start()
        self.undo_later(lambda: double.stop("the copy is stopped"), 1.0, 5.0)
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
