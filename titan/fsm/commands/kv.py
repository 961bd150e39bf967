"""Orders to the key-value store. Handlers: `kv.py`."""

from __future__ import annotations

from titan.fsm.commands.base import ClientCommand


class KvWrite(ClientCommand, frozen=True, kw_only=True):
    """Base of the orders that change a key, with the lock that must be held for it, if any."""

    key: str
    lock: str = ""  # refused unless this lock …
    token: int = 0  # … is held with this fencing token

    def needs_version(self) -> int:
        """A master that does not know of locks would not refuse it."""
        return max(self.since, 2) if self.lock else self.since


class KvPut(KvWrite, frozen=True, kw_only=True, tag="kv.put"):
    """Set a key. `ttl_ms` 0 keeps it for ever. Answers the version: the log index of the write."""

    value: bytes  # text is UTF-8
    binary: bool = False  # reads give bytes back instead of text
    ttl_ms: int = 0


class KvDelete(KvWrite, frozen=True, kw_only=True, tag="kv.delete"):
    """Remove a key. Answers whether it was there."""


class KvCas(KvWrite, frozen=True, kw_only=True, tag="kv.cas"):
    """Set a key only if it has `expected` now (None: is absent). Answers whether it was set."""

    expected: bytes | None
    value: bytes
    binary: bool = False
    ttl_ms: int = 0


class KvIncr(KvWrite, frozen=True, kw_only=True, tag="kv.incr"):
    """Add to a decimal counter kept as text; a missing key counts as 0. Answers the new value."""

    by: int = 1


class KvSetAdd(KvWrite, frozen=True, kw_only=True, tag="kv.sadd"):
    """Add a member to a set key. Answers 1 if it is new, else 0."""

    member: str


class KvSetRemove(KvWrite, frozen=True, kw_only=True, tag="kv.srem"):
    """Remove a member from a set key. Answers 1 if it was there, else 0."""

    member: str
