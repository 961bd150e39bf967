"""One asking task for each running service; tells of changes, and of services that are beyond hope.

Owns the tasks. What it has told last is told again after each registration, since a leader may have
died with it. A probe by command runs as a process of the warden's, so it cannot outlive the worker.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Final, Protocol

from titan.exec.services import probes
from titan.exec.services.judge import STARTING, Judge
from titan.ids import AttemptId
from titan.spec.service import DEFAULT_HEALTH, DEFAULT_RESTART, HealthSpec
from titan.wire.messages import RunAttempt, ServiceHealth

log = logging.getLogger(__name__)

_DETAIL_CHARS_MAX: Final = 200
_EXPLAIN_FIRST_MS: Final = 1_000  # most services have started by then
_EXPLAIN_EVERY_MS: Final = 5_000  # each is an entry of the log


class Owner(Protocol):
    """Who wants to know."""

    def on_health(self, told: ServiceHealth) -> None:
        """The health of a service has changed."""

    def on_hopeless(self, attempt: AttemptId) -> None:
        """A service has been unhealthy for too long."""

    def on_broken(self, error: BaseException) -> None:
        """An asking task has a defect: nobody looks after a service any more."""

    async def run_probe(self, attempt: AttemptId, health: HealthSpec) -> int:
        """Run the command of a probe as the service would run it; its exit code. May be cancelled."""


class Prober:
    """See the module."""

    def __init__(self, owner: Owner, *, host: str) -> None:
        self._owner = owner
        self._host = host
        self._tasks: dict[AttemptId, asyncio.Task[None]] = {}
        self._told: dict[AttemptId, ServiceHealth] = {}

    @property
    def told(self) -> Iterator[ServiceHealth]:
        """The health of every running service that has any."""
        return iter(self._told.values())

    def began(self, order: RunAttempt) -> None:
        """The service's process runs."""
        task = asyncio.create_task(self._watch(order), name=f"health of attempt {order.attempt}")
        self._tasks[order.attempt] = task
        task.add_done_callback(self._over)

    def ended(self, attempt: AttemptId) -> None:
        """The service's process has ended, if it was one."""
        self._told.pop(attempt, None)
        task = self._tasks.pop(attempt, None)
        if task is not None:
            task.cancel()

    async def close(self) -> None:
        """Ask nobody any more."""
        tasks = list(self._tasks.values())
        for attempt in list(self._tasks):
            self.ended(attempt)
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _watch(self, order: RunAttempt) -> None:
        health = order.spec.health or DEFAULT_HEALTH
        judge = Judge(health, order.spec.restart or DEFAULT_RESTART, now_ms=_now_ms())
        told_ms = _now_ms() - _EXPLAIN_EVERY_MS + _EXPLAIN_FIRST_MS
        while True:
            await asyncio.sleep(judge.next_in_ms(now_ms=_now_ms()) / 1000)
            why = await self._ask(order, health)
            if judge.hear(ok=not why, now_ms=_now_ms()):
                self._tell(order.attempt, judge.health, why)
            elif not judge.health and why:
                told_ms = self._explain(order.attempt, why, told_ms=told_ms)
            if judge.is_hopeless(now_ms=_now_ms()):
                self._owner.on_hopeless(order.attempt)
                return

    def _explain(self, attempt: AttemptId, why: str, *, told_ms: int) -> int:
        """Say now and then why it is still starting; when that was last."""
        known = self._told.get(attempt)
        if _now_ms() - told_ms < _EXPLAIN_EVERY_MS or (known and known.detail == why):
            return told_ms
        self._tell(attempt, STARTING, why)
        return _now_ms()

    def _over(self, done: asyncio.Task[None]) -> None:
        if not done.cancelled() and (error := done.exception()) is not None:
            log.error("%s broke", done.get_name(), exc_info=error)
            self._owner.on_broken(error)

    def _tell(self, attempt: AttemptId, health: str, why: str) -> None:
        told = ServiceHealth(attempt=attempt, health=health, detail=why[:_DETAIL_CHARS_MAX])
        self._told[attempt] = told
        self._owner.on_health(told)

    async def _ask(self, order: RunAttempt, health: HealthSpec) -> str:
        """One question; what is wrong, "" when nothing is."""
        try:
            async with asyncio.timeout(health.timeout_ms / 1000):
                await self._question(order, health)
        except TimeoutError:
            return f"no answer within {health.timeout_ms} ms"
        except probes.Unwell as error:
            return str(error)
        return ""

    def _question(self, order: RunAttempt, health: HealthSpec) -> Awaitable[None]:
        if health.kind == "http":
            return probes.http(self._host, order.port, health.path)
        if health.kind == "command":
            return _by_command(self._owner.run_probe, order.attempt, health)
        return probes.tcp(self._host, order.port)


async def _by_command(
    run: Callable[[AttemptId, HealthSpec], Awaitable[int]], attempt: AttemptId, health: HealthSpec
) -> None:
    code = await run(attempt, health)
    if code != 0:
        raise probes.Unwell(f"the health command ended with exit code {code}")


def _now_ms() -> int:
    return time.monotonic_ns() // 1_000_000
