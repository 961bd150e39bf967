"""The warden: a small process that starts, reaps and kills every process of a worker.

It is the jobs' parent and their subreaper, so whatever a job leaves behind, daemons included, becomes
its child. When its socket ends, which happens however the worker dies, it kills all of them and exits:
nothing runs without a worker. It decides nothing else: no time-outs, no retries, no limits.

`warden_client.py` runs it in an isolated interpreter without `site`; importing anything but the standard
library and the small modules beside it would cost every worker memory and start-up time. Both ends are
one program at one version, so the frames are a length and a `marshal` tuple. A job's output never passes
through it: the process writes to its log file itself.
"""

from __future__ import annotations

import _socket
import ctypes
import os
import select
import signal
import sys
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from titan.exec import procfs
from titan.exec.frames import READ_BYTES, packed, take_frames
from titan.exec.jobs import Job, Jobs
from titan.exec.signals import kill, kill_group
from titan.exec.spawning import Order, give, spawn
from titan.exec.warm_pool import Blank, Server, WarmPythons

_SHUTDOWN_PATIENCE_S = 10.0  # a process in an uninterruptible wait cannot be killed by anyone
_FAREWELL_PATIENCE_S = 8.0
_SWEEP_PAUSE_MS = 10
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_FD_BYTES = 4
_DOORS_ROOM = _socket.CMSG_SPACE(_FD_BYTES)  # an order brings one at most
_MSG_CMSG_CLOEXEC = 0x40000000  # Linux's; the module has no name for it
_LOG_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC


class Warden:
    """The jobs of one worker, and the socket it orders them by."""

    def __init__(self, socket_fd: int, *, parent: int, spawn: Callable[..., int] = spawn) -> None:
        self._socket = socket_fd
        self._link = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM, 0, socket_fd)
        self._doors: deque[int] = deque()  # descriptors that came with orders not obeyed yet
        self._parent = parent
        self._spawn = spawn
        self._null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        self._poll = select.poll()
        self._warm = WarmPythons(self._poll, null_fd=self._null)
        self._jobs = Jobs()
        self._inbox = bytearray()
        self._outbox = bytearray()
        self._is_over = False
        self._farewell: tuple[list[bytes], dict[bytes, bytes]] | None = None
        self._own_pid = os.getpid()

    # --- the loop ---------------------------------------------------------------------------

    def run(self, wakeup_fd: int) -> None:
        """Serve until the worker closes its end, then leave nothing behind."""
        os.set_blocking(self._socket, False)
        os.set_inheritable(self._socket, False)  # a job that held it would outlive the worker
        poll = self._poll
        poll.register(wakeup_fd, select.POLLIN)
        while not self._is_over:
            wanted = select.POLLIN | (select.POLLOUT if self._outbox else 0)
            poll.register(self._socket, wanted)
            for fd, _events in poll.poll():
                if fd == wakeup_fd:
                    os.read(wakeup_fd, 4096)
                elif fd == self._socket:
                    self._receive()
                else:
                    self._hear_warm(fd)
            self._reap()
            self._flush()
            if os.getppid() != self._parent:
                self._is_over = True
        self._end_everything(wakeup_fd)

    def _receive(self) -> None:
        try:
            data, extra, _flags, _address = self._link.recvmsg(
                READ_BYTES, _DOORS_ROOM, _MSG_CMSG_CLOEXEC
            )
        except BlockingIOError:
            return
        except ConnectionResetError:
            data, extra = b"", []
        self._doors.extend(int.from_bytes(packed, sys.byteorder) for _, _, packed in extra)
        if not data:
            self._is_over = True
            return
        self._inbox += data
        for frame in take_frames(self._inbox):
            self._obey(frame)

    def _obey(self, frame: tuple[Any, ...]) -> None:
        match frame:
            case ("spawn", key, argv, cwd, env, log, how):
                door = self._doors.popleft() if how.get("has_door") else -1
                self._start(Order(key, argv, cwd, env, log, how=how, door=door))
            case ("signal", key, signum):
                self._signal(key, signum)
            case ("farewell", argv, env):
                self._farewell = (argv, env)
            case _:
                raise ValueError(f"unknown order {frame[:1]!r}")

    def _say(self, *frame: Any) -> None:
        self._outbox += packed(frame)

    def _flush(self) -> None:
        try:
            while self._outbox:
                del self._outbox[: os.write(self._socket, self._outbox[:READ_BYTES])]
        except BlockingIOError:
            return
        except (BrokenPipeError, ConnectionResetError):
            self._is_over = True

    # --- starting and ending jobs -----------------------------------------------------------

    def _start(self, order: Order) -> None:
        server = self._warm.server_for(order) if order.is_script else None
        if server is None:
            self._launch(order)
            return
        server.waiting.append(order)
        self._serve_waiting(server)

    def _hear_warm(self, fd: int) -> None:
        heard = self._warm.heard(fd)
        if heard is None:
            return
        server, is_alive = heard
        if is_alive:
            self._serve_waiting(server)
            return
        while server.waiting:
            self._launch(server.waiting.popleft())

    def _serve_waiting(self, server: Server) -> None:
        while server.waiting and server.blanks:
            self._launch(server.waiting.popleft(), server.blanks.popleft())
        server.refill()

    def _launch(self, order: Order, blank: Blank | None = None) -> None:
        try:
            log_fd = os.open(order.log, _LOG_FLAGS, 0o640)
        except OSError as error:
            if blank is not None:
                blank.dismiss()
            order.close_door()
            self._say("failed", order.key, error.errno, f"cannot open the log: {error.strerror}")
            return
        started_ns = time.monotonic_ns()
        try:
            pid = give(order, blank, log_fd) if blank is not None else 0
            is_warm = pid > 0
            if not is_warm:
                pid = self._spawn(order, log_fd, self._null)
        except (OSError, ValueError) as error:
            self._say("failed", order.key, getattr(error, "errno", None) or 0, str(error))
            return
        finally:
            os.close(log_fd)
            order.close_door()
        job = Job(order, pid, started_ns)
        self._jobs.add(job)
        self._say("started", order.key, pid, is_warm)

    def _reap(self) -> None:
        ended = False
        while True:
            try:
                # Look before reaping: while the leader is a zombie its group number cannot be
                # given to a stranger, so the group can be killed without a race.
                seen = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                return
            if seen is None:
                break
            ended = True
            job = self._jobs.by_pid.pop(seen.si_pid, None)
            if job is not None:
                kill_group(job.pid, signal.SIGKILL)
            _pid, status, usage = os.wait4(seen.si_pid, 0)
            if job is not None:
                cpu_us = round((usage.ru_utime + usage.ru_stime) * 1e6)
                self._ended(job, os.waitstatus_to_exitcode(status), cpu_us=cpu_us)
            else:
                self._warm.forget(seen.si_pid)
        if ended:
            self._sweep()

    def _ended(self, job: Job, code: int, *, cpu_us: int) -> None:
        del self._jobs.by_key[job.key]
        duration_us = (time.monotonic_ns() - job.started_ns) // 1000
        log_bytes = _size(job.log)
        code = code if code >= 0 else 128 - code
        self._say("exited", job.key, code, duration_us, log_bytes, cpu_us)

    def _signal(self, key: int, signum: int) -> None:
        job = self._jobs.by_key.get(key)
        if job is None:
            return  # it ended while the order was on its way
        if signum != signal.SIGKILL and job.reach != "group":
            self._signal_inside(job, signum)
            return
        if not kill_group(job.pid, signum):
            kill(job.pid, signum)  # a fork that has not had the time to lead its group yet
        for pid in self._outside_the_group(job):
            kill(pid, signum)

    def _signal_inside(self, job: Job, signum: int) -> None:
        """Signal a job whose main process stands for another: it must live to tell the exit code.

        `main`: it passes signals on itself. `inside`: they are for everything below it.
        """
        below = procfs.descendants(job.pid) if job.reach == "inside" else ()
        for pid in below or (job.pid,):
            kill(pid, signum)

    def _outside_the_group(self, job: Job) -> list[int]:
        """Descendants that left the group, and daemons that were handed to this process."""
        found = procfs.descendants(job.pid)
        for stray in self._strays():
            if self._jobs.owner(stray) is job:
                found += [stray, *procfs.descendants(stray)]
        return [pid for pid in found if (seen := procfs.stat(pid)) is None or seen.group != job.pid]

    # --- strays -----------------------------------------------------------------------------

    def _strays(self) -> list[int]:
        children = procfs.children(self._own_pid)
        # A blank is announced before it becomes our child, but the word may not have been read: without
        # it a fresh blank looks like something that a job left behind.
        for server in self._warm.catch_up():
            self._serve_waiting(server)
        return [
            pid for pid in children if pid not in self._jobs.by_pid and not self._warm.owns(pid)
        ]

    def _sweep(self) -> None:
        """Kill what ended jobs left behind. Each death brings another sweep until none is left."""
        for pid in self._strays():
            if not self._jobs.may_live(pid):
                for victim in (pid, *procfs.descendants(pid)):
                    kill(victim, signal.SIGKILL)

    def _end_everything(self, wakeup_fd: int) -> None:
        poll = select.poll()
        poll.register(wakeup_fd, select.POLLIN)
        deadline = time.monotonic() + _SHUTDOWN_PATIENCE_S
        while time.monotonic() < deadline:
            for job in self._jobs.by_pid.values():
                kill_group(job.pid, signal.SIGKILL)
            for pid in procfs.descendants(self._own_pid):
                kill(pid, signal.SIGKILL)
            if not self._reap_all():
                break
            for fd, _events in poll.poll(_SWEEP_PAUSE_MS):
                os.read(fd, 4096)
        self._say_farewell(poll, wakeup_fd)

    def _say_farewell(self, poll: select.poll, wakeup_fd: int) -> None:
        """Run what the worker has asked for in case that it cannot do it any more itself."""
        if self._farewell is None:
            return
        argv, env = self._farewell
        quiet = [(os.POSIX_SPAWN_DUP2, self._null, fd) for fd in range(3)]
        try:
            pid = os.posix_spawn(argv[0], argv, env, file_actions=quiet, setsid=True)
        except OSError:
            return
        deadline = time.monotonic() + _FAREWELL_PATIENCE_S
        while os.waitpid(pid, os.WNOHANG) == (0, 0):
            if time.monotonic() > deadline:
                kill_group(pid, signal.SIGKILL)
            for fd, _events in poll.poll(_SWEEP_PAUSE_MS):
                os.read(fd, 4096)

    def _reap_all(self) -> bool:
        """Reap whatever ended; whether children remain."""
        while True:
            try:
                pid, _status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return False
            if pid == 0:
                return True
            self._jobs.by_pid.pop(pid, None)


def _size(path: bytes) -> int:
    try:
        return os.stat(path).st_size  # noqa: PTH116 - no pathlib here
    except OSError:
        return 0  # removed under the running job


def _prctl(option: int, value: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(option, value, 0, 0, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def become_subreaper() -> None:
    """Make orphaned descendants children of this process instead of init."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def main() -> None:
    """Serve the socket named by the first argument on behalf of the second, the worker's pid."""
    wakeup_fd, signal_fd = os.pipe()
    os.set_blocking(wakeup_fd, False)
    os.set_blocking(signal_fd, False)
    signal.set_wakeup_fd(signal_fd, warn_on_full_buffer=False)
    # The signals only wake the loop. A stray SIGTERM must not leave jobs without a parent;
    # the one the kernel sends when the worker dies is told apart by the changed parent.
    for signum in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(signum, lambda _signum, _frame: None)
    become_subreaper()
    _prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    Warden(int(sys.argv[1]), parent=int(sys.argv[2])).run(wakeup_fd)
