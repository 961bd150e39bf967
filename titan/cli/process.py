"""How a long-lived Titan process starts and ends: logging, signals, uvloop, its supervisor's death.

`serve` is what `titan node`, `titan worker` and `titan up` run in.
"""

from __future__ import annotations

import asyncio
import ctypes
import logging
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from typing import Final

from titan.cli.log_writer import LogWriter

PR_SET_PDEATHSIG: Final = 1  # from <linux/prctl.h>
_LOG_FORMAT: Final = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"


class Stop(asyncio.Event):
    """Set by the first SIGTERM or SIGINT; `number` says which it was."""

    number: int = 0


Service = Callable[[Stop], Awaitable[None]]


def set_up_logging(level: str) -> None:
    """Log to stderr, with the time in front, without ever waiting for whoever reads it."""
    handlers = [LogWriter(sys.stderr)]
    logging.basicConfig(handlers=handlers, level=level.upper(), format=_LOG_FORMAT, force=True)
    logging.getLogger("asyncio").setLevel(logging.WARNING)


def die_with_parent(parent: int) -> None:
    """Ask the kernel for SIGINT when `parent` dies; 0 asks for nothing.

    The supervisor stops its processes itself; this is for the day when it is killed by SIGKILL.
    """
    if not parent or not sys.platform.startswith("linux"):
        return
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGINT, 0, 0, 0)
    if os.getppid() != parent:  # it died before we asked
        os.kill(os.getpid(), signal.SIGINT)


def serve(service: Service, *, use_uvloop: bool = True) -> None:
    """Run `service(stop)` until it ends; SIGTERM and SIGINT set `stop`, and a second one ends at once."""
    if use_uvloop:
        import uvloop

        uvloop.run(_until_stopped(service))
    else:
        asyncio.run(_until_stopped(service))


async def _until_stopped(service: Service) -> None:
    stop = Stop()
    loop = asyncio.get_running_loop()

    def on_signal(number: int) -> None:
        if stop.is_set():
            logging.shutdown()
            os._exit(128 + number)
        stop.number = number
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal, number)
    await service(stop)
