"""Registers, counters and sets. Keys retire after a while, so that each key's history stays short
enough to be judged completely."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Any, Final, Protocol

from chaos.client import NotSent, Refused
from chaos.history import Recorder
from titan.errors import TitanError

KEYS_AT_ONCE: Final = 4  # of each kind: few, so that clients meet
OPS_PER_KEY: Final = 120
FAILED_REST_S: Final = 0.1  # a storm of failures says no more than a few, and hides what is known
CAS_GUESSES: Final = 6  # recent values that a cas may expect


class Store(Protocol):
    """What is asked of a client."""

    async def store_put(self, key: str, value: str) -> int: ...
    async def store_get(self, key: str) -> Any: ...
    async def store_cas(self, key: str, expected: Any, value: str) -> bool: ...
    async def store_delete(self, key: str) -> bool: ...
    async def store_incr(self, key: str, by: int = 1) -> int: ...
    async def store_sadd(self, key: str, member: str) -> int: ...
    async def store_srem(self, key: str, member: str) -> int: ...
    async def store_smembers(self, key: str) -> list[str]: ...
    async def close(self) -> None: ...


class Keys:
    """The keys in use, shared by all clients."""

    def __init__(self) -> None:
        self._used: dict[tuple[str, int], int] = {}
        self._lives: dict[tuple[str, int], int] = {}
        self.recent: dict[str, list[str]] = {}  # values that somebody has written lately

    def draw(self, kind: str, rng: random.Random) -> str:
        """A key of a kind; a worn one is replaced."""
        place = kind, rng.randrange(KEYS_AT_ONCE)
        self._used[place] = self._used.get(place, 0) + 1
        if self._used[place] > OPS_PER_KEY:
            self._used[place] = 1
            self._lives[place] = self._lives.get(place, 0) + 1
        return f"{kind}/{place[1]}/{self._lives.get(place, 0)}"

    def wrote(self, key: str, value: str) -> None:
        """Somebody tried to write this."""
        self.recent[key] = [*self.recent.get(key, ()), value][-CAS_GUESSES:]


class KvTraffic:
    """One client in a loop."""

    def __init__(
        self, name: str, store: Store, keys: Keys, recorder: Recorder, *, seed: str, rest_s: float
    ) -> None:
        self.name = name
        self._store = store
        self._keys = keys
        self._recorder = recorder
        self._rng = random.Random(seed)
        self._rest_s = rest_s
        self._written = 0

    async def run(self, until: asyncio.Event) -> None:
        """Do one operation after another."""
        try:
            while not until.is_set():
                await self.once()
                await asyncio.sleep(self._rng.expovariate(1 / self._rest_s))
        finally:
            await self._store.close()

    async def once(self) -> None:
        """One operation, chosen by chance."""
        kind = self._rng.choices(("r", "c", "s"), (6, 2, 2))[0]
        key = self._keys.draw(kind, self._rng)
        verb, *args = {"r": self._register, "c": self._counter, "s": self._set}[kind](key)
        await self.do(verb, key, *args)

    async def do(self, verb: str, key: str, *args: Any) -> None:
        """Send one operation and write down what came of it."""
        call: Callable[..., Any] = getattr(self._store, f"store_{verb}")
        number = self._recorder.invoke(self.name, verb, key, *args)
        try:
            value = await call(key, *args)
        except NotSent as error:
            self._recorder.fail(number, error)
            await asyncio.sleep(FAILED_REST_S)
        except (TitanError, Refused) as error:
            self._recorder.unknown(number, error)
            await asyncio.sleep(FAILED_REST_S)
        except asyncio.CancelledError as error:
            self._recorder.unknown(number, error)
            raise
        else:
            self._recorder.ok(number, value)

    def _register(self, key: str) -> tuple[Any, ...]:
        verb = self._rng.choices(("get", "put", "cas", "delete"), (40, 35, 20, 5))[0]
        if verb in ("get", "delete"):
            return (verb,)
        self._written += 1
        value = f"{self.name}.{self._written}"  # unique: a read tells whose write it saw
        expected = self._rng.choice([None, *self._keys.recent.get(key, ())])
        self._keys.wrote(key, value)
        return ("put", value) if verb == "put" else ("cas", expected, value)

    def _counter(self, key: str) -> tuple[Any, ...]:
        return ("incr", self._rng.randint(1, 9)) if self._rng.random() < 0.7 else ("get",)

    def _set(self, key: str) -> tuple[Any, ...]:
        verb = self._rng.choices(("sadd", "srem", "smembers"), (50, 20, 30))[0]
        return (verb,) if verb == "smembers" else (verb, f"m{self._rng.randrange(12)}")
