"""What a master takes from the machine it runs on: disk, clocks, chance, and the way out.

The defaults are the real ones. A simulation gives its own, which is how whole clusters run on virtual
time with disks that fail. Owns nothing and decides nothing.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from titan.consensus.disk import Disk, OsDisk
from titan.consensus.raft import leave_process
from titan.errors import Fatal


def wall_clock_ms() -> int:
    """The time of day, in milliseconds since 1970."""
    return time.time_ns() // 1_000_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Surroundings:
    """Given to `Master` as one; see the module."""

    disk: Disk = field(default_factory=OsDisk)  # of the log, its snapshots and the peers' bindings
    clock: Callable[[], float] = time.monotonic  # of elections
    now_ms: Callable[[], int] = wall_clock_ms  # what entries are stamped with
    rng: random.Random = field(default_factory=random.Random)
    on_fatal: Callable[[Fatal], None] = leave_process  # must not return to whoever serves clients
