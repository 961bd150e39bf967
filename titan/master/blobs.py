"""Blobs: content-addressed files beside the log, never in it. What a master does with them.

`BlobKeeper` takes uploads on any master, has other masters copy them while they come, and lets the leader
publish them in the log; it serves what is here, fetches what this master lacks, and deletes what the
state machine has forgotten. The files are `blob_store.py`'s, unfinished ones `uploads.py`'s.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing

from titan.errors import NotFound, TitanError, Unavailable
from titan.fsm.events import AnyEvent, BlobForgotten, BlobPublished, StateReplaced
from titan.fsm.state import Blob
from titan.ids import Digest
from titan.limits import BLOB_LEASE_MS, BLOB_SWEEP_PERIOD_S, BLOBS_FETCHED_AT_ONCE
from titan.master.blob_copies import Copies
from titan.master.blob_store import BlobDamaged, BlobStore
from titan.master.peers import Peers
from titan.master.replica import Replica
from titan.master.uploads import Growth, Uploads
from titan.wire.channel import Stream
from titan.wire.messages import BlobAt, BlobOffset, BlobStored, GetBlob, Message, Ok, PutBlob

log = logging.getLogger(__name__)

_APPLY_TIMEOUT_S = 10.0  # to catch up with the master that hands over a copy
FETCH_AGAIN_S = 3.0  # after nobody could give a published blob
_RESUMED_SINCE = 2  # the version of the cluster in which masters take up what was cut off
_REFETCHES_MAX = 2  # of a blob that turns out damaged while it is being sent

Publish = Callable[[BlobStored], Awaitable[Message]]


class BlobKeeper:
    """See the module. `publish` commits that masters hold a blob, wherever the leader is."""

    def __init__(
        self,
        store: BlobStore,
        replica: Replica,
        peers: Peers,
        *,
        address: str,
        publish: Publish,
        is_current: Callable[[], bool] = lambda: True,
    ) -> None:
        self.store = store
        self.uploads = Uploads(store)
        self._replica = replica
        self._peers = peers
        self._address = address
        self._publish = publish
        self._is_current = is_current  # whether this master's state is what the cluster's is now
        self._fetching: dict[Digest, asyncio.Task[None]] = {}
        self._slots = asyncio.Semaphore(BLOBS_FETCHED_AT_ONCE)
        self._wanted: dict[Digest, None] = {}  # to be looked at: at most what the state has named
        self._news = asyncio.Event()
        replica.listen(self._on_applied)

    def _published(self, digest: Digest) -> Blob | None:
        return self._replica.state.blobs.get(digest)

    # --- up -----------------------------------------------------------------------------------

    async def offset(self, message: BlobOffset) -> BlobAt:
        """From where on this master needs a blob."""
        await self._replica.wait_applied(message.after, timeout_s=_APPLY_TIMEOUT_S)
        offset = min(self.uploads.offset(message.digest), message.size)
        return BlobAt(offset=offset, is_whole=self.store.has(message.digest))

    async def put(self, message: PutBlob, channel: Stream) -> Ok:
        """Take an upload, see that enough masters hold it, publish it."""
        await self._replica.wait_applied(message.after, timeout_s=_APPLY_TIMEOUT_S)
        if message.replica:
            await self.uploads.receive(
                message.digest, message.size, aiter(channel), offset=message.offset
            )
            return Ok()
        if self._published(message.digest) is not None and self.store.has(message.digest):
            await self._publish_held(message.digest, message.size, ())  # for another lease
            return Ok()
        await self._take(message.digest, message.size, aiter(channel), offset=message.offset)
        return Ok()

    async def keep(self, digest: Digest, data: bytes) -> None:
        """Store and publish a blob that this master has made itself."""
        await self._take(digest, len(data), _one(data), offset=0)

    async def _take(
        self, digest: Digest, size: int, pieces: AsyncIterator[bytes], *, offset: int
    ) -> None:
        growth = Growth()
        copies = Copies(
            self._peers,
            growth,
            digest=digest,
            size=size,
            after=self._replica.state.index,
            may_ask=self._replica.state.version >= _RESUMED_SINCE,
        )
        try:
            async with copies:
                await self.uploads.receive(digest, size, pieces, offset=offset, growth=growth)
                others = await copies.enough()
        finally:
            growth.close()
        await self._publish_held(digest, size, others)

    async def _publish_held(self, digest: Digest, size: int, others: Sequence[str]) -> None:
        await self._publish(BlobStored(digest=digest, size=size, holders=(self._address, *others)))

    # --- down ---------------------------------------------------------------------------------

    async def get(self, message: GetBlob, channel: Stream, *, may_fetch: bool) -> Ok:
        """Send a blob; fetch it first when only others hold it, or when the copy here is damaged.

        Never for another master (`may_fetch`): two that lack it would wait for each other for ever.
        """
        asked = self.stream(message.digest, message.offset, message.length, may_fetch=may_fetch)
        async with aclosing(asked) as pieces:
            async for piece in pieces:
                await channel.send(piece)
        return Ok()

    async def stream(
        self, digest: Digest, offset: int = 0, length: int = 0, *, may_fetch: bool = True
    ) -> AsyncGenerator[bytes, None]:
        """Checked bytes of a blob from `offset`, `length` of them or all. See `get`.

        Whoever may stop early closes it (`aclosing`): a file is open meanwhile.
        """
        end = offset + length
        for again in range(_REFETCHES_MAX + 1):
            if may_fetch and not self.store.has(digest):
                await self.fetch(digest)
            left = end - offset if length else 0
            try:
                async with aclosing(self.store.read(digest, offset=offset, length=left)) as pieces:
                    async for piece in pieces:
                        yield piece
                        offset += len(piece)
            except BlobDamaged:
                self._want(digest)
                if not may_fetch or again == _REFETCHES_MAX:
                    raise
            else:
                return

    # --- fetching -----------------------------------------------------------------------------

    async def fetch(self, digest: Digest) -> None:
        """Get a published blob from another master. Concurrent callers share one transfer."""
        task = self._fetching.get(digest)
        if task is None:
            task = asyncio.create_task(self._fetch(digest), name=f"fetch blob {digest[:12]}")
            self._fetching[digest] = task
            task.add_done_callback(lambda done: self._fetched(digest, done))
        await asyncio.shield(task)

    def _fetched(self, digest: Digest, done: asyncio.Task[None]) -> None:
        self._fetching.pop(digest, None)
        if not done.cancelled():
            done.exception()  # whoever waited may have gone

    async def _fetch(self, digest: Digest) -> None:
        blob = self._published(digest)
        if blob is None:
            raise NotFound(f"there is no blob {digest[:12]}…")
        holders = [one for one in blob.holders if one in self._peers.addresses]
        others = [one for one in self._peers.addresses if one not in holders]
        problems: list[str] = []
        async with self._slots:
            for address in (*holders, *others):
                try:
                    await self._fetch_from(address, digest, blob.size)
                    return
                except TitanError as error:
                    problems.append(f"{address}: {error}")
        raise Unavailable(f"no master could give the blob {digest[:12]}…: " + "; ".join(problems))

    async def _fetch_from(self, address: str, digest: Digest, size: int) -> None:
        connection = await self._peers.connect(address)
        offset = min(self.uploads.offset(digest), size)
        channel = connection.open(GetBlob(digest=digest, offset=offset))
        try:
            await self.uploads.receive(digest, size, aiter(channel), offset=offset)
        finally:
            channel.cancel()

    def _on_applied(self, index: int, events: Sequence[AnyEvent]) -> None:
        for event in events:
            if isinstance(event, BlobPublished | BlobForgotten):
                self._want(event.digest)
            elif isinstance(event, StateReplaced):
                self._want_everything()

    def _want_everything(self) -> None:
        """After a start or a snapshot: whatever was published before is only in the state."""
        for digest in self._replica.state.blobs:
            if not self.store.has(digest):
                self._want(digest)

    def _want(self, digest: Digest) -> None:
        self._wanted[digest] = None
        self._news.set()

    async def run(self) -> None:
        """Bring the files here to what the state says: fetch what is lacking, delete what is forgotten.

        What nobody could give is asked for again: a master that was replaced may be the second holder.
        """
        loop = asyncio.get_running_loop()
        sweep_at_s = loop.time() + BLOB_SWEEP_PERIOD_S
        self._want_everything()
        while True:
            patience_s = max(0.0, sweep_at_s - loop.time())
            if self._wanted:  # those that failed are tried again
                patience_s = min(patience_s, FETCH_AGAIN_S)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(patience_s):
                    await self._news.wait()
            self._news.clear()
            if loop.time() >= sweep_at_s:
                sweep_at_s = loop.time() + BLOB_SWEEP_PERIOD_S
                await self._sweep()
            for digest in tuple(self._wanted):
                if await self._is_up_to_date(digest):
                    self._wanted.pop(digest, None)

    async def _is_up_to_date(self, digest: Digest) -> bool:
        """Fetch or delete one; whether that is done with."""
        try:
            if self._published(digest) is None:
                if not self.uploads.is_receiving(digest):
                    await asyncio.to_thread(self.store.delete, digest)
            elif not self.store.has(digest):
                await self.fetch(digest)
        except TitanError as error:
            log.warning("%s; it will be asked for again", error)
            return False
        except OSError as error:
            log.warning("blob %s could not be deleted: %s", digest, error)
        return True

    async def _sweep(self) -> None:
        """Find what events did not tell: after a crash, or a snapshot from another master.

        A file that the state does not name may be about to be published: it has a lease's time.
        """
        if not self._is_current():
            return
        self._want_everything()
        old_s = time.time() - BLOB_LEASE_MS / 1000
        found = await asyncio.to_thread(lambda: list(self.store.all_older_than(old_s)))
        for digest in found:
            if self._published(digest) is None:
                self._want(digest)


async def _one(data: bytes) -> AsyncIterator[bytes]:
    yield data
