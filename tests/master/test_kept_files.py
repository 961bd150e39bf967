"""A master's files follow its state: forgotten blobs go from the disk, small logs become one blob."""

from __future__ import annotations

import asyncio
import hashlib
import io
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

from tests.cluster.cluster import wait_until
from tests.fsm.driver import job
from titan.fsm import commands as c
from titan.fsm.commands import ENTRY_FORMAT, Entry, Proposal, encode_entry
from titan.fsm.outcomes import Applied
from titan.ids import AttemptId, Digest, JobId, RunId, WorkerId
from titan.limits import BLOB_LEASE_MS, FINISHED_KEEP_MS
from titan.master import kept_logs
from titan.master.blob_store import BlobStore
from titan.master.blobs import BlobKeeper
from titan.master.kept_logs import KeptLogs, LogPacker
from titan.master.proposer import Settled
from titan.master.replica import Replica
from titan.wire.log_pack import PackWriter
from titan.wire.messages import BlobStored, Message, Ok, PutBlob, ReadLog

RUN, JOB, WORKER = RunId("r-1"), JobId("a"), WorkerId("w1")


class Alone:
    """A cluster of one master: its replica, its keeper, and the reign that proposes."""

    addresses: tuple[str, ...] = ()
    is_on = True

    def __init__(self, folder: Path) -> None:
        self.now_ms = 1_700_000_000_000
        self.replica = Replica()
        self.keeper = BlobKeeper(
            BlobStore(folder), self.replica, cast(Any, self), address="m1", publish=self._publish
        )
        self.current = self
        self.do(c.OpenEpoch(epoch=1, leader="m1", cluster_id="x"))
        self.do(c.RaiseVersion(version=2))
        self.do(c.JoinWorker(worker=WORKER, incarnation=1, capabilities=("GENERAL",), slots=9))

    def do(self, command: Any) -> Any:
        entry = Entry(ENTRY_FORMAT, 1, self.now_ms, (Proposal(command),))
        applied = self.replica.apply(self.replica.state.index + 1, encode_entry(entry))
        (outcome,) = applied.result.outcomes
        assert isinstance(outcome, Applied), outcome
        return outcome.value

    async def _publish(self, message: BlobStored) -> Message:
        self.do(c.PublishBlob(digest=message.digest, size=message.size, holders=message.holders))
        return Ok()

    def need(self) -> Alone:
        return self

    async def propose(self, command: Any) -> Settled:
        return Settled(0, Applied(self.do(command)))

    def wait(self, ms: int) -> None:
        self.now_ms += ms
        self.do(c.AdvanceTime())

    def finish(self, run: RunId, text: bytes, *, log_bytes: int = 0) -> AttemptId:
        self.do(c.SubmitRun(run=run, name="n", jobs=(job("a"),)))
        attempt = AttemptId(self.do(c.AssignAttempt(run=run, job=JOB, worker=WORKER)))
        size = log_bytes or len(text)
        self.do(c.FinishAttempt(attempt=attempt, exit_code=0, log=text, log_bytes=size))
        return attempt


class Reader:
    """The reader's end of a channel."""

    def __init__(self) -> None:
        self.data = b""

    async def send(self, piece: bytes) -> None:
        self.data += piece


async def read(alone: Alone, run: RunId, attempt: AttemptId, **ask: Any) -> bytes | None:
    reader = Reader()
    message = ReadLog(run=run, job=JOB, **ask)
    kept = KeptLogs(alone.replica, alone.keeper)
    end = await kept.send(message, attempt, cast(Any, reader), offset=message.offset)
    return reader.data if end is not None else None


async def test_a_blob_that_nothing_refers_to_any_more_is_gone_from_the_disk(
    tmp_path: Path,
) -> None:
    alone = Alone(tmp_path)
    running = asyncio.create_task(alone.keeper.run())
    data = b"bundle" * 1000
    digest = Digest(hashlib.sha256(data).hexdigest())

    async def pieces() -> AsyncIterator[bytes]:
        yield data

    await alone.keeper.put(PutBlob(digest=digest, size=len(data)), cast(Any, pieces()))
    alone.do(c.SubmitRun(run=RUN, name="n", jobs=(job("a"),), bundle=digest))
    attempt = alone.do(c.AssignAttempt(run=RUN, job=JOB, worker=WORKER))
    alone.do(c.FinishAttempt(attempt=AttemptId(attempt), exit_code=0))
    alone.wait(2 * BLOB_LEASE_MS)
    await asyncio.sleep(0)
    assert alone.keeper.store.has(digest)
    alone.wait(FINISHED_KEEP_MS)
    alone.wait(1)
    assert digest not in alone.replica.state.blobs

    async def left() -> list[Path]:
        return [path for path in tmp_path.rglob("*") if path.is_file()]

    await wait_until(left, lambda found: found == [], timeout_s=10)
    running.cancel()


async def test_small_logs_read_alike_before_and_after_they_are_packed(
    tmp_path: Path, monkeypatch: Any
) -> None:
    alone = Alone(tmp_path)
    texts = {f"r-{n}": f"log {n}\nsecond é {n}\n".encode() * (n + 1) for n in range(20)}
    attempts = {run: alone.finish(RunId(run), text) for run, text in texts.items()}
    for when in ("in the state", "in a pack"):
        for run, text in texts.items():
            assert await read(alone, RunId(run), attempts[run]) == text, when
            assert await read(alone, RunId(run), attempts[run], offset=4) == text[4:], when
        assert await read(alone, RunId("r-3"), attempts["r-3"], grep="second") == (
            "second é 3\n".encode() * 4
        )
        later = alone.now_ms + 1
        assert await read(alone, RunId("r-3"), attempts["r-3"], since_ms=later) == b""
        if when == "in the state":
            monkeypatch.setattr(kept_logs, "LOG_TAIL_PACK_BYTES", 1)
            packer = LogPacker(alone.replica, cast(Any, alone), alone.keeper)
            packing = asyncio.create_task(packer.run())
            await asyncio.sleep(0)
            packer._grew.set()
            await wait_until(_state_of(alone), lambda tail: tail == 0, timeout_s=10)
            packing.cancel()
    assert len(alone.replica.state.log_packs) == 1
    assert await read(alone, RUN, AttemptId(99)) is None


def _state_of(alone: Alone) -> Any:
    async def look() -> int:
        return len(alone.replica.state.log_tail)

    return look


async def test_a_large_log_is_read_from_a_workers_pack_by_time_and_text(tmp_path: Path) -> None:
    alone = Alone(tmp_path)
    text = b"".join(b"line %d\n" % n for n in range(200_000))
    attempt = alone.finish(RUN, b"", log_bytes=len(text))
    out = io.BytesIO()
    writer = PackWriter(out)
    for number, data in ((attempt, text), (attempt + 1, b"\0other")):
        writer.add(io.BytesIO(data), attempt=AttemptId(number), run=RUN, job=JOB, ended_ms=900)
    writer.close()
    data = out.getvalue()
    assert len(data) < len(text) / 2
    digest = Digest(hashlib.sha256(data).hexdigest())
    await alone.keeper.keep(digest, data)
    alone.do(c.KeepLogs(digest=digest, attempts=(attempt,), runs=(RUN,)))
    assert await read(alone, RUN, attempt) == text
    assert await read(alone, RUN, attempt, offset=1_000_000) == text[1_000_000:]
    assert await read(alone, RUN, attempt, grep="line 19999") == b"".join(
        b"line %d\n" % n for n in (19999, *range(199_990, 200_000))
    )
