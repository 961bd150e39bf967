"""What a pipeline declares beside its jobs' fields."""

from __future__ import annotations

from typing import Final

from titan.spec import budgets, labels, schedules, values
from titan.spec.fields.field import INPUT, SCALAR_OR_NULL, Field

ROOT_FIELDS: Final[tuple[Field, ...]] = (
    Field(
        "name",
        "name",
        values.name,
        {"type": "string"},
        "Name of the pipeline; the file's stem when it is missing.",
        verbatim=True,
        aliases=("dag", "dag_name", "pipeline"),
    ),
    Field(
        "version",
        "version",
        values.text_of,
        {"type": ["string", "number"]},
        "For people; not interpreted.",
        verbatim=True,
    ),
    Field(
        "project",
        "project",
        values.flag,
        {"type": "boolean"},
        "true: the folder of this file travels with the run; false: only the named files.",
    ),
    Field(
        "parameters",
        "parameters",
        dict,
        {
            "type": "object",
            "additionalProperties": {"anyOf": [{"type": SCALAR_OR_NULL}, INPUT]},
        },
        "Names with default values or declarations, handed to every job as TITAN_PARAM_<NAME>.",
    ),
    Field(
        "schedule",
        "schedule",
        schedules.schedule,
        schedules.SCHEMA,
        "When `titan deploy` lets it start by itself: a cron expression, or a mapping.",
    ),
    Field("budget", "budget", budgets.read, budgets.SCHEMA, "What a run and all below it may use."),
    Field(
        "labels",
        "labels",
        labels.read,
        labels.SCHEMA,
        "Texts by key for every run of it, to find runs by.",
        verbatim=True,
    ),
    Field("defaults", "defaults", dict, {}, "Values for every job that does not set its own."),
    Field("jobs", "jobs", list, {}, "The jobs, in any order.", aliases=("tasks",)),
)
