"""Looks after the worker processes that this master has started, whoever leads: adopts or ends them.

A process whose launch the cluster knows is kept, be this master's life a new one. One whose launch is
over, or was never committed, is ended once this master is sure: it has heard of a leader, and nobody
has known the launch for a while.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Final

from titan.consensus.api import Raft, Role
from titan.fsm.records.pools import ENDING
from titan.master.providers.local import LocalProvider
from titan.master.replica import Replica

log = logging.getLogger(__name__)

PERIOD_S: Final = 1.0
PATIENCE_S: Final = 10.0  # a launch that nobody has known for so long is no launch
FRESH_MS: Final = 1_000  # a state that is older than this proves nothing


class Strays:
    """A side task of every master."""

    def __init__(self, provider: LocalProvider, raft: Raft, replica: Replica) -> None:
        self._provider = provider
        self._raft = raft
        self._replica = replica
        self._unknown_since: dict[str, float] = {}

    async def run(self) -> None:
        """Until cancelled."""
        for folder in await asyncio.to_thread(self._provider.running):
            log.info("worker process of launch %s is here from an earlier life", folder.launch)
        while True:
            await asyncio.sleep(PERIOD_S)
            await self.look()

    async def look(self) -> None:
        """One look at everything that runs here."""
        running = await asyncio.to_thread(self._provider.running)
        names = [folder.launch for folder in running]
        self._unknown_since = {k: v for k, v in self._unknown_since.items() if k in names}
        for folder in running:
            if self._is_known(folder.launch) or not self._is_fresh():
                self._unknown_since.pop(folder.launch, None)
                continue
            since = self._unknown_since.setdefault(folder.launch, time.monotonic())
            if time.monotonic() - since >= PATIENCE_S:
                log.warning("launch %s is over; its process here ends", folder.launch)
                await self._provider.end_folder(folder)
        await asyncio.to_thread(self._provider.prune)

    def _is_known(self, launch: str) -> bool:
        known = self._replica.state.launches.get(launch)
        return known is not None and known.state != ENDING

    def _is_fresh(self) -> bool:
        status = self._raft.status
        return status.role is Role.LEADER or (
            bool(status.leader) and status.heard_ms_ago < FRESH_MS
        )
