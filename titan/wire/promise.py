"""A future whose callbacks run at once instead of in the next turn of the loop.

A committed command is handed on four times before its reply is written; as plain futures each hand-over
waits for a turn of its own, and a turn costs a system call. Tasks that await a promise are woken by the
loop, as ever.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import Context
from typing import Any, Self, TypeVar

T = TypeVar("T")


class Promise(asyncio.Future[T]):
    """Callbacks must not block and may not count on a fresh stack; what they raise is only reported."""

    _now: list[Callable[[Any], object]] | None = None

    def add_done_callback(
        self, fn: Callable[[Self], object], /, *, context: Context | None = None
    ) -> None:
        """Call `fn` as soon as there is an answer. Tasks wait with a context: they are left to the loop."""
        if context is not None or self.done():
            super().add_done_callback(fn, context=context)
        elif self._now is None:
            self._now = [fn]
        else:
            self._now.append(fn)

    def set_result(self, result: T, /) -> None:
        """Answer."""
        super().set_result(result)
        self._tell()

    def set_exception(self, exception: type | BaseException, /) -> None:
        """Refuse."""
        super().set_exception(exception)
        self._tell()

    def cancel(self, msg: Any = None) -> bool:
        """Give up; whoever waits is told."""
        was_waited_for = super().cancel(msg)
        if was_waited_for:
            self._tell()
        return was_waited_for

    def _tell(self) -> None:
        callbacks, self._now = self._now, None
        for fn in callbacks or ():
            try:
                fn(self)
            except Exception as error:  # as for the callbacks of every future
                self.get_loop().call_exception_handler(
                    {
                        "message": "a callback of a promise failed",
                        "exception": error,
                        "future": self,
                    }
                )
