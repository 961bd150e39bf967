"""The one table of what a pipeline and its jobs may declare.

The YAML loader, the editors' JSON Schema and the SDK's job all read it; a field exists in all of them
or in none. Values are turned into the model's by the functions of `values.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final, NamedTuple

from titan.limits import DURATION_MS_MAX, RETRIES_MAX
from titan.spec import (
    budgets,
    conditions,
    gates,
    inputs,
    schedules,
    service_values,
    unavailable,
    values,
)
from titan.spec.isolation import LIMITS
from titan.spec.model import ISOLATIONS, JOB_TYPES, TRIGGERS, V1_JOB_TYPES

_INT_MAX = 2**31 - 1
_SCALAR: Final[Mapping[str, Any]] = {"type": ["string", "number", "boolean"]}
_STRINGS: Final[Mapping[str, Any]] = {"type": "array", "items": _SCALAR}


class Field(NamedTuple):
    """One field. `read` turns what was written into the value of `attr`, or raises `ValueError`.

    With an empty `attr`, `read` answers several attributes as a mapping. `verbatim` fields see scalars
    as they are spelt (`1.10`, `yes`), not as YAML understands them.
    """

    name: str
    attr: str
    read: Callable[[Any], Any]
    schema: Mapping[str, Any]
    about: str
    verbatim: bool = False
    aliases: tuple[str, ...] = ()  # names that v1 and the SDK use
    per_job: bool = True  # False: `defaults` cannot set it


def _options(field: str, options: tuple[str, ...]) -> tuple[str, ...]:
    closed = unavailable.VALUES.get(field, ())
    return tuple(option for option in options if option not in closed)


def _whole(low: int, high: int) -> tuple[Callable[[Any], int], Mapping[str, Any]]:
    schema = {"type": "integer", "minimum": low, "maximum": high}
    return partial(values.whole, low=low, high=high), schema


def _seconds(*, low_ms: int = 0) -> tuple[Callable[[Any], int], Mapping[str, Any]]:
    return partial(values.seconds, low_ms=low_ms), {"type": "number", "minimum": low_ms / 1000}


def _choice(
    field: str, options: tuple[str, ...], aliases: Mapping[str, str] | None = None
) -> tuple[Callable[[Any], str], Mapping[str, Any]]:
    open_options = _options(field, options)
    spelt = [alias for alias, meant in (aliases or {}).items() if meant in open_options]
    read = partial(values.choice, options=options, aliases=aliases)
    return read, {"enum": [*open_options, *spelt]}


_LIST_OR_ONE: Final[Mapping[str, Any]] = {"anyOf": [_SCALAR, _STRINGS]}
_SCALAR_OR_NULL: Final = ["string", "number", "boolean", "null"]
_TYPES: Final = [*inputs.TYPES, *(alias.lower() for alias in inputs.ALIASES)]
_INPUT: Final[Mapping[str, Any]] = {
    "type": "object",
    "properties": {
        "type": {"enum": _TYPES},
        "default": {"type": _SCALAR_OR_NULL},
        "required": {"type": "boolean"},
        "choices": {"type": "array", "items": _SCALAR},
        "help": {"type": "string"},
    },
    "additionalProperties": False,
}
_APPROVERS: Final[Mapping[str, Any]] = {
    "type": "object",
    "properties": {
        "count": {"type": "integer", "minimum": 1},
        "users": _LIST_OR_ONE,
        "roles": _LIST_OR_ONE,
    },
    "additionalProperties": False,
}

JOB_FIELDS: Final[tuple[Field, ...]] = (
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
        *_choice("type", JOB_TYPES, V1_JOB_TYPES),
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
        _LIST_OR_ONE,
        "An argument list, or a line for bash, instead of a file.",
        verbatim=True,
    ),
    Field(
        "args",
        "args",
        values.words,
        _LIST_OR_ONE,
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
    Field(
        "depends_on",
        "depends_on",
        values.parents,
        _LIST_OR_ONE,
        "Ids of the parents.",
        verbatim=True,
        aliases=("parents",),
        per_job=False,
    ),
    Field(
        "trigger",
        "trigger",
        *_choice("trigger", TRIGGERS),
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
    Field(
        "requirement",
        "requirement",
        values.tags,
        _LIST_OR_ONE,
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
    Field("priority", "priority", *_whole(-_INT_MAX, _INT_MAX), "Higher first."),
    Field("delay", "delay_ms", *_seconds(), "Seconds to wait once it is unblocked."),
    Field(
        "affinity",
        "affinity",
        values.flag,
        {"type": "boolean"},
        "Run where a parent ran, when that worker is still there.",
    ),
    Field("retries", "retries", *_whole(0, RETRIES_MAX), "Further attempts after the first."),
    Field(
        "retry_backoff_ms",
        "retry_backoff_ms",
        *_whole(0, DURATION_MS_MAX),
        "Milliseconds before the first retry; doubles.",
    ),
    Field(
        "retry_backoff_cap_ms",
        "retry_backoff_cap_ms",
        *_whole(0, DURATION_MS_MAX),
        "The longest wait before a retry, in milliseconds.",
    ),
    Field(
        "no_retry_exit_codes",
        "no_retry_exit_codes",
        values.exit_codes,
        {"type": "array", "items": {"type": "integer", "minimum": 0, "maximum": 255}},
        "Exit codes that end the job at once.",
    ),
    Field(
        "timeout", "timeout_ms", *_seconds(low_ms=1), "Seconds until the process group is killed."
    ),
    Field(
        "queue_timeout",
        "queue_timeout_ms",
        *_seconds(),
        "Seconds until a job that found no worker fails; 0 waits for ever.",
    ),
    Field("isolation", "isolation", *_choice("isolation", ISOLATIONS), "How it is fenced off."),
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
        _LIST_OR_ONE,
        "Python packages: a list of lines, or the path of a requirements file in the bundle.",
        verbatim=True,
    ),
    Field(
        "artifacts",
        "",
        values.artifacts,
        {
            "type": "object",
            "properties": {"out": _LIST_OR_ONE, "in": _LIST_OR_ONE},
            "additionalProperties": False,
        },
        "Files between jobs: out are patterns of what it leaves, in are 'job:pattern' of what it needs.",
        verbatim=True,
    ),
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
        *_seconds(low_ms=1),
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
        {"type": "object", "additionalProperties": {"anyOf": [_INPUT, {"enum": _TYPES}]}},
        "What people fill in at the gate; the answers are its output.",
    ),
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
        *_whole(0, _INT_MAX),
        "Version of the saved pipeline; 0 is the latest when the job starts.",
        per_job=False,
    ),
    Field(
        "with",
        "parameters",
        inputs.scalars,
        {"type": "object", "additionalProperties": {"type": _SCALAR_OR_NULL}},
        "Parameters for the saved pipeline.",
        aliases=("parameters",),
        per_job=False,
    ),
    Field(
        "port",
        "port",
        service_values.port,
        service_values.PORT_SCHEMA,
        "Services: where it listens, as $TITAN_PORT; 0 means that Titan picks one.",
        per_job=False,
    ),
    Field(
        "health",
        "health",
        service_values.health,
        service_values.HEALTH_SCHEMA,
        "Services: tcp, http: /path or command; interval, timeout, start_period, thresholds.",
        per_job=False,
    ),
    Field(
        "restart",
        "restart",
        service_values.restart,
        service_values.RESTART_SCHEMA,
        "Services: limit, backoff, backoff_cap, unhealthy, in seconds.",
        per_job=False,
    ),
)

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
            "additionalProperties": {"anyOf": [{"type": _SCALAR_OR_NULL}, _INPUT]},
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
    Field("defaults", "defaults", dict, {}, "Values for every job that does not set its own."),
    Field("jobs", "jobs", list, {}, "The jobs, in any order.", aliases=("tasks",)),
)


def by_name(fields: tuple[Field, ...]) -> dict[str, Field]:
    """Every accepted spelling → its field."""
    table = {alias: field for field in fields for alias in field.aliases}
    table.update({field.name: field for field in fields})
    return table


JOB_FIELD: Final[Mapping[str, Field]] = by_name(JOB_FIELDS)
ROOT_FIELD: Final[Mapping[str, Field]] = by_name(ROOT_FIELDS)
DEFAULT_FIELD: Final[Mapping[str, Field]] = by_name(
    tuple(field for field in JOB_FIELDS if field.per_job)
)
