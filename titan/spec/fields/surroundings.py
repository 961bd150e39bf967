"""What is around a job while it runs: fences, Python, files from other jobs."""

from __future__ import annotations

from typing import Final

from titan.spec import values
from titan.spec.fields.field import LIST_OR_ONE, Field, choice
from titan.spec.isolation import LIMITS
from titan.spec.model import ISOLATIONS

SURROUNDINGS: Final[tuple[Field, ...]] = (
    Field("isolation", "isolation", *choice("isolation", ISOLATIONS), "How it is fenced off."),
    Field(
        "image",
        "image",
        values.text_of,
        {"type": "string"},
        "Image of a container.",
        verbatim=True,
    ),
    Field(
        "network",
        "network",
        values.flag,
        {"type": "boolean"},
        "Whether a sandbox or container reaches the network; false unless it says so.",
    ),
    Field(
        "limits",
        "limits",
        values.limits,
        {
            "type": "object",
            "properties": {name: {"type": "integer", "minimum": 1} for name in LIMITS},
            "additionalProperties": False,
        },
        "open_files, output_mb, processes; cpus and memory_mb are resources.",
    ),
    Field(
        "python",
        "python",
        values.text_of,
        {"type": "string"},
        "Interpreter or virtual environment on the worker.",
        verbatim=True,
    ),
    Field(
        "requirements",
        "",
        values.requirements,
        LIST_OR_ONE,
        "Python packages: a list of lines, or the path of a requirements file in the bundle.",
        verbatim=True,
    ),
    Field(
        "artifacts",
        "",
        values.artifacts,
        {
            "type": "object",
            "properties": {"out": LIST_OR_ONE, "in": LIST_OR_ONE},
            "additionalProperties": False,
        },
        "Files between jobs: out are patterns of what it leaves, in are 'job:pattern' of what it needs.",
        verbatim=True,
    ),
)
