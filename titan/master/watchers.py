"""One who follows something on this master: what it was not told yet, and how many of them there are.

A watcher that is slow gets fewer, larger updates, never an unbounded queue.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from titan.errors import Unavailable
from titan.limits import WATCHERS_PER_MASTER_MAX

DEAF_CHECK_S = 1.0
DEAF_MS = (
    3000  # a master that has heard no leader for so long ends its watches: they resume elsewhere
)


class Watcher:
    """What one watcher has not been told yet."""

    def __init__(self) -> None:
        self.changed: dict[str, None] = {}
        self.over = asyncio.Event()
        self.wake = asyncio.Event()

    def touch(self, ident: str, *, over: bool = False) -> None:
        """This has changed."""
        self.changed[ident] = None
        if over:
            self.over.set()
        self.wake.set()

    def touch_all(self, idents: Iterable[str]) -> None:
        """All of these have changed."""
        self.changed.update(dict.fromkeys(idents))
        self.wake.set()

    async def rest(self, seconds: float) -> None:
        """So long nothing is to be told, unless it is that all is over."""
        try:
            async with asyncio.timeout(seconds):
                await self.over.wait()
        except TimeoutError:
            pass

    async def next_changes(self, *, is_deaf: Callable[[], bool]) -> list[str]:
        """What has changed, once something has. Raises `Unavailable` when this master is deaf."""
        while not self.wake.is_set():
            try:
                async with asyncio.timeout(DEAF_CHECK_S):
                    await self.wake.wait()
            except TimeoutError:
                if is_deaf():
                    raise Unavailable("this master has lost touch with the leader") from None
        self.wake.clear()
        changed, self.changed = list(self.changed), {}
        return changed


class Admission:
    """How many watchers this master has, of all kinds, and whether it still hears a leader."""

    def __init__(self, *, heard_ms_ago: Callable[[], int]) -> None:
        self._heard_ms_ago = heard_ms_ago
        self.count = 0

    @contextmanager
    def enter(self) -> Iterator[Watcher]:
        """A place for one more. Raises `Unavailable` when there is none."""
        if self.count >= WATCHERS_PER_MASTER_MAX:
            raise Unavailable(f"this master has {WATCHERS_PER_MASTER_MAX} watchers already")
        self.count += 1
        try:
            yield Watcher()
        finally:
            self.count -= 1

    def is_deaf(self) -> bool:
        """Whether what this master knows may be old."""
        return self._heard_ms_ago() > DEAF_MS
