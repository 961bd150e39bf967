"""Puts the simulation where the process meets its machine: time, chance, threads, and the warden.

One table of everything that is replaced. It changes modules for good, so it is only ever done in a
process of its own (`fork` in `runner.py`). Where the product has a seam (`titan.master.surroundings`),
the seam is used instead.
"""

from __future__ import annotations

import itertools
import os
import random
import time
from collections.abc import Callable
from typing import Any

import titan.consensus.raft
import titan.exec.host
import titan.exec.runner
import titan.exec.worker
import titan.master.process
import titan.master.watchers
from tests.sim.children import Executions, SimWarden
from tests.sim.loop import SimLoop
from titan import limits
from titan.wire.connection import Connection
from titan.wire.messages import Heartbeat

_SNAPSHOT_S = 0.03

SMALL = {
    "SEGMENT_PREALLOCATE_BYTES": 16_384, "SEGMENT_BYTES": 65_536, "APPEND_BATCH_BYTES": 8_192,
    "APPEND_BATCH_ENTRIES": 16, "PEER_WINDOW_BYTES": 65_536, "SNAPSHOT_CHUNK_BYTES": 2_048,
    "SNAPSHOT_BLOCK_BYTES": 4_096, "SNAPSHOT_STEP_BYTES": 256, "DIGEST_EVERY_ENTRIES": 16,
}  # fmt: skip


class _Threads:
    """Stands where a thread pool stands: each job runs a little later, in one step."""

    loop: SimLoop

    def __init__(self, **_settings: Any) -> None:
        pass

    def submit(self, job: Callable[[], None]) -> None:
        self.loop.call_later(_SNAPSHOT_S, job)

    def shutdown(self) -> None:
        pass


def interpose(loop: SimLoop, *, seed: int, executions: Executions) -> None:
    """Replace time, chance, threads and the warden for the rest of this process's life."""
    entropy = random.Random(f"entropy {seed}")
    random.seed(f"product {seed}")
    os.urandom = entropy.randbytes
    time.monotonic = loop.time
    time.monotonic_ns = lambda: int(loop.time() * 1e9)
    time.time = loop.wall_s
    time.time_ns = lambda: int(loop.wall_s() * 1e9)
    os.environ.update(LOGNAME="sim", USER="sim", HOME="/", LANG="C.UTF-8")
    for name in [name for name in os.environ if name.startswith("TITAN_")]:
        del os.environ[name]

    _Threads.loop = SimWarden.loop = loop
    SimWarden.executions = executions
    titan.consensus.raft.ThreadPoolExecutor = _Threads  # type: ignore[assignment, misc]
    titan.exec.runner.Warden = SimWarden  # type: ignore[assignment, misc]
    titan.exec.worker.kill_leftovers = lambda _folder: 0
    titan.exec.host.detect_resources = lambda declared: {"cpu_milli": 4000, **declared}
    titan.exec.host.heartbeat = lambda _folder, *, started: Heartbeat(started=started)
    for kind in (Connection, titan.master.watchers.Watcher):
        kind.__hash__ = _by_number(itertools.count(1))  # type: ignore[method-assign, assignment]
    for name, value in SMALL.items():
        setattr(limits, name, value)


def _by_number(numbers: Any) -> Callable[[Any], int]:
    """A hash that is the order of first use: sets of such objects iterate alike in every process."""

    def number(self: Any) -> int:
        found: int | None = self.__dict__.get("_sim_number")
        if found is None:
            found = self.__dict__["_sim_number"] = next(numbers)
        return found

    return number
