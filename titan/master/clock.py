"""The time that a leader stamps its entries with: it goes on whatever happens to the wall clocks.

Committed time never goes backwards, so after a leader whose wall clock was an hour ahead, one that
trusted its own would stand still for that hour and every delay and back-off with it. This clock is never
behind committed time, never slower than the monotonic clock, and follows the wall clock forwards only:
after a clock was set back, time runs on from where it was until the wall clock has caught up.
"""

from __future__ import annotations

from collections.abc import Callable


class LeaderClock:
    """`now_ms` is for stamps and leases of this master; see the module."""

    def __init__(
        self,
        *,
        wall_ms: Callable[[], int],
        monotonic_s: Callable[[], float],
        committed_ms: Callable[[], int],
    ) -> None:
        self._wall_ms = wall_ms
        self._monotonic_s = monotonic_s
        self._committed_ms = committed_ms
        self._ahead_ms = 0  # of the monotonic clock; only grows

    def now_ms(self) -> int:
        """Milliseconds since 1970, never less than what was answered or committed before."""
        monotonic_ms = int(self._monotonic_s() * 1000)
        behind_ms = max(self._wall_ms(), self._committed_ms()) - monotonic_ms
        self._ahead_ms = max(self._ahead_ms, behind_ms)
        return monotonic_ms + self._ahead_ms
