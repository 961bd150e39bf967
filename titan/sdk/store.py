"""The key-value store, as a client sees it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable

from titan.errors import Conflict, ProtocolError, TimedOut
from titan.fsm.commands import KvCas, KvDelete, KvIncr, KvPut, KvSetAdd, KvSetRemove
from titan.fsm.queries import KvGet, KvList, KvView
from titan.limits import LIST_PAGE_MAX
from titan.sdk.anything import ANY, AnyValue
from titan.sdk.core import Core
from titan.sdk.fencing import Fence, fence
from titan.sdk.watching import KeyChange, KeysTold
from titan.wire.messages import decode

Value = str | bytes


class StoreApi(Core):
    """Keys and sets of a client. Values are text or bytes of at most 128 KiB."""

    async def store_put(
        self,
        key: str,
        value: Value | float,
        *,
        ttl_s: float | None = None,
        if_lock: Fence | None = None,
    ) -> int:
        """Set a key, for `ttl_s` seconds or for ever; answers its version. Numbers become text.

        With `if_lock` (a lock, or its name and token) this and every other write is refused with
        `lock_lost` once the lock has passed to somebody else.
        """
        raw, binary = encode_value(value)
        ttl_ms = ttl_ms_of(ttl_s)
        command = KvPut(key=key, value=raw, binary=binary, ttl_ms=ttl_ms, **fence(if_lock))
        return int(await self._write(command))

    async def store_get(self, key: str) -> Value | None:
        """The value, or None for a missing key. Raises `Conflict` when the key holds a set."""
        return _value(key, await self._item(key))

    async def store_delete(self, key: str, *, if_lock: Fence | None = None) -> bool:
        """Remove a key of any kind; answers whether it was there."""
        return bool(await self._write(KvDelete(key=key, **fence(if_lock))))

    async def store_cas(
        self,
        key: str,
        expected: Value | float | None,
        value: Value | float,
        *,
        ttl_s: float | None = None,
        if_lock: Fence | None = None,
    ) -> bool:
        """Set a key only if it holds `expected` (None: only if it is missing); answers whether it was."""
        raw, binary = encode_value(value)
        before = None if expected is None else encode_value(expected)[0]
        command = KvCas(
            key=key,
            expected=before,
            value=raw,
            binary=binary,
            ttl_ms=ttl_ms_of(ttl_s),
            **fence(if_lock),
        )
        return bool(await self._write(command))

    async def store_incr(self, key: str, by: int = 1, *, if_lock: Fence | None = None) -> int:
        """Add to a counter; a missing key counts as 0. Answers the new value."""
        return int(await self._write(KvIncr(key=key, by=by, **fence(if_lock))))

    async def store_sadd(self, key: str, member: str, *, if_lock: Fence | None = None) -> int:
        """Add a member to a set; answers 1 if it is new, else 0."""
        return int(await self._write(KvSetAdd(key=key, member=str(member), **fence(if_lock))))

    async def store_srem(self, key: str, member: str, *, if_lock: Fence | None = None) -> int:
        """Remove a member from a set; answers 1 if it was there, else 0."""
        return int(await self._write(KvSetRemove(key=key, member=str(member), **fence(if_lock))))

    async def store_smembers(self, key: str) -> list[str]:
        """The members in the order in which they came; [] for a missing key."""
        item = await self._item(key)
        if item is None:
            return []
        if item.members is None:
            raise Conflict(f"{key!r} holds a value; use store_get", reason="wrong_type")
        return item.members

    async def store_list(self, prefix: str = "") -> list[KvView]:
        """Every key with the prefix, sorted, with values."""
        found: list[KvView] = []
        while True:
            after = found[-1].key if found else ""
            query = KvList(prefix=prefix, limit=LIST_PAGE_MAX, after=after)
            page = await self._read(query, list[KvView])
            found += page
            if len(page) < LIST_PAGE_MAX:
                return found

    async def watch(self, prefix: str = "") -> AsyncGenerator[KeyChange, None]:
        """Keys with the prefix: what is there first, then each change, through failovers, without end.

        Every change is told once and in order; the client resumes where it stopped. Only a watcher
        that is thousands of changes behind gets the newest state of each key instead of the steps to
        it, and sets are told as they are when the change is read.
        """
        told = KeysTold(prefix)
        pieces = self._transport.stream(told.request)
        async with contextlib.aclosing(pieces):
            async for piece in pieces:
                if isinstance(piece, bytes):
                    for change in told.take(decode(piece)):
                        yield change

    async def wait_for(
        self,
        key: str,
        expected: Value | float | Callable[[Value | None], bool] | AnyValue | None = ANY,
        timeout: float | None = None,
    ) -> Value | None:
        """Wait until a key has the value `expected`, or one for which `expected(value)` is true, or, by
        default, any; None waits until it is missing. Pushed, not polled. Answers the value.

        A value that lasts only a moment may be missed. Raises `TimedOut` after `timeout` seconds.
        """
        is_it = _condition(expected)
        try:
            async with asyncio.timeout(timeout):
                answers = self._follow(KvGet(key=key), KvView | None)  # type: ignore[arg-type]
                async with contextlib.aclosing(answers):
                    async for item in answers:
                        value = _value(key, item)
                        if is_it(value):
                            return value
        except TimeoutError:
            raise TimedOut(f"{key!r} is not as expected after {timeout} s") from None
        raise ProtocolError("the master has stopped telling about the key")

    async def _item(self, key: str) -> KvView | None:
        return await self._read(KvGet(key=key), KvView | None)  # type: ignore[arg-type]


def _value(key: str, item: KvView | None) -> Value | None:
    if item is None:
        return None
    if item.members is not None:
        raise Conflict(f"{key!r} holds a set; use store_smembers", reason="wrong_type")
    value: Value = item.value
    return value


def _condition(expected: object) -> Callable[[Value | None], bool]:
    if expected is ANY:
        return lambda value: value is not None
    if expected is None:
        return lambda value: value is None
    if callable(expected):
        return lambda value: bool(expected(value))
    wanted = encode_value(expected)[0]  # type: ignore[arg-type]
    return lambda value: value is not None and encode_value(value)[0] == wanted


def encode_value(value: Value | float) -> tuple[bytes, bool]:
    """The bytes of a value, and whether reads give bytes back. Numbers become text."""
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value), True
    if isinstance(value, str | int | float):
        return str(value).encode("utf-8"), False
    kind = type(value).__name__
    raise TypeError(f"a value is text, bytes or a number, not {kind}; json.dumps makes text of it")


def ttl_ms_of(ttl_s: float | None) -> int:
    """A time to live as the log has it; 0 for ever."""
    if ttl_s is None:
        return 0
    if ttl_s <= 0:
        raise ValueError("ttl_s must be more than 0; None keeps the key for ever")
    return max(1, round(ttl_s * 1000))
