"""Logs that nothing was printed to: reused when nobody has them open, never when it is not certain."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from titan.exec.log_reader import serve_log
from titan.exec.logs import LogStore
from titan.ids import AttemptId, JobId, RunId
from titan.limits import LOG_FOLDERS_KNOWN_MAX
from titan.wire.messages import LogEnd, ReadLog

RUN = RunId("r-1")


@pytest.fixture
def store(tmp_path: Path) -> LogStore:
    return LogStore(tmp_path, bytes_max=1000)


def begun(store: LogStore, attempt: int, *, run: RunId = RUN) -> Path:
    """A job whose process has opened its log."""
    path = store.begin(run, JobId(f"j{attempt}"), AttemptId(attempt))
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o640))
    return path


def ended(store: LogStore, attempt: int, *, size_bytes: int = 0) -> Path | None:
    return store.end(AttemptId(attempt), now_ms=attempt, size_bytes=size_bytes)


class Nowhere:
    async def send(self, piece: bytes) -> None:
        raise AssertionError(piece)


async def test_the_log_of_a_job_that_printed_nothing_becomes_another_ones(store: LogStore) -> None:
    path = begun(store, 1)
    inode = path.stat().st_ino
    assert ended(store, 1) is None
    again = begun(store, 2)
    assert not path.exists()
    assert again.name == "j2.2.log"
    assert again.stat().st_ino == inode
    request = ReadLog(run=RUN, job=JobId("j1"), attempt=AttemptId(0), follow=True)
    assert await serve_log(request, Nowhere(), logs=store) == LogEnd(attempt=AttemptId(1), size=0)


@contextlib.contextmanager
def opened(path: Path, flags: int) -> Iterator[None]:
    fd = os.open(path, flags)
    try:
        yield
    finally:
        os.close(fd)


@contextlib.contextmanager
def done(change: Callable[[Path], object], path: Path) -> Iterator[None]:
    change(path)
    yield


DOUBTS: dict[str, Callable[[Path], contextlib.AbstractContextManager[None]]] = {
    "a process may still print to it": lambda path: opened(path, os.O_WRONLY),
    "a reader follows it": lambda path: opened(path, os.O_RDONLY),
    "others may write to it": lambda path: done(lambda p: p.chmod(0o666), path),
    "it has another name": lambda path: done(lambda p: (p.parent / "x").hardlink_to(p), path),
    "there is something in it": lambda path: done(lambda p: p.write_text("late"), path),
}


@pytest.mark.parametrize("doubt", DOUBTS)
def test_in_doubt_a_log_stays_where_it_is(store: LogStore, doubt: str) -> None:
    path = begun(store, 1)
    inode = path.stat().st_ino
    with DOUBTS[doubt](path):
        assert ended(store, 1) == path
        assert begun(store, 2).stat().st_ino != inode


def test_a_log_that_was_printed_to_stays(store: LogStore) -> None:
    path = begun(store, 1)
    path.write_text("hello")
    assert ended(store, 1, size_bytes=5) == path
    assert path.read_text() == "hello"


async def test_a_log_that_may_be_reused_is_an_empty_log_to_the_next_life(
    tmp_path: Path, store: LogStore
) -> None:
    begun(store, 1)
    ended(store, 1)
    request = ReadLog(run=RUN, job=JobId("j1"), attempt=AttemptId(1))
    for each in (store, LogStore(tmp_path, bytes_max=1000)):
        assert await serve_log(request, Nowhere(), logs=each) == LogEnd(
            attempt=AttemptId(1), size=0
        )


def test_folders_of_runs_that_printed_nothing_do_not_pile_up(
    tmp_path: Path, store: LogStore
) -> None:
    busy = begun(store, 1)
    for n in range(2, LOG_FOLDERS_KNOWN_MAX + 10):
        begun(store, n, run=RunId(f"r-{n}"))
        ended(store, n)
    assert len(list(tmp_path.iterdir())) <= LOG_FOLDERS_KNOWN_MAX + 2
    assert busy.exists()
