"""What a job asks of a worker, taken apart once so that placing it costs little."""

from __future__ import annotations

import msgspec

from titan.fsm.state import Demand

Shape = tuple[tuple[str, ...], tuple[str, ...]]  # requirement, names of resources besides slots


class Need(msgspec.Struct, frozen=True, eq=False, gc=False):
    """A demand in the form that filters read."""

    demand: Demand
    shape: Shape
    slots: int
    others: tuple[tuple[str, int], ...]  # resources besides slots, without zeroes

    @property
    def requirement(self) -> tuple[str, ...]:
        """The capability tags, all of which a worker must offer."""
        return self.shape[0]


def need_of(demand: Demand) -> Need:
    """Take a demand apart."""
    others = tuple((name, n) for name, n in demand.resources if name != "slots" and n > 0)
    slots = 1
    for name, amount in demand.resources:
        if name == "slots":
            slots = amount
    shape = (demand.requirement, tuple(name for name, _ in others))
    return Need(demand=demand, shape=shape, slots=slots, others=others)
