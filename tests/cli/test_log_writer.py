"""The log of a process whose reader has stopped, on real pipes."""

from __future__ import annotations

import fcntl
import logging
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from titan.cli.log_writer import LogWriter
from titan.limits import LOG_LINES_WAITING_MAX


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """Both ends of a pipe, small."""
    read, write = os.pipe()
    fcntl.fcntl(write, fcntl.F_SETPIPE_SZ, 4096)
    yield read, write
    for end in (read, write):
        os.close(end)


def record(text: str) -> logging.LogRecord:
    return logging.LogRecord("titan", logging.INFO, __file__, 1, text, (), None)


def test_lines_come_in_order_and_a_flush_waits_for_them(tmp_path: Path) -> None:
    with (tmp_path / "log").open("w") as stream:
        writer = LogWriter(stream)
        for number in range(1000):
            writer.emit(record(f"line {number}"))
        writer.flush()
        assert (tmp_path / "log").read_text() == "".join(f"line {n}\n" for n in range(1000))


def test_a_reader_that_stands_still_stops_nobody_and_is_told_what_it_missed(
    pipe: tuple[int, int],
) -> None:
    read, write = pipe
    writer = LogWriter(os.fdopen(write, "w", closefd=False))
    for number in range(2 * LOG_LINES_WAITING_MAX + 10):
        writer.emit(record(f"line {number} {'x' * 100}"))
    text = b""
    while b"were dropped here" not in text:
        text += os.read(read, 1 << 16)
    lines = text.decode().splitlines()
    kept = [line for line in lines if line.startswith("line ")]
    assert [int(line.split()[1]) for line in kept] == list(range(len(kept)))
    dropped = next(line for line in lines if "were dropped here" in line)
    assert int(dropped.split()[0]) + len(kept) == 2 * LOG_LINES_WAITING_MAX + 10
    assert len(kept) >= LOG_LINES_WAITING_MAX
