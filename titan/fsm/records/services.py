"""What the state knows of services beyond their jobs. Handlers: `services.py`; life: `service_life.py`."""

from __future__ import annotations

from typing import Final

import msgspec

from titan.ids import JobId, RunId

STARTING: Final = "starting"
HEALTHY: Final = "healthy"
UNHEALTHY: Final = "unhealthy"
CRASH_LOOP: Final = "crash-loop"  # only shown: it follows from `quick_failures`


class Service(msgspec.Struct, kw_only=True, gc=False):
    """A job of type `service`, beside its `Job`. Kept by its run."""

    port: int = 0  # as declared; 0 means any
    released: bool = False  # was healthy once: to its children it counts as COMPLETED
    health: str = STARTING  # of the live attempt; STARTING while there is none
    detail: str = ""  # what the last probe said, or how the last attempt ended
    health_ms: int = 0  # since when
    quick_failures: int = 0  # ends in a row that came soon after their starts
    restarts: int = 0  # for ends that nobody ordered
    host: str = ""  # where it listens, or listened last
    bound: int = 0
    machine: str = ""  # whose ports `bound` is one of

    @property
    def address(self) -> str:
        """host:port as others reach it; "" before its first start."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.bound}" if self.bound else ""


class Deployment(msgspec.Struct, kw_only=True):
    """Which run's job is the service of this name. At least one of the two runs is named."""

    name: JobId
    current: RunId = RunId("")  # the version that others are to use
    candidate: RunId = RunId("")  # the version that shall replace it once it is healthy
    deadline_ms: int = 0  # until then; 0 without a candidate
