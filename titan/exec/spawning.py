"""How the process of a job comes to be: spawned, or a blank of a warm Python that takes its order.

Part of the warden, so it imports little. Knows nothing of what becomes of the process.
"""

from __future__ import annotations

import marshal
import os
import signal
from typing import Any

from titan.exec.warm_pool import ORDER_BYTES_MAX, Blank

_DEFAULT_SIGNALS = (
    signal.SIGPIPE,
    signal.SIGXFSZ,
    signal.SIGINT,
    signal.SIGQUIT,  # a shell starts what follows with an ampersand with these two ignored
    signal.SIGTERM,
    signal.SIGHUP,
)
_MARSHAL_VERSION = 2  # understood by every Python that a job may have


class Order:
    """Everything needed to start one job."""

    __slots__ = (
        "argv",
        "cwd",
        "door",
        "doors",
        "env",
        "extra",
        "is_script",
        "key",
        "log",
        "reach",
        "rlimits",
    )

    def __init__(
        self,
        key: int,
        argv: list[bytes],
        cwd: bytes,
        env: dict[bytes, bytes],
        log: bytes,
        *,
        how: dict[str, Any],
        door: int = -1,
    ) -> None:
        self.key, self.argv, self.cwd, self.env, self.log = key, argv, cwd, env, log
        self.door = door  # a descriptor that it gets as its number 3, like `extra`
        self.is_script: bool = how.get("is_script", False)  # a Python and a script: it may be warm
        self.reach: str = how.get("reach", "group")  # whom a signal short of KILL is for
        self.doors: list[bytes] = how.get("doors", [])  # of the control groups it is to be in
        self.rlimits: list[tuple[int, int]] = how.get("rlimits", [])
        self.extra: bytes = how.get("extra", b"")  # a file that it gets as descriptor 3

    def close_door(self) -> None:
        """The process has it, or will never be."""
        if self.door >= 0:
            os.close(self.door)
            self.door = -1


def spawn(order: Order, log_fd: int, null_fd: int) -> int:
    """Start the job as a new process; its id. Raises `OSError`, `ValueError`."""
    os.chdir(order.cwd)  # here, since `posix_spawn` cannot and this process has one thread
    extra_fd = os.open(order.extra, os.O_RDONLY | os.O_CLOEXEC) if order.extra else -1
    try:
        third = extra_fd if order.extra else order.door
        fds = [null_fd, log_fd, log_fd, *([third] if third >= 0 else [])]
        if order.doors or order.rlimits:
            return _fork_confined(order, fds)
        return _posix_spawn(order, fds)
    finally:
        if order.extra:
            os.close(extra_fd)


def _posix_spawn(order: Order, fds: list[int]) -> int:
    """Shares memory until exec instead of copying it."""
    return os.posix_spawn(
        order.argv[0],
        order.argv,
        order.env,
        file_actions=[(os.POSIX_SPAWN_DUP2, fd, number) for number, fd in enumerate(fds)],
        setsid=True,
        setsigmask=(),
        setsigdef=_DEFAULT_SIGNALS,
    )


def _fork_confined(order: Order, fds: list[int]) -> int:
    """What `posix_spawn` does, and limits before the program's first instruction.

    A fork of this small process costs less than the exec of a helper that would set them, and a helper
    could not put itself into a control group. Returns when the program runs.
    """
    import resource

    told, tell = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.setsid()
            for door in order.doors:
                _enter(door, b"0")
            for which, bound in order.rlimits:
                resource.setrlimit(which, (bound, bound))
            for number, fd in enumerate(_above(fds)):
                os.dup2(fd, number)
            for signum in _DEFAULT_SIGNALS:
                signal.signal(signum, signal.SIG_DFL)
            os.execve(order.argv[0], order.argv, order.env)  # noqa: S606 - no shell is wanted
        except OSError as error:
            os.write(tell, b"%d" % (error.errno or 0))
        except ValueError as error:
            os.write(tell, b"0 " + str(error).encode())
        finally:
            os._exit(126)
    os.close(tell)
    with open(told, "rb") as pipe:  # ends with the exec, since it is not inherited
        said = pipe.read()
    if not said:
        return pid
    os.waitpid(pid, 0)
    errno, _, text = said.partition(b" ")
    raise OSError(int(errno), text.decode() or os.strerror(int(errno)))


def _above(fds: list[int]) -> list[int]:
    """The same files under numbers that the job's own descriptors do not take."""
    import fcntl

    return [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, len(fds)) for fd in fds]


def _enter(door: bytes, who: bytes) -> None:
    fd = os.open(door, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, who)
    finally:
        os.close(fd)


def give(order: Order, blank: Blank, log_fd: int) -> int:
    """Let the blank become the job; its process id, 0 when it cannot: it is dead, or there is too
    much to tell it. Its limits are set first, while it waits.
    """
    os.chdir(order.cwd)  # fails here as it does for other jobs, not in the blank
    body = marshal.dumps((order.argv, order.cwd, order.env), _MARSHAL_VERSION)
    if len(body) > ORDER_BYTES_MAX:
        blank.dismiss()
        return 0
    try:
        if order.doors or order.rlimits:
            _confine(order, blank.pid)
        blank.become(body, log_fd)
    except OSError:
        blank.dismiss()
        return 0
    return blank.pid


def _confine(order: Order, pid: int) -> None:
    import resource

    for door in order.doors:
        _enter(door, b"%d" % pid)
    for which, bound in order.rlimits:
        resource.prlimit(pid, which, (bound, bound))
