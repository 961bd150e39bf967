"""What a job of type pipeline runs."""

from __future__ import annotations

from typing import Final

from titan.spec import templates, values
from titan.spec.fields.field import INT_MAX, SCALAR_OR_NULL, Field, whole

SUBRUNS: Final[tuple[Field, ...]] = (
    Field(
        "pipeline",
        "pipeline",
        values.name,
        {"type": "string"},
        "The saved pipeline that a job of type pipeline runs.",
        verbatim=True,
        per_job=False,
    ),
    Field(
        "version",
        "pipeline_version",
        *whole(0, INT_MAX),
        "Version of the saved pipeline; 0 is the latest when the job starts.",
        per_job=False,
    ),
    Field(
        "with",
        "parameters",
        templates.declared,
        {"type": "object", "additionalProperties": {"type": SCALAR_OR_NULL}},
        "Parameters for the saved pipeline; `${{ … }}` is an expression over outputs and parameters.",
        aliases=("parameters",),
        per_job=False,
    ),
)
