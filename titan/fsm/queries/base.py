"""What every question to the state has in common. The questions: one file per noun beside this one."""

from __future__ import annotations

import msgspec


class Query(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="?"):
    """Base of every question."""
