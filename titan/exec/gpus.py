"""The GPUs of this machine: how many, and their memory. Asked once, when the worker starts.

`nvidia-smi` knows both; without it the driver's entries are counted, and without those the devices.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Final

SMI: Final = ("nvidia-smi", "--query-gpu=memory.total", "--format=csv,noheader,nounits")
SMI_TIMEOUT_S: Final = 5.0  # a hung driver must not keep the worker from starting
_DEVICE: Final = re.compile(r"nvidia\d+\Z")


def detect_gpus(*, proc: Path = Path("/proc"), dev: Path = Path("/dev")) -> dict[str, int]:
    """`gpus`, and `gpu_memory_mb` of all together where it is known; nothing without GPUs."""
    memory = _ask_smi()
    if memory:
        return {"gpus": len(memory), "gpu_memory_mb": sum(memory)}
    count = _entries(proc / "driver/nvidia/gpus") or _devices(dev)
    return {"gpus": count} if count else {}


def _ask_smi() -> list[int]:
    """The memory of each GPU in MiB; empty when it cannot be asked."""
    try:
        done = subprocess.run(
            SMI, capture_output=True, text=True, timeout=SMI_TIMEOUT_S, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return []
    words = done.stdout.split("\n")
    return [int(word) for word in words if word.strip().isdecimal()]


def _entries(folder: Path) -> int:
    try:
        return sum(1 for _ in folder.iterdir())
    except OSError:
        return 0


def _devices(dev: Path) -> int:
    try:
        return sum(_DEVICE.match(entry.name) is not None for entry in dev.iterdir())
    except OSError:
        return 0
