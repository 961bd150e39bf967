"""The deadlines of many futures with one timer, which is moved rarely: nearly all are answered in time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

Waiting = asyncio.Future[Any]


class Deadlines:
    """Refuses futures that got no answer in time. Belongs to one loop."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, *, refusal: Callable[[float], Exception]
    ) -> None:
        self._loop = loop
        self._refusal = refusal  # what to refuse with, by how many seconds were given
        self._due: dict[Waiting, tuple[float, float]] = {}  # when, and after how many seconds
        self._timer: asyncio.TimerHandle | None = None
        self._timer_due_s = 0.0

    def set(self, future: Waiting, *, timeout_s: float) -> None:
        """Refuse the future in so many seconds; whoever made it calls `forget` once it is done."""
        due_s = self._loop.time() + timeout_s
        self._due[future] = (due_s, timeout_s)
        if self._timer is None or due_s < self._timer_due_s:
            self._arm(due_s)

    def forget(self, future: Waiting) -> None:
        """It has been answered or given up."""
        self._due.pop(future, None)

    def close(self) -> None:
        """Refuse nobody any more."""
        self._due.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _arm(self, due_s: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer_due_s = due_s
        self._timer = self._loop.call_at(due_s, self._look)

    def _look(self) -> None:
        self._timer = None
        now_s = self._loop.time()
        for future, (due_s, timeout_s) in list(self._due.items()):
            if due_s <= now_s:
                del self._due[future]
                if not future.done():
                    future.set_exception(self._refusal(timeout_s))
        if self._due:
            self._arm(min(due_s for due_s, _ in self._due.values()))
