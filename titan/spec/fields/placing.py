"""Where a job runs, and before which others."""

from __future__ import annotations

from typing import Final

from titan.spec import values
from titan.spec.fields.field import INT_MAX, LIST_OR_ONE, Field, seconds, whole

PLACING: Final[tuple[Field, ...]] = (
    Field(
        "requirement",
        "requirement",
        values.tags,
        LIST_OR_ONE,
        "Capability tag of the worker; a list means all of them.",
        verbatim=True,
        aliases=("capability",),
    ),
    Field(
        "resources",
        "resources",
        values.resources,
        {"type": "object", "additionalProperties": {"type": "number", "minimum": 0}},
        "What it takes of its worker: slots, cpus, memory_mb, gpus, or custom counts.",
    ),
    Field("priority", "priority", *whole(-INT_MAX, INT_MAX), "Higher first."),
    Field("delay", "delay_ms", *seconds(), "Seconds to wait once it is unblocked."),
    Field(
        "affinity",
        "affinity",
        values.flag,
        {"type": "boolean"},
        "Run where a parent ran, when that worker is still there.",
    ),
)
