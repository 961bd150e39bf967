"""Workers as processes on this master's machine.

Each has a folder of its own under the master's data, named by its launch: `pid.json`, `log`, and `data`,
which is the worker's. It runs in its own session, so it outlives this master; one that starts again on
the same data finds it there (`Folder.process`) and either keeps it or, when nobody knows its launch any
more, ends it (`strays.py`).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import msgspec
import psutil

from titan.limits import LAUNCHED_AT_ONCE_MAX, LAUNCHED_KEPT_MAX
from titan.master.providers.base import Order, ProviderFailed

END_GRACE_S: Final = 5.0  # between TERM and KILL: its jobs are elsewhere by then
_POLL_S: Final = 0.05
_LAST_WORDS_BYTES: Final = 400


class _Pid(msgspec.Struct, frozen=True):
    pid: int
    created_s: float  # tells this process from a later one with the same number


class Folder:
    """What one launch has on disk."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.launch = path.name

    @property
    def log(self) -> Path:
        """What the worker says."""
        return self.path / "log"

    def note(self, pid: int) -> None:
        """Remember whose folder it is, for the next life of this master.

        The worker does so too: a master may die between starting it and noting it down.
        """
        with contextlib.suppress(psutil.NoSuchProcess):
            known = _Pid(pid, psutil.Process(pid).create_time())
            draft = self.path / f"pid.{os.getpid()}"
            draft.write_bytes(msgspec.json.encode(known))
            draft.replace(self.path / "pid.json")

    def process(self) -> psutil.Process | None:
        """The worker's process, None when it has ended."""
        try:
            known = msgspec.json.decode((self.path / "pid.json").read_bytes(), type=_Pid)
            process = psutil.Process(known.pid)
            is_same = abs(process.create_time() - known.created_s) < 1
            return process if is_same and process.status() != psutil.STATUS_ZOMBIE else None
        except (OSError, msgspec.MsgspecError, psutil.Error):
            return None

    def last_words(self) -> str:
        """The end of its log, in one line."""
        try:
            text = self.log.read_bytes()[-_LAST_WORDS_BYTES:].decode(errors="replace")
        except OSError:
            return ""
        return " ".join(text.split("\n")[-4:]).strip()


class LocalProvider:
    """Starts, finds and ends worker processes under `home`."""

    def __init__(self, home: Path, *, masters: Callable[[], tuple[str, ...]]) -> None:
        self._home = home
        self._masters = masters
        self._children: dict[str, subprocess.Popen[bytes]] = {}

    async def launch(self, order: Order) -> None:
        """Start the worker unless it runs already."""
        await asyncio.to_thread(self._launch, order)

    def _launch(self, order: Order) -> None:
        folder = self.folder(order.launch)
        if folder.process() is not None:
            return
        if folder.path.exists():
            raise ProviderFailed(f"it ended before it had registered: {folder.last_words()}")
        if len(self.running()) >= LAUNCHED_AT_ONCE_MAX:
            raise ProviderFailed(f"{LAUNCHED_AT_ONCE_MAX} workers run on this machine already")
        try:
            self._start(folder, order)
        except OSError as error:
            raise ProviderFailed(f"cannot start a process: {error.strerror}") from None

    def _start(self, folder: Folder, order: Order) -> None:
        folder.path.mkdir(parents=True, mode=0o750)
        with folder.log.open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "titan.cli.main", *self._arguments(folder, order)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._children[order.launch] = process
        folder.note(process.pid)

    def _arguments(self, folder: Folder, order: Order) -> list[str]:
        arguments = ["worker", "--masters", ",".join(self._masters())]
        arguments += ["--data", str(folder.path / "data"), "--launch", order.launch]
        arguments += ["--launched-in", str(folder.path)]
        arguments += ["--name", f"{order.pool}-{order.launch[-6:]}", "--slots", str(order.slots)]
        for tag in order.capabilities:
            arguments += ["--capability", tag]
        for name, amount in order.resources.items():
            arguments += ["--resource", f"{name}={amount}"]
        if order.ephemeral:
            arguments.append("--ephemeral")
        return arguments

    async def end(self, order: Order) -> None:
        """End the worker's process if it runs here."""
        await self.end_folder(self.folder(order.launch))

    async def end_folder(self, folder: Folder) -> None:
        """TERM, patience, KILL; returns when the process is gone."""
        for number in (signal.SIGINT, signal.SIGKILL):
            process = folder.process()
            if process is None:
                break
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(number)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(END_GRACE_S):
                    while self._is_alive(folder):
                        await asyncio.sleep(_POLL_S)

    def _is_alive(self, folder: Folder) -> bool:
        self.reap()
        return folder.process() is not None

    def reap(self) -> None:
        """Take note of children that have ended, so that they do not stay as zombies."""
        for launch, child in list(self._children.items()):
            if child.poll() is not None:
                self._children.pop(launch, None)

    def folder(self, launch: str) -> Folder:
        """Where a launch is, whether it has been started here or not."""
        return Folder(self._home / launch)

    def folders(self) -> Iterator[Folder]:
        """Every launch that was started here and is remembered, oldest first."""
        if self._home.is_dir():
            for path in sorted(self._home.iterdir()):
                yield Folder(path)

    def running(self) -> list[Folder]:
        """Those whose process is alive."""
        self.reap()
        return [folder for folder in self.folders() if folder.process() is not None]

    def prune(self) -> None:
        """Drop the folders of all but the last few workers that have ended."""
        ended = [folder for folder in self.folders() if folder.process() is None]
        for folder in ended[: max(0, len(ended) - LAUNCHED_KEPT_MAX)]:
            shutil.rmtree(folder.path, ignore_errors=True)


def end_launched(data_dir: Path, *, patience_s: float = END_GRACE_S) -> None:
    """End every worker that a master with this data directory, running or dead, has started. Blocks."""
    provider = LocalProvider(launched_home(data_dir), masters=lambda: ())
    processes = [found for folder in provider.folders() if (found := folder.process()) is not None]
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(signal.SIGINT)
    _, alive = psutil.wait_procs(processes, timeout=patience_s)
    for process in alive:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(alive, timeout=patience_s)


def launched_home(data_dir: Path) -> Path:
    """Where a master keeps the workers that it has started."""
    return data_dir / "launched"
