"""What must happen now and then in many seeds: a fault or a protection that never comes is not tested.

`missing` is asked of the totals of the seeds that run on every change. A new fault is expected by itself;
a new counter of consensus or of the simulation is added here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

GUARDS: Final = (
    "duplicate append", "fast backtrack", "leader's connection lost", "learner promoted",
    "old leader told", "prevote asked", "prevote refused", "snapshot begun", "snapshot installed",
    "stale ack ignored", "stall excused", "stepped down by term", "stranger ignored",
    "superseded reset ignored", "unverified commit clamped", "vote refused",
    "yielded for want of space",
)  # fmt: skip

HAPPENED: Final = (
    "ENOSPC", "bytes lost", "bytes torn",
    "bit flipped in hardstate", "bit flipped in log", "bit flipped in snapshot",
    "started right with a damaged hardstate", "refused a damaged log",
    "died in write of log", "died in sync of log",
    "master removed", "removed master left", "newcomer became voter", "disk lost",
    "leadership moved to one", "leadership moved to anybody",
    "two leaders were asked (cut)", "two leaders were asked (pause)",
    "leader estranged",
    "segments of a connection given up", "submission repeated", "key borrowed",
    "lock granted", "lock contended", "lock expired", "stale token refused", "write under a lock",
    "commit applied", "commit refused", "late commit refused",
)  # fmt: skip  # what is rarer is counted, and reported, but comes in some hundreds of seeds only by luck


def missing(
    *,
    kinds: tuple[str, ...],
    faults: Mapping[str, int],
    guards: Mapping[str, int],
    happened: Mapping[str, int],
) -> Iterator[str]:
    """What never happened, by name."""
    for expected, counted in ((kinds, faults), (GUARDS, guards), (HAPPENED, happened)):
        yield from (name for name in expected if not counted.get(name))
