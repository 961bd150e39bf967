"""Questions about the key-value store, and the shapes of their answers."""

from __future__ import annotations

from typing import Any

import msgspec

from titan.fsm.queries.base import Query


class KvGet(Query, frozen=True, kw_only=True, tag="kv.get"):
    """One key → KvView, or None when it is absent."""

    key: str


class KvList(Query, frozen=True, kw_only=True, tag="kv.list"):
    """Keys with a prefix, sorted → list[KvView] with values. `after` continues a page."""

    prefix: str = ""
    limit: int = 1000
    after: str = ""


class KvView(msgspec.Struct, frozen=True, kw_only=True):
    """A key: `value` is text or bytes, or None for a set, whose `members` are a list."""

    key: str
    value: Any
    members: list[str] | None
    version: int
    expires_ms: int
