"""What a gate asks people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from titan.spec import gates, values
from titan.spec.fields.field import INPUT, LIST_OR_ONE, TYPES, Field, seconds

_APPROVERS: Final[Mapping[str, Any]] = {
    "type": "object",
    "properties": {
        "count": {"type": "integer", "minimum": 1},
        "users": LIST_OR_ONE,
        "roles": LIST_OR_ONE,
    },
    "additionalProperties": False,
}

GATES: Final[tuple[Field, ...]] = (
    Field(
        "hitl_message",
        "hitl_message",
        values.line,
        {"type": "string"},
        "What people are asked: by a gate, or by the gate this puts after a job.",
        aliases=("message",),
    ),
    Field(
        "max_wait_seconds",
        "max_wait_ms",
        *seconds(low_ms=1),
        "Seconds until a gate that nobody decided fails.",
    ),
    Field(
        "approvers",
        "approvers",
        gates.approvers,
        {"anyOf": [{"type": "integer", "minimum": 1}, _APPROVERS]},
        "How many people have to approve at the gate, and who may.",
    ),
    Field(
        "form",
        "form",
        gates.form,
        {"type": "object", "additionalProperties": {"anyOf": [INPUT, {"enum": TYPES}]}},
        "What people fill in at the gate; the answers are its output.",
    ),
)
