"""What a job is, and what it runs."""

from __future__ import annotations

from typing import Final

from titan.spec import values
from titan.spec.fields.field import LIST_OR_ONE, Field, choice
from titan.spec.model import JOB_TYPES, V1_JOB_TYPES

WORK: Final[tuple[Field, ...]] = (
    Field(
        "id",
        "id",
        values.job_id,
        {"type": ["string", "integer"], "pattern": "^[A-Za-z0-9._-]{1,128}$"},
        "Unique within the run.",
        verbatim=True,
        aliases=("job_id", "name"),
        per_job=False,
    ),
    Field(
        "type",
        "type",
        *choice("type", JOB_TYPES, V1_JOB_TYPES),
        "What kind of job it is.",
        aliases=("job_type",),
    ),
    Field(
        "file",
        "file",
        values.text_of,
        {"type": "string"},
        "Script or executable: .py by Python, .sh by bash, anything else executed.",
        verbatim=True,
        aliases=("filename", "script"),
        per_job=False,
    ),
    Field(
        "command",
        "",
        values.command,
        LIST_OR_ONE,
        "An argument list, or a line for bash, instead of a file.",
        verbatim=True,
    ),
    Field(
        "args",
        "args",
        values.words,
        LIST_OR_ONE,
        "A string, split as a shell splits words, or a list.",
        verbatim=True,
    ),
    Field(
        "env",
        "env",
        values.environment,
        {
            "type": "object",
            "additionalProperties": {"type": ["string", "number", "boolean", "null"]},
        },
        "Extra environment.",
        verbatim=True,
    ),
)
