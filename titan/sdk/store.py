"""The key-value store, as a client sees it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

import msgspec

from titan.errors import Conflict
from titan.fsm.commands import KvCas, KvDelete, KvIncr, KvPut, KvSetAdd, KvSetRemove
from titan.fsm.queries import KvGet, KvList, KvView
from titan.limits import LIST_PAGE_MAX
from titan.sdk.core import Core
from titan.wire.messages import KeyUpdate, Message, WatchKeys, decode

Value = str | bytes


@dataclass(frozen=True, slots=True)
class KeyChange:
    """A key as of `index`; `item` is None once it is gone."""

    key: str
    item: KvView | None
    index: int


class StoreApi(Core):
    """Keys and sets of a client. Values are text or bytes of at most 128 KiB."""

    async def store_put(self, key: str, value: Value | float, *, ttl_s: float | None = None) -> int:
        """Set a key, for `ttl_s` seconds or for ever; answers its version. Numbers become text."""
        raw, binary = _encode(value)
        command = KvPut(key=key, value=raw, binary=binary, ttl_ms=_ttl_ms(ttl_s))
        return int(await self._write(command))

    async def store_get(self, key: str) -> Value | None:
        """The value, or None for a missing key. Raises `Conflict` when the key holds a set."""
        item = await self._item(key)
        if item is None:
            return None
        if item.members is not None:
            raise Conflict(f"{key!r} holds a set; use store_smembers", reason="wrong_type")
        value: Value = item.value
        return value

    async def store_delete(self, key: str) -> bool:
        """Remove a key of any kind; answers whether it was there."""
        return bool(await self._write(KvDelete(key=key)))

    async def store_cas(
        self,
        key: str,
        expected: Value | float | None,
        value: Value | float,
        *,
        ttl_s: float | None = None,
    ) -> bool:
        """Set a key only if it holds `expected` (None: only if it is missing); answers whether it was."""
        raw, binary = _encode(value)
        before = None if expected is None else _encode(expected)[0]
        command = KvCas(key=key, expected=before, value=raw, binary=binary, ttl_ms=_ttl_ms(ttl_s))
        return bool(await self._write(command))

    async def store_incr(self, key: str, by: int = 1) -> int:
        """Add to a counter; a missing key counts as 0. Answers the new value."""
        return int(await self._write(KvIncr(key=key, by=by)))

    async def store_sadd(self, key: str, member: str) -> int:
        """Add a member to a set; answers 1 if it is new, else 0."""
        return int(await self._write(KvSetAdd(key=key, member=str(member))))

    async def store_srem(self, key: str, member: str) -> int:
        """Remove a member from a set; answers 1 if it was there, else 0."""
        return int(await self._write(KvSetRemove(key=key, member=str(member))))

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

    async def watch(self, prefix: str = "") -> AsyncIterator[KeyChange]:
        """Keys with the prefix: what is there first, then each change, through failovers, without end.

        Changes that follow one another quickly may be told as one. A key that went while the
        connection was broken is told as gone afterwards.
        """
        known: dict[str, int] = {}  # key → version told
        breaks = 0

        def request() -> Message:
            nonlocal breaks
            breaks += 1
            return WatchKeys(prefix=prefix)

        settled = 1
        async for piece in self._transport.stream(request):
            if not isinstance(piece, bytes):
                return
            update = decode(piece)
            if not isinstance(update, KeyUpdate):
                continue
            if settled != breaks:
                settled = breaks
                for change in await self._gone(prefix, known, index=update.index):
                    yield change
            item = msgspec.msgpack.decode(update.item, type=KvView | None)
            if item is None:
                if known.pop(update.key, None) is not None:
                    yield KeyChange(update.key, None, update.index)
            elif known.get(update.key, -1) < item.version:
                known[update.key] = item.version
                yield KeyChange(update.key, item, update.index)

    async def _gone(self, prefix: str, known: dict[str, int], *, index: int) -> list[KeyChange]:
        present = {item.key for item in await self.store_list(prefix)}
        gone = [key for key in known if key not in present]
        for key in gone:
            del known[key]
        return [KeyChange(key, None, index) for key in gone]

    async def _item(self, key: str) -> KvView | None:
        return await self._read(KvGet(key=key), KvView | None)  # type: ignore[arg-type]


def _encode(value: Value | float) -> tuple[bytes, bool]:
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value), True
    if isinstance(value, str | int | float):
        return str(value).encode("utf-8"), False
    kind = type(value).__name__
    raise TypeError(f"a value is text, bytes or a number, not {kind}; json.dumps makes text of it")


def _ttl_ms(ttl_s: float | None) -> int:
    if ttl_s is None:
        return 0
    if ttl_s <= 0:
        raise ValueError("ttl_s must be more than 0; None keeps the key for ever")
    return max(1, round(ttl_s * 1000))
