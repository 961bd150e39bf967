"""From answers of a probe to a service's health: counts, thresholds and the start period.

Pure: time is an argument. Owns when to ask next and when a service has been unhealthy for too long.
"""

from __future__ import annotations

from typing import Final

from titan.spec.service import HealthSpec, RestartSpec

STARTING: Final = "starting"
HEALTHY: Final = "healthy"
UNHEALTHY: Final = "unhealthy"
_EAGER_FIRST_MS: Final = 25  # a new service is asked often, so that its dependants need not wait
_EAGER_LAST_MS: Final = 500


class Judge:
    """One attempt of a service, from its start."""

    def __init__(self, health: HealthSpec, restart: RestartSpec, *, now_ms: int) -> None:
        self.health = ""  # "" until the first verdict
        self._spec = health
        self._patience_ms = restart.unhealthy_ms
        self._started_ms = now_ms
        self._since_ms = now_ms
        self._good = self._bad = self._asked = 0

    def hear(self, *, ok: bool, now_ms: int) -> bool:
        """Take one answer. Answers whether the health has changed."""
        self._asked += 1
        if ok:
            self._good, self._bad = self._good + 1, 0
        elif self.health or now_ms - self._started_ms >= self._spec.start_period_ms:
            self._good, self._bad = 0, self._bad + 1
        else:
            self._good = 0
        verdict = self.health
        if self._good >= self._spec.healthy_after:
            verdict = HEALTHY
        elif self._bad >= self._spec.unhealthy_after:
            verdict = UNHEALTHY
        if verdict == self.health:
            return False
        self.health, self._since_ms = verdict, now_ms
        return True

    def next_in_ms(self, *, now_ms: int) -> int:
        """How long to wait before the next question."""
        is_new = not self.health and now_ms - self._started_ms < self._spec.start_period_ms
        if not is_new:
            return self._spec.interval_ms
        eager_ms = min(_EAGER_FIRST_MS << min(self._asked, 10), _EAGER_LAST_MS)
        return min(eager_ms, self._spec.interval_ms)

    def is_hopeless(self, *, now_ms: int) -> bool:
        """Whether it has been unhealthy for so long that it should be started again."""
        return (
            self._patience_ms > 0
            and self.health == UNHEALTHY
            and now_ms - self._since_ms >= self._patience_ms
        )
