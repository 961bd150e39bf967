"""Work for a thread that uses what its caller owns."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")


async def undisturbed(work: Callable[..., T], *arguments: Any) -> T:
    """`asyncio.to_thread`, but a cancellation counts only when the thread is through.

    A cancelled `to_thread` leaves its thread running. Whoever then closes the descriptor that the thread
    writes to gives its number away: the next file that is opened gets the bytes, and that may be the log.
    """
    running = asyncio.ensure_future(asyncio.to_thread(work, *arguments))
    is_cancelled = False
    while not running.done():
        try:
            await asyncio.wait((running,))
        except asyncio.CancelledError:
            is_cancelled = True
    if is_cancelled:
        running.exception()  # whoever asked has gone
        raise asyncio.CancelledError
    return running.result()
