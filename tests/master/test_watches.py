"""Watchers hear of what changed, in bounded memory, from a master that still hears its leader."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import msgspec
import pytest

from titan.errors import NotFound, Unavailable
from titan.fsm.commands import (
    AddJobs,
    CancelRun,
    Entry,
    KvDelete,
    KvPut,
    OpenEpoch,
    Proposal,
    SubmitRun,
    encode_entry,
)
from titan.fsm.queries import JobView, KvView, RunView
from titan.ids import JobId, RunId
from titan.master import watchers
from titan.master.replica import Replica
from titan.master.watches import Watches
from titan.spec.model import JobSpec
from titan.wire.messages import KeyUpdate, RunUpdate, WatchKeys, WatchRun, decode

RUN = RunId("r-0")


class Pieces:
    """A channel whose pieces are kept."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[bytes] = asyncio.Queue()

    async def send(self, piece: bytes) -> None:
        self.queue.put_nowait(piece)

    async def next(self) -> RunUpdate | KeyUpdate:
        async with asyncio.timeout(5):
            update = decode(await self.queue.get())
        assert isinstance(update, RunUpdate | KeyUpdate)
        return update


class Log:
    """A replica fed by hand."""

    def __init__(self) -> None:
        self.replica = Replica()
        self.heard_ms_ago = 0
        self.watches = Watches(self.replica, heard_ms_ago=lambda: self.heard_ms_ago)
        self._indices: Iterator[int] = iter(range(1, 1000))
        self(OpenEpoch(epoch=1, leader="me:1"))

    def __call__(self, command: object) -> None:
        entry = Entry(1, 1, 1000, (Proposal(command),))  # type: ignore[arg-type]
        self.replica.apply(next(self._indices), encode_entry(entry))


@pytest.fixture
def log() -> Log:
    return Log()


def jobs_in(update: RunUpdate | KeyUpdate) -> list[JobView]:
    assert isinstance(update, RunUpdate)
    return msgspec.msgpack.decode(update.jobs, type=list[JobView])


def run_in(update: RunUpdate | KeyUpdate) -> RunView:
    assert isinstance(update, RunUpdate)
    return msgspec.msgpack.decode(update.run, type=RunView)


async def test_a_watcher_gets_everything_first_and_then_what_changed(log: Log) -> None:
    log(SubmitRun(run=RUN, name="n", jobs=(JobSpec(id=JobId("a"), argv=(b"true",)),)))
    pieces = Pieces()
    watching = asyncio.create_task(log.watches.run(WatchRun(run=RUN), pieces))  # type: ignore[arg-type]
    assert [job.id for job in jobs_in(await pieces.next())] == ["a"]
    log(AddJobs(run=RUN, jobs=(JobSpec(id=JobId("b"), argv=(b"true",)),)))
    assert [job.id for job in jobs_in(await pieces.next())] == ["b"]
    log(CancelRun(run=RUN))
    last = await pieces.next()
    assert run_in(last).over
    assert {job.state for job in jobs_in(last)} == {"CANCELLED"}
    await asyncio.wait_for(watching, 5)
    assert not log.watches._runs


async def test_a_run_that_is_over_is_told_once(log: Log) -> None:
    log(SubmitRun(run=RUN, name="n", jobs=(JobSpec(id=JobId("a"), argv=(b"true",)),)))
    log(CancelRun(run=RUN))
    pieces = Pieces()
    await log.watches.run(WatchRun(run=RUN, jobs=False), pieces)  # type: ignore[arg-type]
    assert run_in(await pieces.next()).state == "CANCELLED"
    assert pieces.queue.empty()


async def test_an_unknown_run_is_not_found(log: Log) -> None:
    with pytest.raises(NotFound):
        await log.watches.run(WatchRun(run=RUN), Pieces())  # type: ignore[arg-type]


async def test_keys_are_watched_by_prefix_from_what_is_there(log: Log) -> None:
    log(KvPut(key="a/1", value=b"one"))
    log(KvPut(key="b/1", value=b"other"))
    pieces = Pieces()
    watching = asyncio.create_task(log.watches.keys.serve(WatchKeys(prefix="a/"), pieces))  # type: ignore[arg-type]
    first = await pieces.next()
    assert isinstance(first, KeyUpdate)
    assert msgspec.msgpack.decode(first.item, type=KvView).value == "one"
    log(KvPut(key="b/2", value=b"unseen"))
    log(KvDelete(key="a/1"))
    gone = await pieces.next()
    assert isinstance(gone, KeyUpdate)
    assert (gone.key, msgspec.msgpack.decode(gone.item)) == ("a/1", None)
    watching.cancel()
    await asyncio.wait({watching})
    assert not log.watches.keys._prefixes


async def test_a_master_that_hears_no_leader_ends_its_watches(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watchers, "DEAF_CHECK_S", 0.01)
    log(SubmitRun(run=RUN, name="n", jobs=(JobSpec(id=JobId("a"), argv=(b"true",)),)))
    watching = asyncio.create_task(log.watches.run(WatchRun(run=RUN), Pieces()))  # type: ignore[arg-type]
    done, _ = await asyncio.wait({watching}, timeout=0.1)
    assert not done
    log.heard_ms_ago = watchers.DEAF_MS + 1
    with pytest.raises(Unavailable, match="lost touch"):
        await asyncio.wait_for(watching, 5)
