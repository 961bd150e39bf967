"""What the worker's machine has and how busy it is."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import psutil

from titan.ids import AttemptId
from titan.limits import MIB
from titan.wire.messages import Heartbeat


def detect_resources(declared: Mapping[str, int]) -> dict[str, int]:
    """CPUs and memory of this machine; what the configuration declares wins and adds."""
    found = {
        "cpu_milli": len(os.sched_getaffinity(0)) * 1000,
        "memory_mb": psutil.virtual_memory().total // MIB,
    }
    return {**found, **declared}


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
