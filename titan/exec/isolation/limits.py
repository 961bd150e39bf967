"""What a job may take, read from its declaration, and the part of it that rlimits enforce."""

from __future__ import annotations

import resource
from typing import Final, NamedTuple

from titan.errors import Unavailable
from titan.limits import MIB
from titan.spec.model import JobSpec

Rlimits = tuple[tuple[int, int], ...]  # which, soft and hard bound
_CGROUP: Final = ("cpu_milli", "memory_mb", "processes")


class NotPrepared(Unavailable):
    """The job cannot be started here and now; it may be elsewhere or later."""

    code = "not_prepared"


class Limits(NamedTuple):
    """Bounds of one job; 0 means none."""

    cpu_milli: int = 0
    memory_mb: int = 0
    processes: int = 0
    open_files: int = 0
    output_mb: int = 0

    @property
    def wants_cgroup(self) -> bool:
        """Whether there is something that a control group enforces."""
        return bool(self.cpu_milli or self.memory_mb or self.processes)


def limits_of(spec: JobSpec) -> Limits:
    """The bounds of a job. What it takes of its worker's counts is what it may have of them."""
    return Limits(
        cpu_milli=spec.resources.get("cpu_milli", 0),
        memory_mb=spec.resources.get("memory_mb", 0),
        **spec.limits,
    )


def rlimits_of(limits: Limits, *, has_memory_cgroup: bool) -> Rlimits:
    """What the kernel enforces for each process alone. Raises `NotPrepared`.

    Without a control group memory is bounded for each process by RLIMIT_DATA: unlike RLIMIT_AS it does
    not count what a program reserves and never touches, which several runtimes do by the gigabyte.
    """
    found: list[tuple[int, int]] = []
    if limits.open_files:
        found.append((resource.RLIMIT_NOFILE, limits.open_files))
    if limits.memory_mb and not has_memory_cgroup:
        found.append((resource.RLIMIT_DATA, limits.memory_mb * MIB))
    for which, bound in found:
        hard = resource.getrlimit(which)[1]
        if hard not in (resource.RLIM_INFINITY,) and bound > hard:
            raise NotPrepared(f"the job wants {bound} open files, this worker may give {hard}")
    return tuple(found)
