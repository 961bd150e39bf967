"""Finished logs on the masters: from the state while they are few, from packs after that.

`KeptLogs` finds and sends one; `LogPacker` is the leader's side task that turns small logs in the state
into a blob when there are enough of them.
"""

from __future__ import annotations

import asyncio
import hashlib
import io
import logging
from collections import OrderedDict
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Final

from titan.errors import NotFound, TitanError
from titan.fsm.commands import PackLogs
from titan.fsm.events import AnyEvent, LogTailGrew
from titan.fsm.logs import packs_with
from titan.fsm.records.files import TailLog
from titan.fsm.state import State
from titan.ids import AttemptId, Digest, RunId
from titan.limits import (
    CHUNK_BYTES,
    LOG_INDICES_KEPT,
    LOG_PACK_ATTEMPTS_MAX,
    LOG_TAIL_PACK_BYTES,
)
from titan.master.blobs import BlobKeeper
from titan.master.reigns import Reigns
from titan.master.replica import Replica
from titan.wire.channel import Stream
from titan.wire.log_pack import FOOTER, PackedLog, PackWriter, Unpacker, index_size, read_index
from titan.wire.log_text import Excerpt, Sample, chunks, read_samples, span_of
from titan.wire.messages import LogEnd, ReadLog

log = logging.getLogger(__name__)

_LOOK_S: Final = 1.0  # after a pack that could not be stored


class KeptLogs:
    """Logs that need no worker any more."""

    def __init__(self, replica: Replica, blobs: BlobKeeper) -> None:
        self._replica = replica
        self._blobs = blobs
        self._indices: OrderedDict[Digest, dict[AttemptId, PackedLog]] = OrderedDict()

    async def send(
        self, message: ReadLog, attempt: AttemptId, channel: Stream, *, offset: int
    ) -> LogEnd | None:
        """Send what is asked for of an attempt's log; None when no master has it."""
        excerpt = Excerpt(text=message.grep, skip=offset)
        small = self._replica.state.log_tail.get(attempt)
        if small is not None:
            start, end = _span(message, [], size=len(small.text), ended_ms=small.ended_ms)
            await _send(channel, excerpt.feed(small.text[start:end]))
        else:
            found = await self._find(message.run, attempt)
            if found is None:
                return None
            async with aclosing(self._read(*found, message)) as pieces:
                async for piece in pieces:
                    await _send(channel, excerpt.feed(piece))
        await _send(channel, excerpt.close())
        return LogEnd(attempt=attempt, size=excerpt.size)

    async def _find(self, run: RunId, attempt: AttemptId) -> tuple[Digest, PackedLog] | None:
        for pack in packs_with(self._replica.state, run, attempt):
            entry = (await self._index(pack.digest)).get(attempt)
            if entry is not None:
                return pack.digest, entry
        return None

    async def _index(self, digest: Digest) -> dict[AttemptId, PackedLog]:
        known = self._indices.get(digest)
        if known is not None:
            self._indices.move_to_end(digest)
            return known
        blob = self._replica.state.blobs.get(digest)
        size = blob.size if blob is not None else 0
        try:
            footer = await self._bytes(digest, size - FOOTER.size, FOOTER.size)
            length = index_size(footer)
            entries = read_index(await self._bytes(digest, size - FOOTER.size - length, length))
        except ValueError as error:
            raise NotFound(str(error)) from None
        index = self._indices[digest] = {entry.attempt: entry for entry in entries}
        while len(self._indices) > LOG_INDICES_KEPT:
            self._indices.popitem(last=False)
        return index

    async def _bytes(self, digest: Digest, offset: int, length: int) -> bytes:
        if offset < 0 or length <= 0:
            return b""
        return b"".join([piece async for piece in self._blobs.stream(digest, offset, length)])

    async def _read(
        self, digest: Digest, entry: PackedLog, message: ReadLog
    ) -> AsyncGenerator[bytes, None]:
        samples = read_samples(entry.samples)
        start, end = _span(message, samples, size=entry.size, ended_ms=entry.ended_ms)
        unpacker, at = Unpacker(entry), 0
        if not entry.stored:
            return
        async with aclosing(self._blobs.stream(digest, entry.offset, entry.stored)) as packed:
            async for stored in packed:
                for piece in unpacker.feed(stored):
                    yield piece[max(0, start - at) : max(0, end - at)]
                    at += len(piece)
                if at >= end:
                    return


def _span(
    message: ReadLog, samples: Sequence[Sample], *, size: int, ended_ms: int
) -> tuple[int, int]:
    return span_of(
        samples,
        size=size,
        ended_ms=ended_ms,
        since_ms=message.since_ms,
        until_ms=message.until_ms,
    )


async def _send(channel: Stream, data: bytes) -> None:
    for piece in chunks(data, CHUNK_BYTES):
        await channel.send(piece)


class LogPacker:
    """Packs small logs while this master leads. One pack at a time."""

    def __init__(self, replica: Replica, reigns: Reigns, blobs: BlobKeeper) -> None:
        self._replica = replica
        self._reigns = reigns
        self._blobs = blobs
        self._grew = asyncio.Event()
        replica.listen(self._on_applied)

    def _on_applied(self, index: int, events: Sequence[AnyEvent]) -> None:
        if any(isinstance(event, LogTailGrew) for event in events):
            self._grew.set()

    async def run(self) -> None:
        """Pack whenever there is enough, until cancelled."""
        while True:
            await self._grew.wait()
            self._grew.clear()
            try:
                while self._is_due():
                    await self._pack()
            except TitanError as error:
                log.info("small logs stay in the state for now: %s", error)
                await asyncio.sleep(_LOOK_S)
                self._grew.set()

    def _is_due(self) -> bool:
        reign = self._reigns.current
        is_enough = self._replica.state.log_tail_bytes >= LOG_TAIL_PACK_BYTES
        return is_enough and reign is not None and reign.is_on

    async def _pack(self) -> None:
        state = self._replica.state
        oldest = list(state.log_tail.items())[:LOG_PACK_ATTEMPTS_MAX]
        data = await asyncio.to_thread(_packed, _wanted(state, oldest))
        digest = Digest("")
        if data:
            digest = Digest(hashlib.sha256(data).hexdigest())
            await self._blobs.keep(digest, data)
        attempts = tuple(attempt for attempt, _ in oldest)
        await self._reigns.need().propose(PackLogs(digest=digest, attempts=attempts))


def _wanted(
    state: State, logs: Sequence[tuple[AttemptId, TailLog]]
) -> list[tuple[AttemptId, TailLog]]:
    return [(attempt, small) for attempt, small in logs if small.run in state.runs]


def _packed(logs: Sequence[tuple[AttemptId, TailLog]]) -> bytes:
    if not logs:
        return b""
    out = io.BytesIO()
    writer = PackWriter(out)
    for attempt, small in logs:
        writer.add(
            io.BytesIO(small.text),
            attempt=attempt,
            run=small.run,
            job=small.job,
            ended_ms=small.ended_ms,
        )
    writer.close()
    return out.getvalue()
