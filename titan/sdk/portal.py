"""An event loop in a thread of its own, so that code without asyncio can use what has it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Coroutine, Iterator
from typing import Any, TypeVar

from titan.errors import ProtocolError

T = TypeVar("T")


class Portal:
    """Runs coroutines in a daemon thread. Calls may come from any thread but that one."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="titan-sdk", daemon=True)
        self._is_closing = False
        self._thread.start()

    def call(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine to its end; an interrupt here cancels it there."""
        if self._is_closing:
            work.close()
            raise ProtocolError("this client has been closed")
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def iterate(self, source: AsyncIterator[T]) -> Iterator[T]:
        """The items of an async iterator, each awaited when it is asked for."""
        try:
            while True:
                try:
                    item = self.call(_next(source))
                except StopAsyncIteration:
                    return
                yield item
        finally:
            close = getattr(source, "aclose", None)
            if close is not None and not self._is_closing:
                self.call(close())

    def close(self, last: Coroutine[Any, Any, None]) -> None:
        """Do `last`, then end the thread; again does nothing.

        Waits for the end, unless a garbage collector calls this in the very thread that is to end.
        """
        if self._is_closing:
            last.close()
            return
        self._is_closing = True
        asyncio.run_coroutine_threadsafe(self._finish(last), self._loop)
        if threading.current_thread() is not self._thread:
            self._thread.join()

    async def _finish(self, last: Coroutine[Any, Any, None]) -> None:
        try:
            await last
        finally:
            self._loop.stop()

    def _run(self) -> None:
        self._loop.run_forever()
        left = asyncio.all_tasks(self._loop)
        for task in left:
            task.cancel()
        if left:
            self._loop.run_until_complete(asyncio.wait(left))
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.run_until_complete(self._loop.shutdown_default_executor())
        self._loop.close()


async def _next(source: AsyncIterator[T]) -> T:
    return await anext(source)
