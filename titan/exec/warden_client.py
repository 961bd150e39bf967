"""The worker's side of the warden: orders out in batches, reports in as callbacks.

Owns the warden process and the socket to it. Must be opened on the thread that lives as long as the
worker, since the kernel ties the warden to that thread. See `warden.py` for what the other end does.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Protocol

import titan
from titan.errors import Fatal
from titan.exec import procfs
from titan.exec.frames import READ_BYTES, packed, take_frames
from titan.exec.warden import become_subreaper
from titan.ids import AttemptId

log = logging.getLogger(__name__)

_EXIT_PATIENCE_S: Final = (
    25.0  # longer than the warden waits for what cannot be killed and says farewell
)
_PACKAGE_ROOT: Final = str(Path(titan.__file__).parent.parent)
_PROGRAM: Final = (
    "import sys; sys.path.insert(0, sys.argv.pop(1)); from titan.exec.warden import main; main()"
)


class Reports(Protocol):
    """What the warden tells. Called on the event loop."""

    def on_started(self, attempt: AttemptId, pid: int) -> None:
        """The process runs."""

    def on_start_failed(self, attempt: AttemptId, errno: int, text: str) -> None:
        """The process could not be started."""

    def on_exited(
        self, attempt: AttemptId, *, exit_code: int, duration_us: int, log_bytes: int, cpu_us: int
    ) -> None:
        """The process has ended and whatever it left behind has been killed."""

    def on_warden_lost(self) -> None:
        """The warden died; no process can be controlled any more."""


class Warden:
    """A running warden."""

    def __init__(self, reports: Reports) -> None:
        self._reports = reports
        self._loop = asyncio.get_running_loop()
        self._inbox = bytearray()
        self._outbox = bytearray()
        self._doors: deque[tuple[int, int]] = deque()  # where in the outbox, which descriptor
        self._flush_scheduled = False
        self._is_closing = False
        self.warm_starts = 0  # how many processes were forks of a warm Python
        # If the warden is killed, its orphans come here to be killed instead of escaping to init.
        become_subreaper()
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                self._command(theirs.fileno()),
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C at the worker's terminal is not for the warden
                env={},
            )
        ours.setblocking(False)
        self._socket = ours
        self._loop.add_reader(ours.fileno(), self._receive)

    @staticmethod
    def _command(fd: int) -> list[str]:
        program = [sys.executable, "-I", "-S", "-c", _PROGRAM]
        return [*program, _PACKAGE_ROOT, str(fd), str(os.getpid())]

    @property
    def pid(self) -> int:
        """The warden's process id."""
        return self._process.pid

    def spawn(
        self,
        attempt: AttemptId,
        *,
        argv: Sequence[bytes],
        cwd: Path,
        env: Mapping[bytes, bytes],
        log: Path,
        how: Mapping[str, Any] | None = None,
        door: socket.socket | None = None,
    ) -> None:
        """Order a process: `argv[0]` is a path, both output streams are appended to `log`.

        `how`: what `spawning.Order` reads; by it a fork of a warm interpreter may take its place.
        `door`: the process gets it as descriptor 3; the caller may close its own at once.
        """
        given = dict(how or {})
        if door is not None:
            given["has_door"] = True
            self._doors.append((len(self._outbox), os.dup(door.fileno())))
        paths = os.fsencode(cwd), dict(env), os.fsencode(log)
        self._order("spawn", attempt, list(argv), *paths, given)

    def spawn_script(
        self,
        attempt: AttemptId,
        *,
        argv: Sequence[bytes],
        cwd: Path,
        env: Mapping[bytes, bytes],
        log: Path,
    ) -> None:
        """The same for a Python and its script."""
        self.spawn(attempt, argv=argv, cwd=cwd, env=env, log=log, how={"is_script": True})

    def set_farewell(self, argv: Sequence[bytes], env: Mapping[bytes, bytes]) -> None:
        """What the warden runs last, when everything is dead, however this worker ends."""
        self._order("farewell", list(argv), dict(env))

    def terminate(self, attempt: AttemptId) -> None:
        """Ask the whole group of the attempt, and its daemons, to end."""
        self._order("signal", attempt, int(signal.SIGTERM))

    def kill(self, attempt: AttemptId) -> None:
        """End the whole group of the attempt, and its daemons."""
        self._order("signal", attempt, int(signal.SIGKILL))

    async def close(self) -> None:
        """Kill everything that still runs and wait until it is gone."""
        self._hang_up()
        try:
            await asyncio.to_thread(self._process.wait, _EXIT_PATIENCE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            await asyncio.to_thread(self._process.wait)
            raise Fatal("the warden did not exit; processes may be left running") from None

    def _hang_up(self) -> None:
        if not self._is_closing:
            self._is_closing = True
            self._loop.remove_reader(self._socket.fileno())
            self._loop.remove_writer(self._socket.fileno())
            self._socket.close()
            while self._doors:
                os.close(self._doors.popleft()[1])

    # --- frames -----------------------------------------------------------------------------

    def _order(self, *frame: Any) -> None:
        self._outbox += packed(frame)
        if not self._flush_scheduled and not self._is_closing:
            self._flush_scheduled = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        """Write what this turn of the loop ordered; the rest follows when the socket takes more."""
        self._flush_scheduled = False
        if self._is_closing:
            return
        try:
            while self._outbox:
                self._sent(self._send_some())
        except BlockingIOError:
            self._loop.add_writer(self._socket.fileno(), self._flush)
            return
        except (BrokenPipeError, ConnectionResetError):
            self._lost()
            return
        self._loop.remove_writer(self._socket.fileno())

    def _send_some(self) -> int:
        """A descriptor travels with the first byte of its order, so no piece goes beyond the next one."""
        end = READ_BYTES
        door = -1
        for at, fd in self._doors:
            if at:
                end = min(end, at)
                break
            door = fd
        piece = memoryview(self._outbox)[:end].tobytes()
        return (
            socket.send_fds(self._socket, [piece], [door])
            if door >= 0
            else self._socket.send(piece)
        )

    def _sent(self, count: int) -> None:
        del self._outbox[:count]
        if count and self._doors and not self._doors[0][0]:
            os.close(self._doors.popleft()[1])
        self._doors = deque((at - count, fd) for at, fd in self._doors)

    def _receive(self) -> None:
        try:
            data = self._socket.recv(READ_BYTES)
        except (BlockingIOError, InterruptedError):
            return
        except ConnectionResetError:
            data = b""
        if not data:
            self._lost()
            return
        self._inbox += data
        for frame in take_frames(self._inbox):
            self._report(frame)

    def _report(self, frame: tuple[Any, ...]) -> None:
        match frame:
            case ("started", attempt, pid, is_warm):
                self.warm_starts += is_warm
                self._reports.on_started(attempt, pid)
            case ("failed", attempt, errno, text):
                self._reports.on_start_failed(attempt, errno, text)
            case ("exited", attempt, code, duration_us, log_bytes, cpu_us):
                self._reports.on_exited(
                    attempt,
                    exit_code=code,
                    duration_us=duration_us,
                    log_bytes=log_bytes,
                    cpu_us=cpu_us,
                )
            case _:
                raise Fatal(f"unknown report {frame[:1]!r} from the warden")

    def _lost(self) -> None:
        if self._is_closing:
            return
        self._hang_up()
        self._process.wait()  # it is dead or dying: its socket is closed
        for pid in procfs.descendants(os.getpid()):
            if procfs.environ_value(pid, b"TITAN_ATTEMPT") is not None:
                _kill(pid)
        self._reports.on_warden_lost()


def kill_leftovers(data_dir: Path) -> int:
    """Kill what an earlier life of this worker left running; how many processes that were.

    There is something only if the worker and its warden were killed at the same instant. The caller
    must hold the lock of `data_dir`, so that nobody alive starts jobs from it. The worker's id would
    not do: in a copy of the directory it names a worker that lives.
    """
    own = {os.getpid(), *procfs.ancestors(os.getpid())}
    found = set(procfs.marked(b"TITAN_WORKER_DIR", os.fsencode(data_dir))) - own
    for pid in found:
        _kill(pid)
    return len(found)


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return
