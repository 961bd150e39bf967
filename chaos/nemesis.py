"""Draws faults from a scenario and sees each through: inject, hold, heal, wait until all is well."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from chaos.faults.base import Fault, World

WHOLE_TIMEOUT_S: Final = 30.0
INJECT_TIMEOUT_S: Final = 90.0


class Nemesis:
    """One lane of faults, one after another."""

    def __init__(
        self, world: World, faults: Sequence[Fault], *, gap_s: tuple[float, float]
    ) -> None:
        self._world = world
        self._faults = faults
        self._gap_s = gap_s

    async def run(self, until: asyncio.Event) -> None:
        """Until the time is over; what was done is always undone."""
        rng = self._world.rng
        deck: list[Fault] = []
        while not until.is_set():
            await _rest(rng.uniform(*self._gap_s), until)
            if until.is_set():
                return
            if not deck:  # every kind once before any comes again
                deck = rng.sample(self._faults, k=len(self._faults))
            await self._see_through(deck.pop(), until)

    async def _see_through(self, fault: Fault, until: asyncio.Event) -> None:
        world = self._world
        world.recorder.event("fault", name=fault.name, phase="drawn", target="")
        async with asyncio.timeout(INJECT_TIMEOUT_S):
            injected = await fault.inject(world)
        world.recorder.event("fault", name=fault.name, phase="begin", target=injected.target)
        try:
            await _rest(world.rng.uniform(*fault.hold_s), until)
        finally:
            await injected.heal()
            world.recorder.event("fault", name=fault.name, phase="end", target=injected.target)
        if not await world.monitor.wait_whole(timeout_s=WHOLE_TIMEOUT_S):
            what = (
                f"not whole {WHOLE_TIMEOUT_S:.0f} s after {fault.name} on {injected.target} ended"
            )
            world.broken("recovery", what, str(world.monitor.seen))


async def _rest(seconds: float, until: asyncio.Event) -> None:
    try:
        async with asyncio.timeout(seconds):
            await until.wait()
    except TimeoutError:
        pass
