"""What the soak looks at: memory, descriptors and folders of every process, and the tables of the state."""

from __future__ import annotations

import contextlib
import os
import re
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import psutil

from bench import program
from titan.cli.local import LocalCluster, Member

Row = dict[str, float]
_NOUN: Final = re.compile(r'titan_state_rows\{noun="(\w+)"\} (\d+)')
_PLAIN: Final = re.compile(
    r"^(titan_(?:loop_lag_recent_max_ms|raft_applied_index)) ([\d.]+)$", re.M
)
_MASTER_FOLDERS: Final = {"raft": "log", "blobs": "blobs"}


class Sampler:
    """Rows of figures, one per look."""

    def __init__(self, local: LocalCluster, timings: dict[str, list[float]]) -> None:
        self._local = local
        self._timings = timings
        self.rows: list[Row] = []

    def take(self, at_s: float) -> None:
        """Look at everything now."""
        row: Row = {"minute": at_s / 60, "load": os.getloadavg()[0], "at": time.time()}
        for member in self._local.members:
            row |= {f"{member.name} {name}": value for name, value in _process(member).items()}
            row |= {f"{member.name} {name}": value for name, value in self._folders(member)}
        for master in self._local.masters:
            with contextlib.suppress(OSError):  # too slow to answer now: a gap in the row
                row |= {f"{master.name} {name}": value for name, value in _metrics(master)}
        for kind, took in self._timings.items():
            done, took[:] = list(took), []
            if done:
                row[f"{kind} p50 ms"] = program.percentile(done, 0.5)
                row[f"{kind} p99 ms"] = program.percentile(done, 0.99)
            row[f"{kind}s"] = len(done)
        self.rows.append(row)

    def _folders(self, member: Member) -> Iterator[tuple[str, float]]:
        """The bytes and the number of files in each folder of a member's data."""
        home = self._local.data / member.name
        for folder in sorted(home.iterdir()):
            if folder.is_dir():
                size, files = _size(folder)
                yield f"{folder.name} bytes", size
                yield f"{folder.name} files", files
        yield "outbox bytes", _size_of(home / "outbox")
        yield "own log bytes", _size_of(member.log)
        raft = home / "raft"
        if raft.is_dir():
            yield "snapshot bytes", sum(map(_size_of, raft.rglob("*snap*")))


def _process(member: Member) -> Row:
    """Of the process itself, and of those that it has started and that stay (warden, interpreters)."""
    own = psutil.Process(member.pid)
    family = 0
    for child in own.children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            if time.time() - child.create_time() > 10:
                family += child.memory_info().rss
    return {
        "rss": own.memory_info().rss,
        "helpers rss": family,
        "fds": own.num_fds(),
        "threads": own.num_threads(),
    }


def _metrics(master: Member) -> Iterator[tuple[str, float]]:
    with urllib.request.urlopen(f"http://{master.http}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    for name, value in _PLAIN.findall(text):
        yield name.removeprefix("titan_").replace("_", " "), float(value)
    for noun, count in _NOUN.findall(text):
        yield f"state {noun}", float(count)


def _size(folder: Path) -> tuple[int, int]:
    """Bytes on disk and files below; what vanishes meanwhile does not count."""
    size = files = 0
    for path, _names, found in os.walk(folder):
        files += len(found)
        size += sum(_size_of(Path(path, name)) for name in found)
    return size, files


def _size_of(path: Path) -> int:
    try:
        return path.stat().st_blocks * 512
    except FileNotFoundError:
        return 0
