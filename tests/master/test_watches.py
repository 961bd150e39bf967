"""Watchers hear of what changed, in bounded memory, from a master that still hears its leader."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import msgspec
import pytest

from titan.errors import NotFound, Unavailable, UserError
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
from titan.fsm.queries import JobView, KvGet, KvView, ListWorkers, ResultView, RunView
from titan.ids import JobId, RunId
from titan.master import key_history, watchers, watches
from titan.master.replica import Replica
from titan.master.watches import Watches
from titan.spec.model import JobSpec
from titan.wire.messages import (
    Follow,
    FollowUpdate,
    KeysMark,
    KeyUpdate,
    Message,
    RunUpdate,
    WatchKeys,
    WatchRun,
    decode,
)

RUN = RunId("r-0")


class Pieces:
    """A channel whose pieces are kept."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[bytes] = asyncio.Queue()

    async def send(self, piece: bytes) -> None:
        self.queue.put_nowait(piece)

    async def next(self) -> Message:
        async with asyncio.timeout(5):
            return decode(await self.queue.get())


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


def jobs_in(update: Message) -> list[JobView]:
    assert isinstance(update, RunUpdate)
    return msgspec.msgpack.decode(update.jobs, type=list[JobView])


def run_in(update: Message) -> RunView:
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


async def test_the_end_of_a_run_is_told_at_once(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watches, "PUSH_INTERVAL_S", 60)
    log(SubmitRun(run=RUN, name="n", jobs=(JobSpec(id=JobId("a"), argv=(b"true",)),)))
    pieces = Pieces()
    watching = asyncio.create_task(log.watches.run(WatchRun(run=RUN), pieces))  # type: ignore[arg-type]
    await pieces.next()
    log(AddJobs(run=RUN, jobs=(JobSpec(id=JobId("b"), argv=(b"true",)),)))
    await pieces.next()  # the next one would have to wait
    log(CancelRun(run=RUN))
    last = await pieces.next()
    assert isinstance(last, RunUpdate)
    assert msgspec.msgpack.decode(last.run, type=RunView).over
    await watching


async def test_the_results_of_a_few_jobs_come_with_the_news(log: Log) -> None:
    job = JobSpec(id=JobId("a"), argv=(b"true",))
    log(SubmitRun(run=RUN, name="n", jobs=(job, JobSpec(id=JobId("b"), argv=(b"true",)))))
    log(CancelRun(run=RUN))
    pieces = Pieces()
    asked = (JobId("b"),)
    await log.watches.run(WatchRun(run=RUN, jobs=False, results=asked), pieces)  # type: ignore[arg-type]
    last = await pieces.next()
    assert isinstance(last, RunUpdate)
    told = msgspec.msgpack.decode(last.results, type=list[ResultView])
    assert [(one.id, one.state, one.over) for one in told] == [("b", "CANCELLED", True)]


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


def told(updates: list[object]) -> list[object]:
    """Updates as (key, index, value), marks as (kind, index)."""
    out: list[object] = []
    for update in updates:
        if isinstance(update, KeyUpdate):
            item = msgspec.msgpack.decode(update.item, type=KvView | None)
            out.append((update.key, update.index, None if item is None else item.value))
        else:
            assert isinstance(update, KeysMark)
            out.append((update.kind, update.index))
    return out


async def watch_keys(log: Log, *, after: int, count: int) -> list[object]:
    pieces = Pieces()
    serving = asyncio.create_task(
        log.watches.keys.serve(WatchKeys(prefix="a/", after=after), pieces)  # type: ignore[arg-type]
    )
    seen = [await pieces.next() for _ in range(count)]
    await asyncio.sleep(0)
    rest = told([await pieces.next() for _ in range(pieces.queue.qsize())])
    assert all(mark[0] == "at" for mark in rest), rest  # type: ignore[index]
    serving.cancel()
    await asyncio.wait({serving})
    return told(seen)


async def test_a_watch_of_keys_resumes_after_any_index_that_is_remembered(log: Log) -> None:
    for number in range(3):
        log(KvPut(key="a/1", value=str(number).encode()))
        log(KvPut(key="b", value=b""))
    log(KvDelete(key="a/1"))
    changes = [("a/1", 2, "0"), ("a/1", 4, "1"), ("a/1", 6, "2"), ("a/1", 8, None)]
    for after in range(1, 9):
        left = [change for change in changes if change[1] > after]
        assert await watch_keys(log, after=after, count=len(left)) == left
    assert await watch_keys(log, after=0, count=2) == [("begin", 8), ("end", 8)]


async def test_who_comes_back_too_late_gets_what_is_there_between_two_marks(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(key_history, "KEY_CHANGES_KEPT", 2)
    for number in range(5):
        log(KvPut(key=f"a/{number % 2}", value=str(number).encode()))
    everything = [("begin", 6), ("a/0", 6, "4"), ("a/1", 6, "3"), ("end", 6)]
    assert await watch_keys(log, after=3, count=4) == everything
    assert await watch_keys(log, after=4, count=2) == [("a/1", 5, "3"), ("a/0", 6, "4")]


async def test_a_snapshot_that_replaces_the_state_makes_watchers_read_everything(log: Log) -> None:
    log(KvPut(key="a/1", value=b"old"))
    pieces = Pieces()
    serving = asyncio.create_task(
        log.watches.keys.serve(WatchKeys(prefix="a/", after=0), pieces)  # type: ignore[arg-type]
    )
    assert told([await pieces.next() for _ in range(3)])[1] == ("a/1", 2, "old")
    other = Log()
    for number in range(5):
        other(KvPut(key="a/2", value=str(number).encode()))
    log.replica.restore(other.replica.freeze())
    seen = told([await pieces.next() for _ in range(3)])
    assert seen == [("begin", 6), ("a/2", 6, "4"), ("end", 6)]
    serving.cancel()
    await asyncio.wait({serving})


async def test_a_quiet_watcher_is_told_how_far_the_log_is_before_its_place_is_forgotten(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(key_history, "KEY_CHANGES_KEPT", 8)
    pieces = Pieces()
    serving = asyncio.create_task(
        log.watches.keys.serve(WatchKeys(prefix="a/", after=0), pieces)  # type: ignore[arg-type]
    )
    assert told([await pieces.next(), await pieces.next()]) == [("begin", 1), ("end", 1)]
    for _ in range(40):
        log(KvPut(key="b", value=b""))
        await asyncio.sleep(0)
    marks = told([await pieces.next() for _ in range(pieces.queue.qsize())])
    assert marks
    assert {mark[0] for mark in marks} == {"at"}, "it had to read everything again"  # type: ignore[index]
    log(KvPut(key="a/1", value=b"x"))
    assert told([await pieces.next()]) == [("a/1", 42, "x")]
    serving.cancel()
    await asyncio.wait({serving})


async def test_a_follower_is_told_the_answer_and_then_each_other_one(log: Log) -> None:
    pieces = Pieces()
    query = msgspec.msgpack.encode(KvGet(key="k"))
    serving = asyncio.create_task(
        log.watches.follows.serve(Follow(query=query), pieces)  # type: ignore[arg-type]
    )

    async def answer() -> object:
        update = await pieces.next()
        assert isinstance(update, FollowUpdate)
        view = msgspec.msgpack.decode(update.value, type=KvView | None)
        return None if view is None else view.value

    assert await answer() is None
    log(KvPut(key="k", value=b"1"))
    assert await answer() == "1"
    log(KvPut(key="other", value=b"1"))
    log(KvDelete(key="k"))
    assert await answer() is None
    assert pieces.queue.empty()
    serving.cancel()
    await asyncio.wait({serving})
    assert not log.watches.follows._topics


async def test_only_what_changes_can_be_followed(log: Log) -> None:
    for query in (msgspec.msgpack.encode(ListWorkers()), b"nonsense"):
        with pytest.raises(UserError):
            await log.watches.follows.serve(Follow(query=query), Pieces())  # type: ignore[arg-type]


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
