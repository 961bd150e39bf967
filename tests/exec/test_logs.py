"""The log store: where output is kept, for how long, and what the time index knows."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from titan.errors import NotFound
from titan.exec.logs import LogStore, _index
from titan.ids import AttemptId, JobId, RunId
from titan.wire.log_text import Excerpt, chunks, span_of

RUN, OTHER = RunId("r-1"), RunId("r-2")
JOB = JobId("job")


def finished(store: LogStore, attempt: int, *, size: int, run: RunId = RUN) -> Path:
    path = store.begin(run, JOB, AttemptId(attempt))
    path.write_bytes(b"x" * size)
    store.end(AttemptId(attempt), now_ms=attempt)
    return path


def test_the_logs_that_ended_first_are_removed_first(tmp_path: Path) -> None:
    store = LogStore(tmp_path, bytes_max=250)
    paths = [finished(store, n, size=100, run=RUN if n < 3 else OTHER) for n in (1, 2, 3, 4)]
    assert [path.exists() for path in paths] == [False, False, True, True]
    assert not (tmp_path / RUN).exists()
    assert store.ended_bytes == 200
    assert finished(store, 5, size=10, run=RUN).exists()  # the folder is made again
    with pytest.raises(NotFound, match="no log of attempt 1"):
        store.find(RUN, JOB, AttemptId(1))


def test_an_index_that_cannot_be_written_keeps_no_end_back(tmp_path: Path) -> None:
    store = LogStore(tmp_path, bytes_max=10_000)
    path = store.begin(RUN, JOB, AttemptId(1))
    for now_ms in (1_000, 5_000):
        with path.open("ab") as file:
            file.write(b"x" * 100)
        if now_ms == 1_000:
            assert list(store.sample(now_ms=now_ms)) == [(1, 100)]
            _index(path).mkdir()  # whatever is wrong with the disk
    assert store.end(AttemptId(1), now_ms=5_000, size_bytes=200) == path


def test_a_running_log_is_never_removed(tmp_path: Path) -> None:
    store = LogStore(tmp_path, bytes_max=10)
    running = store.begin(RUN, JOB, AttemptId(1))
    running.write_bytes(b"x" * 1000)
    finished(store, 2, size=1000)
    assert running.exists()
    assert list(store.sample(now_ms=1000)) == [(1, 1000)]


def test_no_more_logs_than_configured_are_kept(tmp_path: Path) -> None:
    store = LogStore(tmp_path, bytes_max=1000, files_max=2)
    paths = [finished(store, number, size=1) for number in (1, 2, 3)]
    assert [path.exists() for path in paths] == [False, True, True]


def test_a_restarted_worker_knows_and_bounds_the_old_logs(tmp_path: Path) -> None:
    store = LogStore(tmp_path, bytes_max=1000)
    paths = [finished(store, n, size=100) for n in (1, 2, 3)]
    for age, path in enumerate(paths):
        os.utime(path, (1000 - age, 1000 - age))  # the first is the newest
    again = LogStore(tmp_path, bytes_max=200)
    assert [path.exists() for path in paths] == [True, True, False]
    assert again.find(RUN, JOB, AttemptId(0)) == (2, paths[1])


def test_a_job_that_prints_once_has_a_time_index_only_if_it_lives_on(tmp_path: Path) -> None:
    store = LogStore(tmp_path, bytes_max=1000)
    for attempt, ended_ms in ((1, 1500), (2, 2500)):
        path = store.begin(RUN, JOB, AttemptId(attempt))
        path.write_bytes(b"x" * 10)
        for now_ms in range(1000, ended_ms, 100):
            list(store.sample(now_ms=now_ms))
        store.end(AttemptId(attempt), now_ms=ended_ms, size_bytes=10)
        assert [tuple(one) for one in store.samples(path)] == ([(1000, 10)] if attempt == 2 else [])


def test_the_time_index_says_how_long_the_log_was(tmp_path: Path) -> None:
    store = LogStore(tmp_path, bytes_max=1000, sample_ms=100)
    path = store.begin(RUN, JOB, AttemptId(1))
    for now_ms, size in ((1000, 10), (1050, 20), (1100, 20), (1200, 20), (1300, 50)):
        path.write_bytes(b"x" * size)
        assert list(store.sample(now_ms=now_ms))
    with path.with_suffix(".idx").open("ab") as file:
        file.write(b"torn")
    samples = store.samples(path)
    assert samples == [(1000, 10), (1100, 20), (1300, 50)]

    def span(since_ms: int, until_ms: int) -> tuple[int, int]:
        return span_of(samples, size=60, ended_ms=1400, since_ms=since_ms, until_ms=until_ms)

    assert span(0, 0) == (0, 60)
    assert span(1000, 1100) == (10, 20)
    assert span(1050, 1150) == (10, 50)
    assert span(1300, 1399) == (50, 60)
    assert span(1401, 0) == (60, 60)


def test_lines_with_a_text_are_chosen_wherever_the_pieces_are_cut() -> None:
    text = "".join(f"line {n} {'needle' if n % 7 == 0 else ''} é\n" for n in range(200)) + "needle"
    wanted = "".join(line for line in text.splitlines(keepends=True) if "needle" in line).encode()
    data = text.encode()
    for size in (1, 5, 100, 10_000):
        for skip in (0, 3, len(wanted) - 1, len(wanted)):
            excerpt = Excerpt(text="needle", skip=skip)
            out = b"".join(excerpt.feed(piece) for piece in chunks(data, size)) + excerpt.close()
            assert out == wanted[skip:]
            assert excerpt.size == len(wanted)


@pytest.mark.parametrize("run", ["", "..", "a/b", "r" * 200])
def test_ids_that_name_no_folder_are_refused(tmp_path: Path, run: str) -> None:
    store = LogStore(tmp_path, bytes_max=1000)
    with pytest.raises(ValueError, match="not a run id"):
        store.begin(RunId(run), JOB, AttemptId(1))
    with pytest.raises(NotFound):
        store.find(RunId(run), JOB, AttemptId(1))


def test_a_jobs_log_is_not_taken_for_that_of_a_job_with_a_similar_name(tmp_path: Path) -> None:
    store = LogStore(tmp_path, bytes_max=1000)
    store.begin(RUN, JobId("a.1"), AttemptId(7))
    with pytest.raises(NotFound):
        store.find(RUN, JobId("a"), AttemptId(0))
    assert store.find(RUN, JobId("a.1"), AttemptId(0))[0] == 7
