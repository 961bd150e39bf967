"""How much of its machine this process may use, as control groups limit it. Linux, versions 1 and 2.

A limit may be set on any group above the process, so all of them are asked. What cannot be read limits
nothing: inside a container the groups above are not visible, and the one that counts is its root.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

ROOT: Final = Path("/sys/fs/cgroup")
SELF: Final = Path("/proc/self/cgroup")
_UNLIMITED_BYTES: Final = 1 << 60  # version 1 says "no limit" with a number beyond every memory


def cpu_limit_milli(*, root: Path = ROOT, own: Path = SELF) -> int | None:
    """Thousandths of a CPU that the tightest quota allows; None without one."""
    found = []
    for folder in _folders(root, own, controller="cpu"):
        quota = _words(folder / "cpu.max") or [
            *_words(folder / "cpu.cfs_quota_us"),
            *_words(folder / "cpu.cfs_period_us"),
        ]
        if len(quota) == 2 and quota[0].isdecimal() and quota[1].isdecimal() and int(quota[1]):
            found.append(max(1, int(quota[0]) * 1000 // int(quota[1])))
    return min(found, default=None)


def memory_limit_bytes(*, root: Path = ROOT, own: Path = SELF) -> int | None:
    """The tightest limit of memory; None without one."""
    found = []
    for folder in _folders(root, own, controller="memory"):
        limit = _words(folder / "memory.max") or _words(folder / "memory.limit_in_bytes")
        if limit and limit[0].isdecimal() and int(limit[0]) < _UNLIMITED_BYTES:
            found.append(int(limit[0]))
    return min(found, default=None)


def _folders(root: Path, own: Path, *, controller: str) -> Iterator[Path]:
    """The groups of this process for a controller, from its own up to the root."""
    try:
        lines = own.read_text().splitlines()
    except OSError:
        lines = []
    for line in lines:
        _, _, rest = line.partition(":")
        names, _, path = rest.partition(":")
        if names and controller not in names.split(","):
            continue
        top = root / names if names else root
        folder = top / path.lstrip("/")
        while folder != top and top in folder.parents:
            yield folder
            folder = folder.parent
        yield top
        if names:
            yield root / controller  # where a system mounts one controller under its own name


def _words(file: Path) -> list[str]:
    try:
        return file.read_text().split()
    except OSError:
        return []
