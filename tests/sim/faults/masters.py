"""Masters die, stop in an orderly way, stand still, or live by another clock."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tests.sim.faults.base import Hurting, Kind

if TYPE_CHECKING:
    from tests.sim.hosts import MasterHost

MINUTE_S: Final = 60.0


class Masters(Hurting):
    """See the module."""

    def kinds(self) -> tuple[Kind, ...]:
        return (
            Kind(4, self.kill_master),
            Kind(2, self.kill_leader),
            Kind(2, self.cut_power),
            Kind(1, self.cut_all_power),
            Kind(2, self.stop_master),
            Kind(3, self.pause_master),
            Kind(2, self.jump_clock),
        )

    def kill_master(self) -> str | None:
        return self._kill(self.any_master(), power=False)

    def kill_leader(self) -> str | None:
        leader = self.world.leader()
        return None if leader is None else self._kill(leader, power=self.rng.random() < 0.3)

    def cut_power(self) -> str | None:
        return self._kill(self.any_master(), power=True)

    def _kill(self, master: MasterHost, *, power: bool) -> str | None:
        if not master.is_up or not self.may_lose(master):
            return None
        master.stop("killed", power=power)
        return master.name

    def cut_all_power(self) -> str:
        for master in self.world.masters:
            master.stop("all lose power", power=True)
        return "all masters"

    def stop_master(self) -> str | None:
        """SIGTERM: it hands over, closes its log, and is started again."""
        master = self.leader_or_any()
        if not master.is_up or not self.may_lose(master):
            return None
        master.ask_to_stop()
        return master.name

    def pause_master(self) -> str:
        master = self.leader_or_any()
        master.pause()
        self.undo_later(master.resume, 0.1, 0.5, 2.0, 5.0)
        return master.name

    def jump_clock(self) -> str:
        host = self.rng.choice(self.world.hosts)
        seconds = self.rng.choice((-3600.0, -MINUTE_S, -1.0, 1.0, MINUTE_S, 3600.0))
        host.jump(seconds)
        return f"{host.name} {seconds:+} s"
