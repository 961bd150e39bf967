"""An ephemeral worker whose cluster is gone would run, and cost, for ever: it leaves."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

from titan.exec.core import WorkerCore
from titan.exec.session import Session

log = logging.getLogger(__name__)


async def watch_for_a_leader(
    session: Session, core: WorkerCore, *, orphan_ms: int, leave: Callable[[], None]
) -> None:
    """Call `leave` when the worker has had neither a leader nor work for `orphan_ms`; runs for ever."""
    period_s = min(1.0, orphan_ms / 4000)
    alone_since_s: float | None = None
    while True:
        await asyncio.sleep(period_s)
        if session.is_registered or not core.is_idle():
            alone_since_s = None
            continue
        now_s = time.monotonic()
        alone_since_s = alone_since_s or now_s
        if (now_s - alone_since_s) * 1000 >= orphan_ms and not core.is_leaving:
            log.warning("no leader for %d ms: this ephemeral worker leaves", orphan_ms)
            leave()
