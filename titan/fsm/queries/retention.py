"""The question about how long what has ended is kept; `titan.fsm.records.retention` is the answer."""

from __future__ import annotations

from titan.fsm.queries.base import Query


class GetRetention(Query, frozen=True, kw_only=True, tag="retention"):
    """How long what has ended is kept → Retention."""
