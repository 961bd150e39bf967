"""Who descends from whom, read from `/proc`.

Owns nothing and keeps nothing. The warden imports it, so it needs the standard library only and stays
cheap to import. Every function treats a process that is gone as an empty answer.
"""

from __future__ import annotations

import os
from functools import lru_cache
from typing import NamedTuple

_LISTEN = b"0A"  # in the tables of TCP sockets


class Stat(NamedTuple):
    """The fields of `/proc/PID/stat` that tell where a process belongs."""

    state: str
    parent: int
    group: int
    session: int
    started_ticks: int  # since boot; a child never has fewer than its ancestors


def _read(path: str) -> bytes:
    try:
        with open(path, "rb", buffering=0) as file:
            return file.readall()
    except OSError:
        return b""


def stat(pid: int) -> Stat | None:
    """Where `pid` belongs, or None when it is gone."""
    # The command name may hold spaces and brackets: the fields begin after the last bracket.
    fields = _read(f"/proc/{pid}/stat").rpartition(b")")[2].split()
    if len(fields) < 20:
        return None
    return Stat(fields[0].decode(), int(fields[1]), int(fields[2]), int(fields[3]), int(fields[19]))


def children(pid: int) -> list[int]:
    """The live and zombie children of the main thread of `pid`."""
    path = f"/proc/{pid}/task/{pid}/children"
    if _has_children_files():
        return [int(word) for word in _read(path).split()]
    return [child for child in _all_pids() if (seen := stat(child)) and seen.parent == pid]


def descendants(pid: int) -> list[int]:
    """Every descendant of `pid`, parents before children. Children of its threads count too."""
    found: list[int] = []
    waiting = [pid]
    while waiting:
        parent = waiting.pop()
        for child in _children_of_all_threads(parent):
            found.append(child)
            waiting.append(child)
    return found


def environ_value(pid: int, name: bytes) -> bytes | None:
    """The value that `name` had when `pid` was executed, or None when it is unset or unreadable."""
    for entry in _read(f"/proc/{pid}/environ").split(b"\0"):
        key, equals, value = entry.partition(b"=")
        if equals and key == name:
            return value
    return None


def marked(name: bytes, value: bytes) -> list[int]:
    """Every process that was executed with the environment variable `name` set to `value`."""
    return [pid for pid in _all_pids() if environ_value(pid, name) == value]


def name_of(pid: int) -> str:
    """The program's name as the kernel knows it, "" when the process is gone."""
    return _read(f"/proc/{pid}/comm").decode(errors="replace").strip()


def listening_sockets(port: int) -> list[bytes]:
    """The inodes of the TCP sockets of this network namespace that listen on the port."""
    found: list[bytes] = []
    wanted = b":%04X" % port
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in _read(table).splitlines()[1:]:
            fields = line.split()
            if len(fields) > 9 and fields[1].endswith(wanted) and fields[3] == _LISTEN:
                found.append(fields[9])
    return found


def holder_of_socket(inodes: list[bytes]) -> int:
    """A process that has one of these sockets open; 0 when none is known to this user."""
    wanted = {f"socket:[{inode.decode()}]" for inode in inodes}
    for pid in _all_pids():
        folder = f"/proc/{pid}/fd"
        try:
            descriptors = os.listdir(folder)  # noqa: PTH208 - as below
        except OSError:
            continue
        for descriptor in descriptors:
            try:
                target = os.readlink(f"{folder}/{descriptor}")  # noqa: PTH115 - as below
            except OSError:
                continue
            if target in wanted:
                return pid
    return 0


def ancestors(pid: int) -> list[int]:
    """The parent of `pid`, its parent and so on."""
    found: list[int] = []
    while (seen := stat(pid)) is not None and seen.parent > 0:
        pid = seen.parent
        found.append(pid)
    return found


def _children_of_all_threads(pid: int) -> list[int]:
    if not _has_children_files():
        return children(pid)
    try:
        threads = os.listdir(f"/proc/{pid}/task")  # noqa: PTH208 - as above
    except OSError:
        return []
    return [
        int(word)
        for thread in threads
        for word in _read(f"/proc/{pid}/task/{thread}/children").split()
    ]


@lru_cache(maxsize=1)
def _has_children_files() -> bool:
    own = os.getpid()
    return os.path.exists(f"/proc/{own}/task/{own}/children")  # noqa: PTH110 - no pathlib in the warden


def _all_pids() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]  # noqa: PTH208
