"""Results on their way to the leader: several in one go while that costs nobody anything.

The masters pay for each entry of the log, not for each result in it. While this worker has plenty of short
attempts to go on with, a result is told a few milliseconds late, together with those that come in the
meantime; else at once, since a slot, here or elsewhere, waits for what the leader makes of it. What waits
here is in the outbox already.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from titan import limits
from titan.wire.messages import AttemptEnded, Message


class Reports:
    """`send` tells the leader, if there is one."""

    def __init__(self, send: Callable[[Message], bool]) -> None:
        self._send = send
        self._waiting: list[AttemptEnded] = []
        self._timer: asyncio.TimerHandle | None = None

    def add(self, result: AttemptEnded, *, may_wait: bool) -> None:
        """Tell of a result, with all before it."""
        self._waiting.append(result)
        if not may_wait or len(self._waiting) >= limits.RESULTS_TOGETHER_MAX:
            self.send_now()
        elif self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(limits.RESULTS_WAIT_S, self.send_now)

    def send_now(self) -> None:
        """Whatever waits. What nobody hears is told after the next registration."""
        waiting = self._waiting
        self.forget()
        for result in waiting:
            self._send(result)

    def forget(self) -> None:
        """What waits is told in another way."""
        self._waiting = []
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None
