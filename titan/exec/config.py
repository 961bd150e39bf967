"""What a worker is told when it starts."""

from __future__ import annotations

import ssl
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from titan.config import PORT_MAX
from titan.errors import UserError
from titan.exec import host
from titan.exec.isolation.container import PULL_POLICIES
from titan.limits import (
    CHECKPOINT_PERIOD_S,
    ENVIRONMENTS_MAX,
    LOGS_KEPT,
    MIB,
    SERVICE_PORTS_FIRST,
    SERVICE_PORTS_LAST,
    SLOTS_PER_WORKER_MAX,
)
from titan.spec.model import DEFAULT_CAPABILITY

GIB: Final = 1024 * MIB


@dataclass(frozen=True, kw_only=True)
class WorkerConfig:
    """Raises `UserError` when a value makes no sense."""

    masters: tuple[str, ...]  # host:port; any of them will do
    data_dir: Path
    capabilities: tuple[str, ...] = ()  # besides GENERAL, which every worker offers
    slots: int = field(default_factory=host.default_slots)
    resources: dict[str, int] = field(default_factory=dict)  # overrides what is detected
    ephemeral: bool = False  # leaves when it has been idle for long
    idle_ms: int = 0  # of an ephemeral one: for how long; 0: its pool says, or the default
    launch: str = ""  # the launch that it was started for
    name: str = ""  # for people; the host's name when empty
    python: str = sys.executable  # runs .py files
    cluster_id: str = ""  # "" accepts any
    tls: ssl.SSLContext | None = None
    kill_grace_ms: int = 5_000  # between TERM and KILL
    orphan_ms: int = 120_000  # an ephemeral, idle worker without a leader leaves after that
    logs_bytes_max: int = 16 * GIB  # logs of ended attempts
    logs_max: int = LOGS_KEPT  # how many: each costs an inode and a line in memory
    bundles_bytes_max: int = 8 * GIB  # unpacked
    files_bytes_max: int = 16 * GIB  # blobs of artifacts and checkpoints kept for reuse
    checkpoint_s: float = CHECKPOINT_PERIOD_S  # how often a changed checkpoint is published
    output_bytes_max: int = 16 * GIB  # of one attempt; then it is killed
    environments_max: int = ENVIRONMENTS_MAX  # virtual environments kept
    build_timeout_s: float = 900.0  # of one environment
    sandbox_binds: tuple[Path, ...] = ()  # shown to sandboxes besides the system, read-only
    container_engine: str = ""  # a command; "": podman or docker, whichever is there
    container_options: tuple[str, ...] = ()  # of its `run`
    container_network: str = ""  # for containers that ask for one; "": as the engine does
    container_pull: str = "missing"  # missing, always or never
    container_pull_timeout_s: float = 300.0
    wall_clock_ns: Callable[[], int] = (
        time.time_ns
    )  # only stamps logs: people may have set it wrong
    advertise: str = "127.0.0.1"  # where others reach its services
    service_ports: tuple[int, int] = (
        SERVICE_PORTS_FIRST,
        SERVICE_PORTS_LAST,
    )  # Titan may pick these

    def __post_init__(self) -> None:
        if not self.masters:
            raise UserError("a worker needs at least one master", hint="--masters host:port,…")
        if not 1 <= self.slots <= SLOTS_PER_WORKER_MAX:
            raise UserError(f"slots must be 1 to {SLOTS_PER_WORKER_MAX}, not {self.slots}")
        if self.container_pull not in PULL_POLICIES:
            raise UserError(f"container_pull is one of {', '.join(PULL_POLICIES)}")
        first, last = self.service_ports
        if not 0 < first <= last <= PORT_MAX:
            raise UserError(
                f"{first}-{last} is no range of ports", hint="e.g. --service-ports 31000-31999"
            )
        if not self.advertise or not self.advertise.isprintable() or " " in self.advertise:
            raise UserError(f"{self.advertise!r} is not a host that others could reach")
        if self.checkpoint_s <= 0:
            raise UserError(f"checkpoints are taken every so many seconds, not {self.checkpoint_s}")
        for tag in self.capabilities:
            if not tag or "," in tag or tag != tag.strip():
                raise UserError(f"{tag!r} is not a capability tag")

    @property
    def offered(self) -> tuple[str, ...]:
        """Every capability tag, each once, GENERAL first."""
        return tuple(dict.fromkeys((DEFAULT_CAPABILITY, *self.capabilities)))
