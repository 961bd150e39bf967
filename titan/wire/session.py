"""Numbers for a client's writes, so that a repeated write takes effect once.

A write keeps its number through all repeats. `floor` tells the cluster which answers it may forget;
it never passes a write that is still outstanding. At most `SESSION_RESULTS_MAX` numbers lie between
the floor and the newest, which is what the cluster remembers.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from titan.ids import new_client_id
from titan.limits import SESSION_RESULTS_MAX


class Session:
    """One client's numbering. Must not be shared between processes."""

    def __init__(self) -> None:
        self.client = new_client_id()
        self._next = 1
        self._outstanding: dict[int, None] = {}  # ascending, since numbers are drawn in order
        self._waiting: list[asyncio.Future[None]] = []

    @property
    def floor(self) -> int:
        """Every request below it has been answered, or given up for good."""
        return next(iter(self._outstanding), self._next)

    @contextlib.asynccontextmanager
    async def request(self) -> AsyncIterator[int]:
        """A number for one write, outstanding inside the block; waits while too many are."""
        while self._next - self.floor >= SESSION_RESULTS_MAX:
            place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append(place)
            await place
        number = self._next
        self._next += 1
        self._outstanding[number] = None
        try:
            yield number
        finally:
            del self._outstanding[number]
            waiting, self._waiting = self._waiting, []
            for waiter in waiting:
                if not waiter.done():
                    waiter.set_result(None)
