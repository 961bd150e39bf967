"""Locks made of compare-and-set with a time to live: take it, hold it, give it back or forget to."""

from __future__ import annotations

import asyncio
import random
from typing import Any, Final

from chaos.history import Recorder
from titan.errors import TitanError

LOCKS: Final = 2
TTL_S: Final = 2.0
FREED: Final = "free"
FREED_TTL_S: Final = 0.001  # a freed lock is a missing key a moment later
FORGETS: Final = 0.15  # how often a holder lets the lock time out
REST_S: Final = 0.05


class LockTraffic:
    """One client that wants locks."""

    def __init__(self, name: str, store: Any, recorder: Recorder, *, seed: str) -> None:
        self.name = name
        self._store = store
        self._recorder = recorder
        self._rng = random.Random(seed)
        self._tokens = 0

    async def run(self, until: asyncio.Event) -> None:
        """Take and give back, again and again."""
        try:
            await self._want(until)
        finally:
            await self._store.close()

    async def _want(self, until: asyncio.Event) -> None:
        while not until.is_set():
            key = f"lock/{self._rng.randrange(LOCKS)}"
            self._tokens += 1
            token = f"{self.name}.{self._tokens}"
            if await self._do("lock", key, (token, TTL_S), (None, token), TTL_S):
                await asyncio.sleep(self._rng.uniform(0, 0.2))
                if self._rng.random() >= FORGETS:
                    await self._do("unlock", key, (token,), (token, FREED), FREED_TTL_S)
            await asyncio.sleep(self._rng.expovariate(1 / REST_S))

    async def _do(
        self, verb: str, key: str, args: tuple[Any, ...], change: tuple[Any, str], ttl_s: float
    ) -> bool:
        number = self._recorder.invoke(self.name, verb, key, *args)
        try:
            done = bool(await self._store.store_cas(key, *change, ttl_s=ttl_s))
        except TitanError as error:
            self._recorder.unknown(number, error)
            return False
        except asyncio.CancelledError as error:
            self._recorder.unknown(number, error)
            raise
        self._recorder.ok(number, done)
        return done
