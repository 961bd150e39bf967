"""What every question to the state has in common. The questions: `queries.py` and its like."""

from __future__ import annotations

import msgspec


class Query(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="?"):
    """Base of every question."""
