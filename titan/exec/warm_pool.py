"""The warm interpreters of a warden: which job may use which, their blanks, their deaths.

Owns one server process (`warm_server.py`) for each way in which jobs ask their Python to start, and the
blanks it has made. Starts no job itself: the warden hands an order to a blank that it takes from here.
Nothing waits for a server that is not up; its jobs are spawned plainly meanwhile. Part of the warden, so
the standard library's small modules only (`_socket`, since `socket` would cost more than all the rest).
"""

from __future__ import annotations

import _socket
import array
import os
import select
import signal
import time
from collections import deque
from collections.abc import Mapping
from typing import Any

SERVERS_MAX = 3  # about 10 MB each; the one that was idle longest goes
BLANKS = 6  # kept ready: forks are cheaper by the half dozen
_BLANKS_LOW = 2  # so few bring the next request
_ASK_MAX = 16  # descriptors in one message
_BACKOFF_FIRST_S = 0.2
_BACKOFF_LAST_S = 60.0
_STEADY_S = 60.0  # a server that lived so long is not one that cannot live
_PATH = os.path.join(os.path.dirname(os.path.abspath(__file__)), "warm_server.py")  # noqa: PTH118, PTH120, PTH100
_CONTROL_FD = 3
ORDER_BYTES_MAX = 1 << 16  # what a blank reads at once
_MESSAGE_BYTES = 4096
_PADDING = b"x" * 8192  # room for a job's environment where `/proc` looks for it

# Read by the C library or the interpreter before any program: what a fork cannot do over again …
_DECIDED_AT_START = (b"PYTHON", b"LD_", b"MALLOC_", b"GLIBC_")
# … and those of them that are alike for most jobs: there is a server for each way they are set.
_UNBUFFERED = b"PYTHONUNBUFFERED"
_KEY_NAMES = (_UNBUFFERED, b"HOME", b"LANG", b"LANGUAGE", b"TZ")
_KEY_PREFIX = b"LC_"

Key = tuple[bytes, tuple[tuple[bytes, bytes], ...]]


def key_of(argv: list[bytes], env: Mapping[bytes, bytes]) -> Key | None:
    """What a server must share with the job, None when only a new interpreter will do."""
    shared: list[tuple[bytes, bytes]] = []
    for name, value in env.items():
        if name in _KEY_NAMES or name.startswith(_KEY_PREFIX):
            shared.append((name, value))
        elif name.startswith(_DECIDED_AT_START):
            return None
    return argv[0], tuple(sorted(shared))


class Blank:
    """A process that waits for its order."""

    __slots__ = ("_link", "pid")

    def __init__(self, pid: int, link: Any) -> None:
        self.pid, self._link = pid, link

    def become(self, order: bytes, log_fd: int) -> None:
        """Give it its order. Raises `OSError` when it is dead or the order is too large."""
        try:
            packed = array.array("i", [log_fd])
            self._link.sendmsg([order], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, packed)])
        finally:
            self._link.close()

    def dismiss(self) -> None:
        """Let it go."""
        self._link.close()


class Server:
    """One warm interpreter with its blanks, and the orders that wait for one."""

    def __init__(self, key: Key, *, null_fd: int, marks: Mapping[bytes, bytes]) -> None:
        self.key = key
        self.used_s = self.started_s = time.monotonic()
        self.blanks: deque[Blank] = deque()
        self.waiting: deque[Any] = deque()  # at most one for each slot of the worker
        self.is_ready = False
        self._asked: list[Any] = []
        self.control, theirs = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_SEQPACKET)
        self.control.setblocking(False)
        try:
            self.pid = _spawn(key, theirs.fileno(), null_fd=null_fd, marks=marks)
        except OSError:
            self.control.close()
            raise
        finally:
            theirs.close()

    def receive(self) -> bool:
        """Take what it says; whether it still lives."""
        try:
            said = self.control.recv(_MESSAGE_BYTES)
        except BlockingIOError:
            return True
        except OSError:
            return False
        if not said:
            return False
        links, self._asked = self._asked, []
        made = said.split() if said[:1].isdigit() else []
        for n, link in enumerate(links):
            if n < len(made):
                self.blanks.append(Blank(int(made[n]), link))
            else:
                link.close()
        self.is_ready = True
        return True

    def refill(self) -> None:
        """Ask for more blanks when few are left."""
        wanted = len(self.waiting) + BLANKS - len(self.blanks)
        if not self.is_ready or self._asked or wanted < BLANKS - _BLANKS_LOW:
            return
        pairs = [
            _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_SEQPACKET)
            for _ in range(min(wanted, _ASK_MAX))
        ]
        packed = array.array("i", [theirs.fileno() for _, theirs in pairs])
        try:
            self.control.sendmsg([b"make"], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, packed)])
            self._asked = [ours for ours, _ in pairs]
        except OSError:
            for ours, _ in pairs:
                ours.close()  # it is dead or hangs; `receive` will tell
        finally:
            for _, theirs in pairs:
                theirs.close()

    def forget(self, pid: int) -> None:
        """A process of this worker has ended; it may have been a blank."""
        for blank in self.blanks:
            if blank.pid == pid:
                blank.dismiss()
                self.blanks.remove(blank)
                return

    def close(self) -> None:
        """Let it and its blanks go: they end when their sockets do."""
        self.control.close()
        for blank in self.blanks:
            blank.dismiss()
        for link in self._asked:
            link.close()
        self.blanks.clear()
        self._asked = []


class WarmPythons:
    """Every server of a warden."""

    def __init__(self, poll: select.poll, *, null_fd: int) -> None:
        self._poll = poll
        self._null_fd = null_fd
        self._servers: dict[Key, Server] = {}
        self._leaving: set[int] = set()  # servers and blanks let go, not yet reaped
        self._failures = 0
        self._not_before_s = 0.0

    def server_for(self, order: Any) -> Server | None:
        """The server that can run the order, None when it is to be spawned plainly."""
        key = key_of(order.argv, order.env)
        if key is None:
            return None
        server = self._servers.get(key)
        if server is None:
            self._start(key, order.env)
            return None
        server.used_s = time.monotonic()
        return server if server.is_ready else None

    def owns(self, pid: int) -> bool:
        """Whether the process is a server or a blank, and so no job's."""
        return pid in self._leaving or any(
            server.pid == pid or any(blank.pid == pid for blank in server.blanks)
            for server in self._servers.values()
        )

    def heard(self, fd: int) -> tuple[Server, bool] | None:
        """Which server spoke on `fd`, and whether it lives; None when it was let go since."""
        for server in self._servers.values():
            if server.control.fileno() == fd:
                is_alive = server.receive()
                if not is_alive:
                    self._lost(server)
                return server, is_alive
        return None

    def catch_up(self) -> list[Server]:
        """Take in what servers have said already; those that live. A death is left to `heard`."""
        return [server for server in self._servers.values() if server.receive()]

    def forget(self, pid: int) -> None:
        """A child of the warden was reaped."""
        self._leaving.discard(pid)
        for server in self._servers.values():
            server.forget(pid)

    def _start(self, key: Key, env: Mapping[bytes, bytes]) -> None:
        now_s = time.monotonic()
        if now_s < self._not_before_s:
            return
        if len(self._servers) >= SERVERS_MAX:
            idle = [one for one in self._servers.values() if not one.waiting]
            if not idle:
                return
            self._let_go(min(idle, key=lambda one: one.used_s))
        marks = {k: v for k, v in env.items() if k == b"TITAN_WORKER_DIR"}
        try:
            server = Server(key, null_fd=self._null_fd, marks=marks)
        except OSError:
            self._back_off(now_s)
            return
        self._servers[key] = server
        self._poll.register(server.control.fileno(), select.POLLIN)

    def _lost(self, server: Server) -> None:
        now_s = time.monotonic()
        if now_s - server.started_s > _STEADY_S:
            self._failures = 0
        self._back_off(now_s)
        self._let_go(server)

    def _back_off(self, now_s: float) -> None:
        self._not_before_s = now_s + min(_BACKOFF_FIRST_S * 2**self._failures, _BACKOFF_LAST_S)
        self._failures = min(self._failures + 1, 16)

    def _let_go(self, server: Server) -> None:
        self._leaving |= {server.pid, *(blank.pid for blank in server.blanks)}
        self._poll.unregister(server.control.fileno())
        del self._servers[server.key]
        server.close()


def _spawn(key: Key, control_fd: int, *, null_fd: int, marks: Mapping[bytes, bytes]) -> int:
    python, shared = key
    os.chdir("/")
    return os.posix_spawn(
        python,
        [python, os.fsencode(_PATH), _PADDING],  # padded for the arguments of jobs, as below
        {**dict(shared), **marks, b"TITAN_PADDING": _PADDING},
        file_actions=[
            (os.POSIX_SPAWN_DUP2, null_fd, 0),
            (os.POSIX_SPAWN_DUP2, null_fd, 1),
            (os.POSIX_SPAWN_DUP2, control_fd, _CONTROL_FD),
        ],
        setsid=True,
        setsigmask=(),
        setsigdef=(
            signal.SIGPIPE,
            signal.SIGXFSZ,
            signal.SIGINT,
            signal.SIGQUIT,
            signal.SIGTERM,
            signal.SIGHUP,
        ),
    )
