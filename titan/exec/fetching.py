"""One fetch for everybody who wants the same blob at the same time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from titan.ids import Digest


class Fetches:
    """The fetches under way, at most one for each digest; `fetch` brings a blob to its place."""

    def __init__(self, fetch: Callable[[Digest], Coroutine[Any, Any, None]], *, what: str) -> None:
        self._fetch = fetch
        self._what = what
        self._tasks: dict[Digest, asyncio.Task[None]] = {}

    async def join(self, digest: Digest) -> None:
        """Wait for the one fetch of this blob. A waiter that gives up leaves it running."""
        task = self._tasks.get(digest)
        if task is None:
            name = f"fetch {self._what} {digest[:12]}"
            self._tasks[digest] = task = asyncio.create_task(self._fetch(digest), name=name)
            task.add_done_callback(lambda done: self._over(digest, done))
        await asyncio.shield(task)

    async def close(self) -> None:
        """Stop fetching."""
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    def _over(self, digest: Digest, done: asyncio.Task[None]) -> None:
        self._tasks.pop(digest, None)
        if not done.cancelled():
            done.exception()  # every waiter may have given up: then nobody else asks for it
