"""How the process of a job comes to be: spawned, or a blank of a warm Python that takes its order.

Part of the warden, so it imports little. Knows nothing of what becomes of the process.
"""

from __future__ import annotations

import marshal
import os
import signal

from titan.exec.warm_pool import ORDER_BYTES_MAX, Blank

_MARSHAL_VERSION = 2  # understood by every Python that a job may have


class Order:
    """Everything needed to start one job."""

    __slots__ = ("argv", "cwd", "env", "is_script", "key", "log")

    def __init__(
        self,
        key: int,
        argv: list[bytes],
        cwd: bytes,
        env: dict[bytes, bytes],
        log: bytes,
        *,
        is_script: bool,
    ) -> None:
        self.key, self.argv, self.cwd, self.env, self.log = key, argv, cwd, env, log
        self.is_script = is_script  # `argv` is a Python and a script: a warm one may run it


def spawn(order: Order, log_fd: int, null_fd: int) -> int:
    """Start the job by `posix_spawn`, which shares memory until exec instead of copying it.

    `posix_spawn` cannot change folder, so this process does: it has one thread and no other use
    for its own.
    """
    os.chdir(order.cwd)
    return os.posix_spawn(
        order.argv[0],
        order.argv,
        order.env,
        file_actions=[
            (os.POSIX_SPAWN_DUP2, null_fd, 0),
            (os.POSIX_SPAWN_DUP2, log_fd, 1),
            (os.POSIX_SPAWN_DUP2, log_fd, 2),
        ],
        setsid=True,
        setsigmask=(),
        setsigdef=(signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT, signal.SIGTERM, signal.SIGHUP),
    )


def give(order: Order, blank: Blank, log_fd: int) -> int:
    """Let the blank become the job; its process id, 0 when it cannot: it is dead, or there is too
    much to tell it.
    """
    os.chdir(order.cwd)  # fails here as it does for other jobs, not in the blank
    body = marshal.dumps((order.argv, order.cwd, order.env), _MARSHAL_VERSION)
    if len(body) > ORDER_BYTES_MAX:
        blank.dismiss()
        return 0
    try:
        blank.become(body, log_fd)
    except OSError:
        return 0
    return blank.pid
