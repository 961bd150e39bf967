"""The key-value store: values, counters and sets. A key is one kind at a time; `KvPut` replaces any."""

from __future__ import annotations

import re
from typing import Final

from titan.fsm import timers
from titan.fsm.commands import KvCas, KvDelete, KvIncr, KvPut, KvSetAdd, KvSetRemove
from titan.fsm.events import KeyChanged
from titan.fsm.handling import Stamp, Turn, handles
from titan.fsm.outcomes import Applied, Outcome, Rejected
from titan.fsm.state import KvItem, State
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


@handles(KvPut)
def kv_put(state: State, cmd: KvPut, at: Stamp) -> Outcome:
    """Set a key, whatever it was. Answers the version."""
    refusal = _why_not_value(state, cmd)
    if refusal is not None:
        return refusal
    turn = Turn(state, at)
    _write(turn, cmd)
    return turn.done(at.index)


@handles(KvCas)
def kv_cas(state: State, cmd: KvCas, at: Stamp) -> Outcome:
    """Set a key if it has the expected value. Answers whether it did."""
    refusal = _why_not_value(state, cmd)
    if refusal is not None:
        return refusal
    item = state.kv.get(cmd.key)
    if item is not None and item.members is not None:
        return Rejected("wrong_type", f"'{cmd.key}' is a set")
    if (None if item is None else item.value) != cmd.expected:
        return Applied(False)
    turn = Turn(state, at)
    _write(turn, cmd)
    return turn.done(True)


@handles(KvDelete)
def kv_delete(state: State, cmd: KvDelete, at: Stamp) -> Outcome:  # noqa: ARG001
    """Remove a key. Answers whether it was there."""
    if state.kv.pop(cmd.key, None) is None:
        return Applied(False)
    return Applied(True, (KeyChanged(cmd.key),))


@handles(KvIncr)
def kv_incr(state: State, cmd: KvIncr, at: Stamp) -> Outcome:
    """Add to a counter; its time to live stays. Answers the new value."""
    refusal = _why_not_key(state, cmd.key)
    if refusal is not None:
        return refusal
    item = state.kv.get(cmd.key)
    if item is not None and not _is_counter(item):
        return Rejected("wrong_type", f"'{cmd.key}' is not a decimal number")
    total = (int(item.value) if item is not None else 0) + cmd.by
    if total not in _INT64:
        return Rejected("too_large", f"'{cmd.key}' would leave 64 bits")
    turn = Turn(state, at)
    if item is None:
        item = state.kv[cmd.key] = KvItem()
    item.value = str(total).encode()
    _touch(turn, cmd.key, item)
    return turn.done(total)


def _is_counter(item: KvItem) -> bool:
    return item.members is None and not item.binary and _DECIMAL.match(item.value) is not None


@handles(KvSetAdd)
def kv_set_add(state: State, cmd: KvSetAdd, at: Stamp) -> Outcome:
    """Add a member, any text. Answers 1 if it is new, else 0."""
    refusal = _why_not_key(state, cmd.key)
    if refusal is not None:
        return refusal
    if len(cmd.member.encode()) > KV_MEMBER_BYTES_MAX:
        return Rejected("too_large", f"a member has at most {KV_MEMBER_BYTES_MAX} bytes")
    item = state.kv.get(cmd.key)
    if item is not None:
        if item.members is None:
            return Rejected("wrong_type", f"'{cmd.key}' is not a set")
        if cmd.member in item.members:
            return Applied(0)
        if len(item.members) >= KV_SET_MEMBERS_MAX:
            return Rejected("too_large", f"a set has at most {KV_SET_MEMBERS_MAX} members")
    turn = Turn(state, at)
    if item is None:
        item = state.kv[cmd.key] = KvItem()
    item.members = item.members or {}
    item.members[cmd.member] = None
    _touch(turn, cmd.key, item)
    return turn.done(1)


@handles(KvSetRemove)
def kv_set_remove(state: State, cmd: KvSetRemove, at: Stamp) -> Outcome:
    """Remove a member; the last one takes the key with it. Answers 1 if it was there, else 0."""
    item = state.kv.get(cmd.key)
    if item is None:
        return Applied(0)
    if item.members is None:
        return Rejected("wrong_type", f"'{cmd.key}' is not a set")
    if cmd.member not in item.members:
        return Applied(0)
    turn = Turn(state, at)
    del item.members[cmd.member]
    _touch(turn, cmd.key, item)
    if not item.members:
        del state.kv[cmd.key]
    return turn.done(1)


def _why_not_key(state: State, key: str) -> Rejected | None:
    if not key or len(key.encode()) > KV_KEY_BYTES_MAX:
        return Rejected("too_large", f"a key has 1 to {KV_KEY_BYTES_MAX} bytes")
    if key not in state.kv and len(state.kv) >= KV_KEYS_MAX:
        return Rejected("key_limit", f"the store already has {KV_KEYS_MAX} keys")
    return None


def _why_not_value(state: State, cmd: KvPut | KvCas) -> Rejected | None:
    if len(cmd.value) > KV_VALUE_BYTES_MAX:
        why = f"a value has at most {KV_VALUE_BYTES_MAX} bytes; keep larger data in a file"
        return Rejected("too_large", why)
    if not 0 <= cmd.ttl_ms <= DURATION_MS_MAX:
        return Rejected("invalid", f"ttl_ms is 0 to {DURATION_MS_MAX}")
    return _why_not_key(state, cmd.key)


def _write(turn: Turn, cmd: KvPut | KvCas) -> None:
    item = KvItem(value=cmd.value, binary=cmd.binary)
    turn.state.kv[cmd.key] = item
    _touch(turn, cmd.key, item)
    if cmd.ttl_ms:
        item.expires_ms = turn.at.now_ms + cmd.ttl_ms
        timers.set_timer(turn.state, timers.KV, cmd.key, due_ms=item.expires_ms)


def _touch(turn: Turn, key: str, item: KvItem) -> None:
    item.version = turn.at.index
    turn.events.append(KeyChanged(key))
