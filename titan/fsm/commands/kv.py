"""Orders to the key-value store. Handlers: `kv.py`."""

from __future__ import annotations

from titan.fsm.commands.base import ClientCommand


class KvPut(ClientCommand, frozen=True, kw_only=True, tag="kv.put"):
    """Set a key. `ttl_ms` 0 keeps it for ever. Answers the version: the log index of the write."""

    key: str
    value: bytes  # text is UTF-8
    binary: bool = False  # reads give bytes back instead of text
    ttl_ms: int = 0


class KvDelete(ClientCommand, frozen=True, kw_only=True, tag="kv.delete"):
    """Remove a key. Answers whether it was there."""

    key: str


class KvCas(ClientCommand, frozen=True, kw_only=True, tag="kv.cas"):
    """Set a key only if it has `expected` now (None: is absent). Answers whether it was set."""

    key: str
    expected: bytes | None
    value: bytes
    binary: bool = False
    ttl_ms: int = 0


class KvIncr(ClientCommand, frozen=True, kw_only=True, tag="kv.incr"):
    """Add to a decimal counter kept as text; a missing key counts as 0. Answers the new value."""

    key: str
    by: int = 1


class KvSetAdd(ClientCommand, frozen=True, kw_only=True, tag="kv.sadd"):
    """Add a member to a set key. Answers 1 if it is new, else 0."""

    key: str
    member: str


class KvSetRemove(ClientCommand, frozen=True, kw_only=True, tag="kv.srem"):
    """Remove a member from a set key. Answers 1 if it was there, else 0."""

    key: str
    member: str
