"""Begins and ends reigns as consensus gives and takes leadership. At most one at a time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Final

from titan.consensus.api import Raft, RaftStatus
from titan.errors import NotLeader, TitanError
from titan.fsm.commands import Command
from titan.ids import JobId, RunId
from titan.master.fleet import Fleet
from titan.master.proposer import Proposer
from titan.master.providers.base import Provider
from titan.master.reign import Reign
from titan.master.replica import Replica
from titan.sched.verdicts import Why

log = logging.getLogger(__name__)

PAUSE_S: Final = (
    0.1  # after a reign that failed: its reason, be it a full disk, is there a while yet
)


class Reigns:
    """Owns the current reign, if this master has one."""

    def __init__(
        self,
        raft: Raft,
        replica: Replica,
        proposer: Proposer,
        *,
        address: str,
        masters: tuple[str, ...],
        now_ms: Callable[[], int],
        providers: Mapping[str, Provider] | None = None,
    ) -> None:
        self._raft = raft
        self._replica = replica
        self._proposer = proposer
        self._address = address
        self._masters = masters
        self._now_ms = now_ms
        self._providers = providers
        self._changed = asyncio.Event()
        self.current: Reign | None = None
        raft.on_status(lambda _: self._changed.set())

    def masters_changed(self, masters: tuple[str, ...]) -> None:
        """What workers are told from the next reign on."""
        self._masters = masters

    async def run(self) -> None:
        """Follow consensus until cancelled."""
        while True:
            self._changed.clear()
            status = self._raft.status
            if status.is_ready:
                await self._reign(status)
            else:
                await self._changed.wait()

    async def _reign(self, status: RaftStatus) -> None:
        self.current = Reign(
            self._replica,
            self._proposer,
            epoch=status.term,
            masters=self._masters,
            now_ms=self._now_ms,
            providers=self._providers,
            address=self._address,
        )
        reigning = asyncio.create_task(
            self.current.run(address=self._address), name=f"reign {status.term}"
        )
        try:
            await self._until_over(status.term, reigning)
        finally:
            self.current = None
            reigning.cancel()
            await asyncio.wait([reigning])
            self._proposer.close_epoch()
        if not reigning.cancelled() and (error := reigning.exception()) is not None:
            if not isinstance(error, TitanError):
                raise error  # a bug: the process stops rather than lead half alive
            log.info("reign of epoch %d could not go on: %s", status.term, error)
            await asyncio.sleep(PAUSE_S)

    async def _until_over(self, term: int, reigning: asyncio.Task[None]) -> None:
        while not reigning.done():
            status = self._raft.status
            if not status.is_ready or status.term != term:
                return
            self._changed.clear()
            changed = asyncio.create_task(self._changed.wait(), name="leadership change")
            await asyncio.wait({changed, reigning}, return_when=asyncio.FIRST_COMPLETED)
            changed.cancel()

    def foresee(self, command: Command) -> None:
        """A command of somebody else's was just proposed; see `Reign.foresee`."""
        if self.current is not None:
            self.current.foresee(command)

    def why(self, run: RunId, job: JobId) -> Why:
        """Why a job waits, as the planner of the current reign sees it."""
        return self.need().why(run, job)

    def fleet(self) -> Fleet:
        """How the workers fare and what waits, as the current reign sees it."""
        return self.need().look_at_fleet()

    def need(self) -> Reign:
        """The current reign; raises `NotLeader` when there is none."""
        if self.current is None or not self.current.is_on:
            raise NotLeader(leader=self._raft.status.leader or None)
        return self.current
