"""What a write does to a key: decided from what is seen of the key, then carried out.

Deciding changes nothing, so the same decision serves a write of its own and one in a batch, where what
is seen is what the writes before it leave (`Pad`). No handlers here: `kv.py` has them.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final, Protocol

import msgspec

from titan.fsm import timers
from titan.fsm.commands import KvCas, KvDelete, KvIncr, KvPut, KvSetAdd, KvSetRemove, KvWrite
from titan.fsm.events import KeyChanged
from titan.fsm.handling import Turn
from titan.fsm.outcomes import Rejected
from titan.fsm.state import KvItem
from titan.limits import (
    DURATION_MS_MAX,
    KV_KEY_BYTES_MAX,
    KV_KEYS_MAX,
    KV_MEMBER_BYTES_MAX,
    KV_SET_MEMBERS_MAX,
    KV_VALUE_BYTES_MAX,
)

_DECIMAL: Final = re.compile(rb"-?[0-9]{1,19}\Z")
_INT64: Final = range(-(2**63), 2**63)  # what every client can hold


class Members(Protocol):
    """What a decision asks of a set."""

    def __contains__(self, member: object, /) -> bool: ...
    def __len__(self) -> int: ...


class Seen(msgspec.Struct, frozen=True, gc=False):
    """A key as the batch so far leaves it: a value, or a set when there are `members`."""

    value: bytes
    binary: bool
    members: Members | None


Key = KvItem | Seen  # a key of the state, or as a batch leaves it


class Change(msgspec.Struct, frozen=True, gc=False):
    """What is to be done to a key. `answer` None stands for the index of the write."""

    key: str
    act: str  # "" nothing | put | drop | count | add | remove
    answer: Any = None
    value: bytes = b""
    binary: bool = False
    ttl_ms: int = 0
    member: str = ""


# --- deciding -------------------------------------------------------------------------------------


def decide(cmd: KvWrite, at: Key | None, *, keys: int) -> Change | Rejected:
    """What the write does to a key that is seen like this, in a store with so many keys."""
    kind = type(cmd)
    refusal: Rejected | None = None
    if kind is KvPut or kind is KvCas:
        refusal = _why_not_value(cmd)
    if refusal is None and kind is not KvDelete and kind is not KvSetRemove:  # they bring no key
        refusal = _why_not_key(cmd.key, at, keys=keys)
    return refusal or _DECIDE[kind](cmd, at)


def _why_not_value(cmd: Any) -> Rejected | None:
    if len(cmd.value) > KV_VALUE_BYTES_MAX:
        why = f"a value has at most {KV_VALUE_BYTES_MAX} bytes; keep larger data in a file"
        return Rejected("too_large", why)
    if not 0 <= cmd.ttl_ms <= DURATION_MS_MAX:
        return Rejected("invalid", f"ttl_ms is 0 to {DURATION_MS_MAX}")
    return None


def _why_not_key(key: str, at: Key | None, *, keys: int) -> Rejected | None:
    if not key or len(key.encode()) > KV_KEY_BYTES_MAX:
        return Rejected("too_large", f"a key has 1 to {KV_KEY_BYTES_MAX} bytes")
    if at is None and keys >= KV_KEYS_MAX:
        return Rejected("key_limit", f"the store already has {KV_KEYS_MAX} keys")
    return None


def _put(cmd: KvPut, at: Key | None) -> Change | Rejected:  # noqa: ARG001
    return Change(cmd.key, "put", None, cmd.value, cmd.binary, cmd.ttl_ms)


def _cas(cmd: KvCas, at: Key | None) -> Change | Rejected:
    if at is not None and at.members is not None:
        return Rejected("wrong_type", f"'{cmd.key}' is a set")
    if (None if at is None else at.value) != cmd.expected:
        return Change(cmd.key, "", False)
    return Change(cmd.key, "put", True, cmd.value, cmd.binary, cmd.ttl_ms)


def _delete(cmd: KvDelete, at: Key | None) -> Change | Rejected:
    return Change(cmd.key, "", False) if at is None else Change(cmd.key, "drop", True)


def _incr(cmd: KvIncr, at: Key | None) -> Change | Rejected:
    if at is not None and not _is_counter(at):
        return Rejected("wrong_type", f"'{cmd.key}' is not a decimal number")
    total = (int(at.value) if at is not None else 0) + cmd.by
    if total not in _INT64:
        return Rejected("too_large", f"'{cmd.key}' would leave 64 bits")
    return Change(cmd.key, "count", total, str(total).encode())


def _is_counter(at: Key) -> bool:
    return at.members is None and not at.binary and _DECIMAL.match(at.value) is not None


def _set_add(cmd: KvSetAdd, at: Key | None) -> Change | Rejected:
    if len(cmd.member.encode()) > KV_MEMBER_BYTES_MAX:
        return Rejected("too_large", f"a member has at most {KV_MEMBER_BYTES_MAX} bytes")
    if at is not None:
        if at.members is None:
            return Rejected("wrong_type", f"'{cmd.key}' is not a set")
        if cmd.member in at.members:
            return Change(cmd.key, "", 0)
        if len(at.members) >= KV_SET_MEMBERS_MAX:
            return Rejected("too_large", f"a set has at most {KV_SET_MEMBERS_MAX} members")
    return Change(cmd.key, "add", 1, member=cmd.member)


def _set_remove(cmd: KvSetRemove, at: Key | None) -> Change | Rejected:
    if at is None:
        return Change(cmd.key, "", 0)
    if at.members is None:
        return Rejected("wrong_type", f"'{cmd.key}' is not a set")
    if cmd.member not in at.members:
        return Change(cmd.key, "", 0)
    return Change(cmd.key, "remove", 1, member=cmd.member)


_DECIDE: Final[dict[type[KvWrite], Callable[[Any, Key | None], Change | Rejected]]] = {
    KvPut: _put,
    KvCas: _cas,
    KvDelete: _delete,
    KvIncr: _incr,
    KvSetAdd: _set_add,
    KvSetRemove: _set_remove,
}


# --- carrying out ---------------------------------------------------------------------------------


def perform(turn: Turn, change: Change) -> Any:
    """Do what was decided, and answer. The key must be as it was seen."""
    if change.act:
        _change(turn, change)
        turn.events.append(KeyChanged(change.key))
    return turn.at.index if change.answer is None else change.answer


def _change(turn: Turn, change: Change) -> None:
    kv, key = turn.state.kv, change.key
    if change.act == "drop":
        del kv[key]
        return
    if change.act == "put":
        item = kv[key] = KvItem(value=change.value, binary=change.binary)
        if change.ttl_ms:
            item.expires_ms = turn.at.now_ms + change.ttl_ms
            timers.set_timer(turn.state, timers.KV, key, due_ms=item.expires_ms)
    else:
        item = kv.setdefault(key, KvItem())
    item.version = turn.at.index
    if change.act == "count":
        item.value = change.value
    elif change.act == "add":
        item.members = item.members or {}
        item.members[change.member] = None
    elif change.act == "remove":
        assert item.members is not None
        del item.members[change.member]
        if not item.members:
            del kv[key]


# --- in a batch -----------------------------------------------------------------------------------


class _Layer:
    """A set with changes on top, so that a large one is not copied."""

    def __init__(self, under: Members) -> None:
        self._under = under
        self._changed: dict[str, bool] = {}  # member → is it in?
        self._size = len(under)

    def __contains__(self, member: object) -> bool:
        is_in = self._changed.get(member)  # type: ignore[call-overload]
        return member in self._under if is_in is None else bool(is_in)

    def __len__(self) -> int:
        return self._size

    def put(self, member: str, *, is_in: bool) -> None:
        self._changed[member] = is_in
        self._size += 1 if is_in else -1


class Pad(msgspec.Struct):
    """Keys as the batch so far leaves them."""

    keys: dict[str, Key | None] = msgspec.field(default_factory=dict)
    added: int = 0  # keys more than before

    def note(self, change: Change, before: Key | None) -> None:
        """The batch makes this change as well."""
        after = _after(change, before)
        self.keys[change.key] = after
        self.added += (after is not None) - (before is not None)


def _after(change: Change, before: Key | None) -> Key | None:
    if change.act == "":
        return before
    if change.act == "drop":
        return None
    if change.act == "put":
        return Seen(change.value, change.binary, None)
    if change.act == "count":
        return Seen(change.value, False, None)
    members: Members = {} if before is None or before.members is None else before.members
    layer = members if isinstance(members, _Layer) else _Layer(members)
    layer.put(change.member, is_in=change.act == "add")
    return Seen(b"", False, layer) if len(layer) else None
