"""Workers that are still to come, and how many queued jobs each would hold: arithmetic, no state."""

from __future__ import annotations

from collections.abc import Mapping

from titan.sched import filters
from titan.sched.need import Need


class Room:
    """One worker as it would be when it is empty, filled in the mind."""

    __slots__ = ("free", "slots")

    def __init__(self, *, slots: int, resources: Mapping[str, int]) -> None:
        self.slots = slots
        self.free = dict(resources)

    def take(self, need: Need, count: int) -> int:
        """Put in as many of `count` such jobs as fit; answers how many did."""
        fits = count
        if need.slots:
            fits = min(fits, self.slots // need.slots)
        for name, amount in need.others:
            fits = min(fits, self.free.get(name, 0) // amount)
        if fits > 0:
            self.slots -= need.slots * fits
            for name, amount in need.others:
                self.free[name] -= amount * fits
        return max(0, fits)


def lacks(
    need: Need, *, capabilities: tuple[str, ...], slots: int, resources: Mapping[str, int]
) -> str:
    """What an empty worker of this kind lacks for the job: a tag or a resource; "" when it would do."""
    tag = filters.lacks_tags(capabilities, need.requirement)
    if tag:
        return tag
    if need.slots > slots:
        return "slots"
    for name, amount in need.others:
        if amount > resources.get(name, 0):
            return name
    return ""
