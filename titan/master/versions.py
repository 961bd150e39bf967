"""Raises the cluster's version once every master can read it; a side task that acts on the leader only.

During a rolling upgrade the leader may be newer than others. Its new commands stay out of the log until
the last voter says that it can read them: an old master that met one would have to stop.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from titan.consensus.api import Raft
from titan.errors import TitanError
from titan.fsm import commands
from titan.fsm.commands import RaiseVersion
from titan.master.peers import Peers
from titan.master.reigns import Reigns
from titan.master.replica import Replica

log = logging.getLogger(__name__)

LOOK_PERIOD_S: Final = 0.25  # a new cluster takes new commands once its masters have met


class Versions:
    """Asks the other masters what they can read."""

    def __init__(self, raft: Raft, replica: Replica, reigns: Reigns, peers: Peers) -> None:
        self._raft = raft
        self._replica = replica
        self._reigns = reigns
        self._peers = peers

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            if self._reigns.current is not None and self._replica.state.version < commands.VERSION:
                try:
                    await self.raise_if_all_can()
                except TitanError as error:
                    log.info("the cluster's version stays: %s", error)
            await asyncio.sleep(LOOK_PERIOD_S)

    async def raise_if_all_can(self) -> None:
        """Propose the newest version that every voter has just said it reads. A silent voter holds it."""
        voters = [each for each in self._raft.status.voters if each in self._peers.addresses]
        infos = await asyncio.gather(*(self._peers.info(voter) for voter in voters))
        if any(info.role == "down" for info in infos):
            return
        common = min([commands.VERSION, *(info.version for info in infos)])
        if common > self._replica.state.version:
            await self._reigns.need().propose(RaiseVersion(version=common))
            log.info("every master reads version %d now", common)
