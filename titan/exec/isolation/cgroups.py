"""Control groups of one worker: a folder for it in every hierarchy, and in that a folder for each job.

Knows the unified hierarchy (v2), the older one of a controller each (v1), and machines that mix them.
Owns what is below `titan-<worker>` and nothing else. What cannot be written is not enforced, and
`missing` says why.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final, NamedTuple

from titan.exec.isolation.limits import Limits
from titan.limits import MIB

CONTROLLERS: Final = ("cpu", "memory", "pids")
_PERIOD_US: Final = 100_000
_QUOTA_US_MIN: Final = 1000  # the kernel takes no less
_LEAF: Final = "titan-self"  # where the worker itself goes: only leaves of v2 hold processes


class _Place(NamedTuple):
    folder: Path  # of the worker
    is_unified: bool


class Cgroup:
    """The folders of one job."""

    def __init__(self, folders: Mapping[str, Path], *, is_unified: bool) -> None:
        self._folders = folders  # by controller; several controllers share a folder in v2
        self._is_unified = is_unified

    @property
    def doors(self) -> list[bytes]:
        """The files that take the id of a process to be put in."""
        return [os.fsencode(folder / "cgroup.procs") for folder in self._unique()]

    def oom_kills(self) -> int:
        """How many of its processes were killed because the memory was used up."""
        name = "memory.events" if self._is_unified else "memory.oom_control"
        for line in self._read("memory", name).splitlines():
            key, _, value = line.partition(" ")
            if key == "oom_kill":
                return int(value)
        return 0

    def peak_mb(self) -> int:
        """The most memory that it had, in MiB; 0 when nobody knows."""
        name = "memory.peak" if self._is_unified else "memory.max_usage_in_bytes"
        text = self._read("memory", name).strip()
        return int(text) // MIB if text.isdigit() else 0

    def kill(self) -> None:
        """End whatever is in it."""
        for folder in self._unique():
            for pid in _processes(folder):
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGKILL)

    def remove(self) -> bool:
        """Remove it; whether it is gone. It stays while a process of it is not reaped."""
        gone = [_remove(folder) for folder in self._unique()]
        return all(gone)

    def _read(self, controller: str, name: str) -> str:
        folder = self._folders.get(controller)
        try:
            return "" if folder is None else (folder / name).read_text()
        except OSError:
            return ""

    def _unique(self) -> list[Path]:
        return list(dict.fromkeys(self._folders.values()))


class Cgroups:
    """See the module. `places`: where each usable controller is."""

    def __init__(self, places: Mapping[str, _Place], missing: Mapping[str, str]) -> None:
        self._places = places
        self.missing = missing  # controller → why it enforces nothing here

    def has(self, controller: str) -> bool:
        """Whether limits of this controller are enforced."""
        return controller in self._places

    def make(self, name: str, limits: Limits) -> Cgroup | None:
        """A group with the limits; None when none of them is enforced here. Raises `OSError`."""
        folders: dict[str, Path] = {}
        for controller, files in _settings(limits, self._places).items():
            place = self._places[controller]
            _make_parent(place, controller)
            folder = place.folder / name
            folder.mkdir(exist_ok=True)
            folders[controller] = folder
            for file, value in files:
                _write(folder / file, value)
        if not folders:
            return None
        is_unified = "memory" in folders and self._places["memory"].is_unified
        return Cgroup(folders, is_unified=is_unified)

    def sweep(self) -> None:
        """Remove what an earlier life of the worker left."""
        for place in self._places.values():
            for folder in _folders(place.folder):
                Cgroup({"": folder}, is_unified=False).kill()
                _remove(folder)

    def close(self) -> None:
        """Remove the worker's own folders, and what is left in them."""
        self.sweep()
        for place in self._places.values():
            _remove(place.folder)


def open_cgroups(
    worker: str, *, own: str | None = None, mounts: str | None = None, self_pid: int | None = None
) -> Cgroups:
    """The control groups that this process may make. `own` and `mounts` are the texts of
    `/proc/self/cgroup` and `/proc/self/mountinfo`."""
    own = Path("/proc/self/cgroup").read_text() if own is None else own
    mounts = Path("/proc/self/mountinfo").read_text() if mounts is None else mounts
    places: dict[str, _Place] = {}
    missing: dict[str, str] = {}
    found = _hierarchies(own, mounts)
    for controller in CONTROLLERS:
        try:
            places[controller] = _open(controller, found, worker=worker, self_pid=self_pid)
        except OSError as error:
            missing[controller] = error.strerror or str(error)
        except LookupError as error:
            missing[controller] = str(error.args[0])
    groups = Cgroups(places, missing)
    groups.close()
    return groups


def _open(
    controller: str, found: Mapping[str, _Place], *, worker: str, self_pid: int | None
) -> _Place:
    place = found.get(controller) or found.get("")
    if place is None:
        raise LookupError("no control groups are mounted")
    if place.is_unified:
        _delegate(place.folder, controller, self_pid=self_pid)
    own = _Place(place.folder / f"titan-{worker}", place.is_unified)
    _make_parent(own, controller)
    if not os.access(own.folder / "cgroup.procs", os.W_OK):
        raise PermissionError(13, "its files are not writable")
    return own


def _make_parent(place: _Place, controller: str) -> None:
    """The worker's folder: there only while it is needed, since a killed worker removes nothing."""
    place.folder.mkdir(exist_ok=True)
    if place.is_unified:
        _write(place.folder / "cgroup.subtree_control", f"+{controller}")


def _delegate(folder: Path, controller: str, *, self_pid: int | None) -> None:
    """Let groups below `folder` use the controller, which needs that no process is in it itself."""
    if controller not in (folder / "cgroup.controllers").read_text().split():
        raise LookupError(f"the controller {controller} is not delegated to this worker")
    if controller in (folder / "cgroup.subtree_control").read_text().split():
        return
    pid = os.getpid() if self_pid is None else self_pid
    inside = _processes(folder)
    if inside and inside != [pid] and (folder / "cgroup.type").exists():  # the root has no type
        raise LookupError(
            "other processes are in the worker's control group: "
            "start it as a service with Delegate=yes"
        )
    if inside == [pid]:
        leaf = folder / _LEAF
        leaf.mkdir(exist_ok=True)
        _write(leaf / "cgroup.procs", str(pid))
    _write(folder / "cgroup.subtree_control", f"+{controller}")


def _hierarchies(own: str, mounts: str) -> dict[str, _Place]:
    """Controller, "" for the unified hierarchy → where this process is in it."""
    paths: dict[str, str] = {}
    for line in own.splitlines():
        _, joined, path = line.split(":", 2)
        paths.update(dict.fromkeys(joined.split(","), path))
    found: dict[str, _Place] = {}
    for root, point, kind, options in _cgroup_mounts(mounts):
        names = [""] if kind == "cgroup2" else options.split(",")
        for name in names:
            if name in paths and name not in found:
                path = paths[name].removeprefix(root.rstrip("/")).lstrip("/")
                found[name] = _Place(Path(point, path), kind == "cgroup2")
    return found


def _cgroup_mounts(mounts: str) -> Iterator[tuple[str, str, str, str]]:
    for line in mounts.splitlines():
        left, _, right = line.partition(" - ")
        fields, (kind, _source, options) = left.split(), right.split(" ", 2)
        if kind in ("cgroup", "cgroup2"):
            yield fields[3], fields[4], kind, options


def _settings(limits: Limits, places: Mapping[str, _Place]) -> dict[str, list[tuple[str, str]]]:
    """Controller → files and what is written to them."""
    found: dict[str, list[tuple[str, str]]] = {}
    if limits.cpu_milli and "cpu" in places:
        quota_us = max(_QUOTA_US_MIN, limits.cpu_milli * _PERIOD_US // 1000)
        found["cpu"] = (
            [("cpu.max", f"{quota_us} {_PERIOD_US}")]
            if places["cpu"].is_unified
            else [("cpu.cfs_period_us", str(_PERIOD_US)), ("cpu.cfs_quota_us", str(quota_us))]
        )
    if limits.memory_mb and "memory" in places:
        size = str(limits.memory_mb * MIB)
        found["memory"] = (
            [("memory.max", size), ("memory.swap.max", "0"), ("memory.oom.group", "1")]
            if places["memory"].is_unified
            else [("memory.limit_in_bytes", size), ("memory.memsw.limit_in_bytes", size)]
        )
    if limits.processes and "pids" in places:
        found["pids"] = [("pids.max", str(limits.processes))]
    return found


def _write(path: Path, text: str) -> None:
    """Absent files are features of other kernels: swap accounting, killing a group as one."""
    optional = path.name in ("memory.memsw.limit_in_bytes", "memory.swap.max", "memory.oom.group")
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        if optional:
            return
        raise
    try:
        os.write(fd, text.encode())
    finally:
        os.close(fd)


def _processes(folder: Path) -> list[int]:
    try:
        return [int(word) for word in (folder / "cgroup.procs").read_text().split()]
    except OSError:
        return []


def _folders(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if path.is_dir())
    except OSError:
        return []


def _remove(folder: Path) -> bool:
    try:
        folder.rmdir()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True
