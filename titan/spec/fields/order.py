"""Which jobs come before a job, and whether it runs then."""

from __future__ import annotations

from typing import Final

from titan.spec import conditions, values
from titan.spec.fields.field import LIST_OR_ONE, Field, choice
from titan.spec.model import TRIGGERS

ORDER: Final[tuple[Field, ...]] = (
    Field(
        "depends_on",
        "depends_on",
        values.parents,
        LIST_OR_ONE,
        "Ids of the parents.",
        verbatim=True,
        aliases=("parents",),
        per_job=False,
    ),
    Field(
        "trigger",
        "trigger",
        *choice("trigger", TRIGGERS),
        "Which outcomes of the parents let it run.",
    ),
    Field(
        "when",
        "when",
        conditions.when,
        {"type": "string"},
        "A condition over outputs, states and params, asked once the trigger holds; false skips it.",
        verbatim=True,
        per_job=False,
    ),
    Field(
        "foreach",
        "",
        conditions.foreach,
        {"type": ["string", "array"]},
        "One instance per element: a list, or an expression that comes to one. The job joins them.",
        per_job=False,
    ),
)
