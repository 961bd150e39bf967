"""How long jobs of a run usually take, from their recent ends: integers only.

Kept by name of run, because that is what outlives a run and what its jobs have in common. Not kept by
worker: one long job would stop a worker from queueing short ones long after it has ended.
"""

from __future__ import annotations

from titan.limits import DURATIONS_REMEMBERED_MAX, PREFILL_COVER_US, PREFILL_PER_SLOT_MAX


class Durations:
    """A moving average per name that rises fast and falls slowly.

    A run that mixes short and long jobs therefore counts as long: queueing a long job on a busy worker
    costs far more than a round trip saves.
    """

    def __init__(self) -> None:
        self._average_us: dict[str, int] = {}

    def observe(self, name: str, duration_us: int) -> None:
        """A job took this long; 0 means that it never started and says nothing."""
        if duration_us <= 0:
            return
        before = self._average_us.pop(name, None)
        self._average_us[name] = duration_us if before is None else _blend(before, duration_us)
        if len(self._average_us) > DURATIONS_REMEMBERED_MAX:
            del self._average_us[next(iter(self._average_us))]

    def typical_us(self, name: str) -> int | None:
        """The average, or None when no job of that name has ended yet."""
        return self._average_us.get(name)


def _blend(before: int, sample: int) -> int:
    if sample > before:
        return before + (sample - before + 1) // 2
    return before - (before - sample) // 8


def is_short(typical_us: int | None) -> bool:
    """Whether a job is known to be short enough to wait behind another on a worker."""
    return typical_us is not None and typical_us <= PREFILL_COVER_US


def prefill_depth(typical_us: int | None) -> int:
    """How many such jobs may wait for each slot of a worker; 0 when they are long or unknown."""
    if typical_us is None or typical_us > PREFILL_COVER_US:
        return 0
    return min(PREFILL_PER_SLOT_MAX, PREFILL_COVER_US // max(typical_us, 1))
