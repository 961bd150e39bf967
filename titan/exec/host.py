"""What the worker's machine has and how busy it is."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import psutil

from titan.exec import cgroups, gpus
from titan.ids import AttemptId
from titan.limits import MIB
from titan.wire.messages import Heartbeat


def detect_resources(declared: Mapping[str, int]) -> dict[str, int]:
    """CPUs, memory and GPUs that this process may use; what the configuration declares wins and adds."""
    memory = [psutil.virtual_memory().total]
    limit = cgroups.memory_limit_bytes()
    if limit is not None:
        memory.append(limit)
    found = {"cpu_milli": cpu_milli(), "memory_mb": min(memory) // MIB}
    if "gpus" not in declared:
        found |= gpus.detect_gpus()
    return {**found, **declared}


def cpu_milli() -> int:
    """Thousandths of a CPU: those it may be scheduled on, or the quota of its control groups."""
    mine = len(os.sched_getaffinity(0)) * 1000
    limit = cgroups.cpu_limit_milli()
    return mine if limit is None else min(mine, limit)


def default_slots() -> int:
    """One job per CPU that it may use, at least one."""
    return max(1, cpu_milli() // 1000)


def machine_id() -> str:
    """The same for all workers that share this machine's ports: its boot and its network namespace."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    return f"{boot}/{Path('/proc/self/ns/net').stat().st_ino}"


def heartbeat(data_dir: Path, *, started: tuple[AttemptId, ...]) -> Heartbeat:
    """A heartbeat with the machine's load of this moment."""
    return Heartbeat(
        load_milli=int(os.getloadavg()[0] * 1000),
        memory_free_mb=psutil.virtual_memory().available // MIB,
        disk_free_mb=psutil.disk_usage(str(data_dir)).free // MIB,
        started=started,
    )
