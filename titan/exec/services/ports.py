"""Whether a port of this machine is free, and who has it when it is not.

Titan reserves ports among its own services; this is about everybody else. Nothing holds the port between
the look and the moment when the service binds it: a stranger who is quicker makes the service fail to
bind, which is an end like any other.
"""

from __future__ import annotations

import asyncio
import errno
import socket
import time
from typing import Final, NamedTuple

from titan.exec import procfs
from titan.exec.drivers import CannotStart
from titan.limits import PORT_PATIENCE_S

_LOOK_AGAIN_S: Final = 0.05
_LOOKS: Final = 3
_LOOKS_AT_NOBODY: Final = (
    10  # one that has just closed its descriptors looks as another user's does
)
_FAMILIES: Final = ((socket.AF_INET, ""), (socket.AF_INET6, "::"))


class PortInUse(CannotStart):
    """The port that the service was given is somebody else's."""

    code = "port_in_use"


class Holder(NamedTuple):
    """The process that listens on a port, as far as this worker may know."""

    pid: int  # 0 when another user's
    program: str
    attempt: str  # of Titan's, "" when it is a stranger's
    job: str

    def __str__(self) -> str:
        if not self.pid:
            return "a process of another user"
        own = f", attempt {self.attempt} of job '{self.job}'" if self.attempt else ""
        return f"process {self.pid} ({self.program}{own})"


async def wait_free(port: int) -> None:
    """Until a service may listen on the port.

    A stranger's process is not waited for, an attempt's is for a moment: it may be about to end. One
    that is ending hides whose it is, so a stranger is believed when it was seen several times.
    Raises `PortInUse`, which names the holder.
    """
    deadline = time.monotonic() + PORT_PATIENCE_S
    looks = 0
    while not is_free(port):
        found = await asyncio.to_thread(holder, port)
        looks = looks + 1 if found is not None and not found.attempt else 0
        enough = _LOOKS if found is not None and found.pid else _LOOKS_AT_NOBODY
        if looks >= enough or (found is not None and time.monotonic() >= deadline):
            raise PortInUse(f"port {port} is in use by {found}")
        await asyncio.sleep(_LOOK_AGAIN_S)


def is_free(port: int) -> bool:
    """Whether nobody listens on the port, at whatever address."""
    return all(_may_bind(family, address, port) for family, address in _FAMILIES)


def _may_bind(family: int, address: str, port: int) -> bool:
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            # With it only sockets that listen are in the way, not connections that ended lately.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            probe.bind((address, port))
    except OSError as error:
        return error.errno != errno.EADDRINUSE  # whatever else is wrong the service will say better
    return True


def holder(port: int) -> Holder | None:
    """Who listens on the port; None when nobody does. Reads all of `/proc`: for a thread."""
    inodes = procfs.listening_sockets(port)
    if not inodes:
        return None
    pid = procfs.holder_of_socket(inodes)
    attempt = procfs.environ_value(pid, b"TITAN_ATTEMPT") if pid else None
    job = procfs.environ_value(pid, b"TITAN_JOB_ID") if attempt else None
    program = procfs.name_of(pid) or "unknown" if pid else ""
    return Holder(pid, program, (attempt or b"").decode(), (job or b"").decode())
