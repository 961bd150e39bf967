"""Workers by webhook: each call is one signed POST that may be repeated without a second effect.

    POST URL
    Content-Type: application/json
    Idempotency-Key: LAUNCH:ACTION          the same for every repeat, whoever leads
    Titan-Timestamp: 1764072000             seconds; receivers refuse old ones
    Titan-Signature: v1=HEX                 HMAC-SHA256 of "TIMESTAMP.BODY" by the pool's secret

    {"action": "launch", "launch_id": …, "pool": …, "capabilities": […], "slots": …, "resources": {…},
     "ephemeral": true, "idle_ms": …, "masters": ["host:port", …]}

2xx means that it is done or under way. 408, 425, 429 and 5xx, and no answer, are tried again until the
deadline; anything else is final. Redirects are never followed: the body is meant for one receiver.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import logging
import random
import time
from collections.abc import Callable
from typing import Final

import aiohttp
import msgspec

from titan.limits import (
    WEBHOOK_ANSWER_BYTES_MAX,
    WEBHOOK_DEADLINE_S,
    WEBHOOK_TRY_TIMEOUT_S,
)
from titan.master.providers.base import Order, ProviderFailed

log = logging.getLogger(__name__)

_TRY_AGAIN: Final = (408, 425, 429)
_BACKOFF_FIRST_S: Final = 0.2
_BACKOFF_LAST_S: Final = 5.0


def signature(secret: str, timestamp: str, body: bytes) -> str:
    """The value of `Titan-Signature`."""
    signed = timestamp.encode() + b"." + body
    return "v1=" + hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()


class WebhookProvider:
    """Calls the URL of the order's pool."""

    def __init__(
        self,
        *,
        masters: Callable[[], tuple[str, ...]],
        deadline_s: float = WEBHOOK_DEADLINE_S,
    ) -> None:
        self._masters = masters
        self._deadline_s = deadline_s

    async def launch(self, order: Order) -> None:
        """Ask for a worker."""
        body = {
            "action": "launch",
            "launch_id": order.launch,
            "pool": order.pool,
            "capabilities": order.capabilities,
            "slots": order.slots,
            "resources": order.resources,
            "ephemeral": order.ephemeral,
            "idle_ms": order.idle_ms,
            "masters": self._masters(),
        }
        await self._insist(order, "launch", msgspec.json.encode(body))

    async def end(self, order: Order) -> None:
        """Tell that the worker is gone or will not be let in."""
        body = {"action": "terminate", "launch_id": order.launch, "pool": order.pool}
        await self._insist(order, "terminate", msgspec.json.encode(body))

    async def _insist(self, order: Order, action: str, body: bytes) -> None:
        """POST until it is answered for good or the deadline passes."""
        failures, last = 0, "no answer"
        try:
            async with asyncio.timeout(self._deadline_s), aiohttp.ClientSession() as session:
                while True:
                    try:
                        last = await self._once(session, order, action, body)
                    except (aiohttp.ClientError, TimeoutError, OSError) as error:
                        last = f"no answer: {type(error).__name__}"
                    if not last:
                        return
                    log.info("%s of launch %s: %s", action, order.launch, last)
                    pause_s = min(_BACKOFF_FIRST_S * 2 ** min(failures, 10), _BACKOFF_LAST_S)
                    failures += 1
                    await asyncio.sleep(pause_s * random.uniform(0.5, 1.0))
        except TimeoutError:
            raise ProviderFailed(
                f"the webhook of pool {order.pool} did not take {action} within "
                f"{self._deadline_s:g} s; the last try: {last}"
            ) from None

    async def _once(
        self, session: aiohttp.ClientSession, order: Order, action: str, body: bytes
    ) -> str:
        """One try: "" when it was taken, else why it is to be tried again."""
        timestamp = str(int(time.time()))
        headers = {
            "Content-Type": "application/json",
            "Idempotency-Key": f"{order.launch}:{action}",
            "Titan-Timestamp": timestamp,
            "Titan-Signature": signature(order.secret, timestamp, body),
        }
        timeout = aiohttp.ClientTimeout(total=WEBHOOK_TRY_TIMEOUT_S)
        async with session.post(
            order.url, data=body, headers=headers, allow_redirects=False, timeout=timeout
        ) as answer:
            await answer.content.read(WEBHOOK_ANSWER_BYTES_MAX)
            if 200 <= answer.status < 300:
                return ""
            if answer.status in _TRY_AGAIN or answer.status >= 500:
                return f"status {answer.status}"
            what = "a redirect, which is not followed" if answer.status < 400 else "refused"
            raise ProviderFailed(
                f"the webhook of pool {order.pool} answered {action} with status {answer.status} ({what})"
            )
