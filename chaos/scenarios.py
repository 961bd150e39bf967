"""Named mixtures of faults. Faults of one lane follow one another; lanes run side by side."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from chaos.faults.base import Fault
from chaos.faults.catalog import FAULTS


@dataclass(frozen=True, slots=True)
class Scenario:
    """`lanes` hold the names of faults, drawn from evenly; `gap_s` is the peace between two faults."""

    name: str
    about: str
    lanes: tuple[tuple[str, ...], ...]
    gap_s: tuple[float, float] = (0.5, 3.0)
    masters: int = 3

    def faults(self) -> list[Fault]:
        """Everything that may happen."""
        return [FAULTS[name] for lane in self.lanes for name in lane]


_KILLS: Final = ("kill-leader", "kill-follower", "kill-all")
_PAUSES: Final = ("pause-leader", "pause-follower")
_PARTITIONS: Final = (
    "isolate-leader",
    "isolate-follower",
    "deaf-leader",
    "mute-leader",
    "bridge",
    "ring",
)
_TWO: Final = ("kill-two", "pause-two", "leader-in-minority")
_WORKERS: Final = ("kill-worker", "pause-worker", "zombie-worker")
_DISKS: Final = ("disk-full", "flip-byte")
_EVERYTHING: Final = (
    *_KILLS,
    *_PAUSES,
    *_PARTITIONS,
    "slow-master",
    *_DISKS,
    "rolling-restart",
    "strangers",
)

SCENARIOS: Final = {
    scenario.name: scenario
    for scenario in (
        Scenario("calm", "no faults: what the checks say of a healthy cluster", ()),
        Scenario("kill-leader", "SIGKILL to the leader, again and again", (("kill-leader",),)),
        Scenario("kills", "SIGKILL to the leader, a follower, or all masters", (_KILLS,)),
        Scenario("pauses", "SIGSTOP and SIGCONT to leader and followers", (_PAUSES,)),
        Scenario("partitions", "cut links between masters, in every shape", (_PARTITIONS,)),
        Scenario("slow-links", "one master's messages are late", (("slow-master",),)),
        Scenario("workers", "kill and pause workers, also beyond their lease", (_WORKERS,)),
        Scenario("disk-full", "the disk of one master fills up", (("disk-full",),)),
        Scenario("damage", "one bit of a log flips", (("flip-byte",),)),
        Scenario("rolling", "orderly restarts, one master at a time", (("rolling-restart",),)),
        Scenario("strangers", "silent, slow and senseless connections", (("strangers",),)),
        Scenario("kills-and-pauses", "masters and workers", ((*_KILLS, *_PAUSES), _WORKERS)),
        Scenario(
            "five-masters",
            "five masters: everything, and what a minority of two may suffer at once",
            ((*_EVERYTHING, *_TWO), _WORKERS),
            masters=5,
        ),
        Scenario("mixed", "everything, on masters and on workers", (_EVERYTHING, _WORKERS)),
    )
}
