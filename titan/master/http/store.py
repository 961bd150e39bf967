"""The key-value store over HTTP. Values are text; bytes that are not UTF-8 are shown as base64."""

from __future__ import annotations

from typing import Final

import msgspec

from titan.errors import NotFound
from titan.fsm.commands import ClientCommand, KvCas, KvDelete, KvIncr, KvPut, KvSetAdd, KvSetRemove
from titan.fsm.queries import KvGet, KvList, KvView
from titan.limits import LIST_PAGE_MAX
from titan.master.http.api import Api
from titan.master.http.runs import ReadQuery
from titan.master.http.table import Call, Endpoint, Page


class KeysQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Keys with a prefix, sorted; `after` is the cursor."""

    prefix: str = ""
    limit: int = LIST_PAGE_MAX
    after: str = ""
    consistent: bool = False


class Value(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A new value. `ttl_ms` 0 keeps it for ever. With `expected` it is set only if the key has that
    value now; null means that the key is absent."""

    value: str
    ttl_ms: int = 0
    expected: str | msgspec.UnsetType | None = msgspec.UNSET


class Step(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How much to add to a counter."""

    by: int = 1


class Member(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A member of a set."""

    member: str


class Answer(msgspec.Struct, frozen=True):
    """What the write answered, and its index in the log."""

    index: int
    value: int | bool | None


async def list_keys(api: Api, call: Call) -> Page[KvView]:
    """Sorted by key."""
    query: KeysQuery = call.query
    limit = max(1, min(query.limit, LIST_PAGE_MAX))
    items = api.read(KvList(prefix=query.prefix, limit=limit, after=query.after))
    return Page(items, items[-1].key if len(items) == limit else None)


async def get_key(api: Api, call: Call) -> KvView:
    """One key."""
    view: KvView | None = api.read(KvGet(key=call.path["key"]))
    if view is None:
        raise NotFound(f"there is no key {call.path['key']!r}")
    return view


async def put_key(api: Api, call: Call) -> Answer:
    """Set a key, always or if it has the expected value."""
    key, body = call.path["key"], call.body
    if body.expected is msgspec.UNSET:
        return await _write(
            api, call, KvPut(key=key, value=body.value.encode(), ttl_ms=body.ttl_ms)
        )
    expected = None if body.expected is None else body.expected.encode()
    return await _write(
        api,
        call,
        KvCas(key=key, expected=expected, value=body.value.encode(), ttl_ms=body.ttl_ms),
    )


async def delete_key(api: Api, call: Call) -> Answer:
    """Whether it was there."""
    return await _write(api, call, KvDelete(key=call.path["key"]))


async def add(api: Api, call: Call) -> Answer:
    """The new value of the counter."""
    return await _write(api, call, KvIncr(key=call.path["key"], by=call.body.by))


async def add_member(api: Api, call: Call) -> Answer:
    """1 if the member is new, else 0."""
    return await _write(api, call, KvSetAdd(key=call.path["key"], member=call.body.member))


async def remove_member(api: Api, call: Call) -> Answer:
    """1 if the member was there, else 0."""
    return await _write(api, call, KvSetRemove(key=call.path["key"], member=call.body.member))


async def _write(api: Api, call: Call, command: ClientCommand) -> Answer:
    done = await api.write(command, key=call.idempotency_key)
    return Answer(done.index, done.value)


_KEY: Final = "/api/v1/store/{key}"
ENDPOINTS: Final = (
    Endpoint("GET", "/api/v1/store", list_keys, "Keys with a prefix", Page[KvView], KeysQuery),
    Endpoint("GET", _KEY, get_key, "One key", KvView, ReadQuery),
    Endpoint("PUT", _KEY, put_key, "Set a key", Answer, body=Value),
    Endpoint("DELETE", _KEY, delete_key, "Remove a key", Answer),
    Endpoint("POST", f"{_KEY}/incr", add, "Add to a counter", Answer, body=Step),
    Endpoint("POST", f"{_KEY}/sadd", add_member, "Add a member to a set", Answer, body=Member),
    Endpoint("POST", f"{_KEY}/srem", remove_member, "Remove a member", Answer, body=Member),
)
