"""What the leader writes into the log about blobs: who holds one, and that one is still wanted."""

from __future__ import annotations

from titan.errors import Conflict
from titan.fsm.commands import Command, PublishBlob, RenewBlobs
from titan.fsm.outcomes import Rejected
from titan.ids import Digest
from titan.master.reigns import Reigns
from titan.master.replica import Replica
from titan.wire.messages import BlobList, BlobMissing, BlobStored, Ok

_RENEWED_SINCE = 2  # the version of the cluster that has leases


class BlobLedger:
    """Serves on the leader; `Routes` brings the question here."""

    def __init__(self, replica: Replica, reigns: Reigns) -> None:
        self._replica = replica
        self._reigns = reigns

    async def stored(self, message: BlobStored) -> Ok:
        """Commit that masters hold a blob."""
        await self._commit(
            PublishBlob(digest=message.digest, size=message.size, holders=message.holders)
        )
        return Ok()

    async def missing(self, message: BlobMissing) -> BlobList:
        """Which of these are not published. The others are safe from here on for half a lease at least:
        whoever hears that a blob is there need not send it, so it must not go before it is used."""
        state = self._replica.state
        missing = [one for one in message.digests if one not in state.blobs]
        if state.version < _RENEWED_SINCE:
            return BlobList(digests=tuple(missing))
        soon_ms = state.now_ms + state.retention.lease_ms // 2
        stale = [
            one
            for one in message.digests
            if one in state.blobs and state.blobs[one].lease_ms < soon_ms
        ]
        if stale:
            gone = await self._commit(RenewBlobs(digests=tuple(stale)))
            missing += [Digest(one) for one in gone]
        return BlobList(digests=tuple(missing))

    async def _commit(self, command: Command) -> list[str]:
        settled = await self._reigns.need().propose(command)
        if isinstance(settled.outcome, Rejected):
            raise Conflict(settled.outcome.why, reason=settled.outcome.code)
        return settled.outcome.value or []
