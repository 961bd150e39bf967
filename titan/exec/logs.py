"""The jobs' output on disk: one file per attempt, written by the processes themselves.

Owns `logs/<run>/<job>.<attempt>.log` and the time index beside each. A log outlives its attempt; when
there are more of them, or more bytes, than configured, those of the attempts that ended first are removed.
What this module does with a running log is look at its size; `log_reader.py` serves the bytes.
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from titan.errors import NotFound
from titan.exec.blank_logs import BlankLogs
from titan.ids import AttemptId, JobId, RunId, is_job_id
from titan.limits import (
    LOG_FOLDERS_KNOWN_MAX,
    LOG_INLINE_BYTES_MAX,
    LOG_SILENT_KNOWN_MAX,
    LOGS_KEPT,
)
from titan.wire.log_text import SAMPLE, Sample, read_samples

log = logging.getLogger(__name__)

_SUFFIX: Final = ".log"
_INDEX_SUFFIX: Final = ".idx"
_RUN_CHARS_MAX: Final = 128
_INDEX_AFTER_MS: Final = (
    1_000  # a single line is written when it is so old: most jobs need no index
)


@dataclass(slots=True)
class _Running:
    run: RunId
    job: JobId
    at: Path  # where it is written
    is_elsewhere: bool  # and moved to its place at the end: that is no place of its own
    size_bytes: int = 0
    sampled_ms: int = 0
    unwritten: list[tuple[int, int]] = field(default_factory=list)  # samples for the index
    has_index: bool = False


class LogStore:
    """All logs of a worker."""

    def __init__(
        self, root: Path, *, bytes_max: int, files_max: int = LOGS_KEPT, sample_ms: int = 100
    ) -> None:
        self._root = root
        self._bytes_max = bytes_max
        self._files_max = files_max
        self._sample_ms = sample_ms
        self._running: dict[AttemptId, _Running] = {}
        self._ended: OrderedDict[str, int] = OrderedDict()  # path → bytes, the longest ended first
        self._ended_bytes = 0
        # Those that there are; the last used at the end.
        self._folders: OrderedDict[RunId, Path] = OrderedDict()
        self._silent: OrderedDict[tuple[RunId, JobId], AttemptId] = OrderedDict()  # had no output
        root.mkdir(parents=True, exist_ok=True)
        self._blanks = BlankLogs()
        self._load()

    def begin(self, run: RunId, job: JobId, attempt: AttemptId, *, at: Path | None = None) -> Path:
        """The file for a new attempt's output. Raises `ValueError` when the ids name no file.

        `at`: a file on the same disk that is written instead; at the end it becomes the log, if there is
        anything in it. A process that serves many attempts prints without a file for each.
        """
        path = at or self._path(run, job, attempt)
        if at is None:
            self._make_folder(run)
            if (old := self._blanks.take(path)) is not None:
                self._leave(old.parent)
        self._running[attempt] = _Running(run, job, path, is_elsewhere=at is not None)
        return path

    def end(self, attempt: AttemptId, *, now_ms: int, size_bytes: int | None = None) -> Path | None:
        """The attempt prints no more: complete its index and make room if there is too much.

        `size_bytes`, when it is known, saves a look at the file. Answers where the log is; there is
        none of an attempt that is known to have printed nothing.
        """
        running = self._running.pop(attempt, None)
        if running is None:
            return None
        is_silent = size_bytes == 0 and not running.size_bytes
        if running.is_elsewhere:
            is_silent = not self._take_over(attempt, running, size_bytes)
        elif is_silent:
            is_silent = self._blanks.put(running.at)
        if is_silent:
            self._note_silent(attempt, running)
            return None
        if running.size_bytes:  # an index of one line, at the end, tells nothing: no file for that
            self._sample(attempt, running, now_ms=now_ms)
        self._keep(running.at, size_bytes=size_bytes)
        self._make_room()
        return running.at

    def sample(self, *, now_ms: int) -> Iterator[tuple[AttemptId, int]]:
        """Look at every running log; its attempt and its size in bytes."""
        for attempt, running in self._running.items():
            if now_ms - running.sampled_ms >= self._sample_ms:
                self._sample(attempt, running, now_ms=now_ms)
            yield attempt, running.size_bytes

    def read_small(self, attempt: AttemptId) -> bytes:
        """All that an attempt has printed, when that is little enough to travel with its result."""
        running = self._running.get(attempt)
        if running is None:
            return b""
        try:
            fd = os.open(running.at, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return b""
        try:
            data = os.read(fd, LOG_INLINE_BYTES_MAX + 1)
        finally:
            os.close(fd)
        return data if len(data) <= LOG_INLINE_BYTES_MAX else b""

    def is_silent(self, run: RunId, job: JobId, attempt: AttemptId) -> bool:
        """Whether the attempt is known to have ended without having printed anything."""
        return self._silent.get((run, job)) == attempt

    def is_running(self, attempt: AttemptId) -> bool:
        """Whether more output may come."""
        return attempt in self._running

    def find(self, run: RunId, job: JobId, attempt: AttemptId) -> tuple[AttemptId, Path]:
        """The log of an attempt, or of the job's newest here when `attempt` is 0. Raises `NotFound`."""
        try:
            folder, stem = self._folder(run), _checked_job(job)
        except ValueError as error:
            raise NotFound(str(error)) from None
        found = _attempts_in(folder, stem)
        for number, running in self._running.items():  # the file may not have been opened yet
            if running.run == run and running.job == job:
                found[number] = running.at
        if silent := self._silent.get((run, job)):
            found.setdefault(silent, self._path(run, job, silent))  # where it would be
        chosen = attempt or max(found, default=AttemptId(0))
        if chosen not in found:
            raise NotFound(f"this worker has no log of attempt {chosen} of {run}/{job}")
        return chosen, found[chosen]

    @staticmethod
    def samples(path: Path) -> list[Sample]:
        """What the time index of a log knows."""
        with contextlib.suppress(FileNotFoundError):
            return read_samples(_index(path).read_bytes())
        return []

    @property
    def ended_bytes(self) -> int:
        """What the logs of ended attempts take."""
        return self._ended_bytes

    # --- inside -------------------------------------------------------------------------------

    def _folder(self, run: RunId) -> Path:
        ok = 0 < len(run) <= _RUN_CHARS_MAX and run.replace("-", "").isalnum() and run.isascii()
        if not ok:
            raise ValueError(f"{run!r} is not a run id")
        return self._root / run

    def _path(self, run: RunId, job: JobId, attempt: AttemptId) -> Path:
        folder = self._folders.get(run) or self._folder(run)
        return Path(f"{folder}/{_checked_job(job)}.{attempt}{_SUFFIX}")

    def _make_folder(self, run: RunId) -> None:
        if run in self._folders:
            self._folders.move_to_end(run)
            return
        folder = self._folder(run)
        folder.mkdir(exist_ok=True)
        self._folders[run] = folder
        if len(self._folders) > LOG_FOLDERS_KNOWN_MAX:
            oldest, folder = self._folders.popitem(last=False)
            if all(running.run != oldest for running in self._running.values()):
                self._leave(folder)

    def _leave(self, folder: Path) -> None:
        """Remove the folder of a run unless it is in use or has logs."""
        if folder.name not in self._folders:
            with contextlib.suppress(OSError):
                folder.rmdir()

    def _note_silent(self, attempt: AttemptId, running: _Running) -> None:
        self._silent[running.run, running.job] = attempt
        if len(self._silent) > LOG_SILENT_KNOWN_MAX:
            self._silent.popitem(last=False)

    def _take_over(self, attempt: AttemptId, running: _Running, size_bytes: int | None) -> bool:
        """Make the file that was written instead the log; whether there is one."""
        if not size_bytes:
            return False
        path = self._path(running.run, running.job, attempt)
        try:
            self._make_folder(running.run)
            running.at.rename(path)
        except FileNotFoundError:
            return False
        except OSError as error:
            log.warning("the log of attempt %d is lost: %s", attempt, error)
            return False
        running.at = path
        return True

    def _sample(self, attempt: AttemptId, running: _Running, *, now_ms: int) -> None:
        running.sampled_ms = now_ms
        try:
            size_bytes = running.at.stat().st_size
        except FileNotFoundError:
            return  # not opened yet
        if size_bytes != running.size_bytes:
            running.size_bytes = size_bytes
            running.unwritten.append((now_ms, size_bytes))
        if running.unwritten:
            is_alone = len(running.unwritten) == 1 and not running.has_index
            if not is_alone or now_ms - running.unwritten[0][0] >= _INDEX_AFTER_MS:
                self._write_index(attempt, running)

    def _write_index(self, attempt: AttemptId, running: _Running) -> None:
        path = self._path(running.run, running.job, attempt)
        try:
            self._make_folder(running.run)
            with _index(path).open("ab", buffering=0) as file:
                file.write(b"".join(SAMPLE.pack(*sample) for sample in running.unwritten))
        except OSError as error:  # a full disk costs the times of some lines, never a result
            log.warning("no index of the log of attempt %d: %s", attempt, error)
        running.unwritten.clear()
        running.has_index = True

    def _keep(self, path: Path, *, size_bytes: int | None = None) -> None:
        if size_bytes is None:
            try:
                size_bytes = path.stat().st_size
            except FileNotFoundError:
                return
        self._ended[str(path)] = size_bytes
        self._ended_bytes += size_bytes

    def _make_room(self) -> None:
        while self._ended_bytes > self._bytes_max or len(self._ended) > self._files_max:
            name, size_bytes = self._ended.popitem(last=False)
            self._ended_bytes -= size_bytes
            path = Path(name)
            for each in (path, _index(path), path.with_suffix(".unsent")):
                each.unlink(missing_ok=True)
            with contextlib.suppress(OSError):  # another attempt of the run still has its log there
                path.parent.rmdir()
                self._folders.pop(RunId(path.parent.name), None)

    def _load(self) -> None:
        """Take over the logs of earlier lives, the ones written last being the last to go."""
        found: list[tuple[float, Path]] = []
        for folder, _names, files in os.walk(self._root):
            paths = (Path(folder, name) for name in files if name.endswith(_SUFFIX))
            found += ((path.stat().st_mtime, path) for path in paths)
        for _written, path in sorted(found):
            self._keep(path)
        for place in self._root.iterdir():
            self._leave(place)
        self._make_room()


def _index(path: Path) -> Path:
    return path.with_suffix(_INDEX_SUFFIX)


def _checked_job(job: JobId) -> str:
    if not is_job_id(job):
        raise ValueError(f"{job!r} is not a job id")
    return job


def _attempts_in(folder: Path, job: str) -> dict[AttemptId, Path]:
    found: dict[AttemptId, Path] = {}
    with contextlib.suppress(FileNotFoundError):
        for path in folder.iterdir():
            stem, _dot, number = path.name.removesuffix(_SUFFIX).rpartition(".")
            if path.suffix == _SUFFIX and stem == job and number.isdigit():
                found[AttemptId(int(number))] = path
    return found
