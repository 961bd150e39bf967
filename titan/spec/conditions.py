"""`when` and `foreach` as people declare them: what is refused before a job travels, whom it asks about.

Pure functions of plain values, used by the YAML loader, the SDK and the state machine alike. The texts of
`why_not` are the same on every master, whatever its Python.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from titan.limits import FOREACH_INSTANCES_MAX, JOB_SPEC_BYTES_MAX
from titan.spec import templates
from titan.spec.expressions import Expression, NotAnExpression, parse
from titan.spec.json_text import decode_json
from titan.spec.model import JobSpec
from titan.spec.operations import ExpressionError
from titan.spec.problems import did_you_mean
from titan.spec.values import kind_of

STATE_WORDS: Final = (
    "PENDING",
    "RUNNING",
    "WAITING",
    "COMPLETED",
    "FAILED",
    "CANCELLED",
    "SKIPPED",
)
ITEM: Final = "TITAN_ITEM"  # in the environment of an instance: its element, as JSON
ITEM_INDEX: Final = "TITAN_ITEM_INDEX"

# --- one field ------------------------------------------------------------------------------------


def when(value: object) -> str:
    """A condition. Raises `ValueError` that says what is not allowed, and where."""
    if not isinstance(value, str):
        raise ValueError(f"must be an expression such as 'outputs.a.n > 3', not {kind_of(value)}")
    _checked(value)
    return value.strip()


def foreach(value: object) -> dict[str, Any]:
    """`foreach` for an expression that comes to a list, `foreach_items` for a list as it stands."""
    if isinstance(value, str):
        if "item" in _checked(value).names:
            raise ValueError("there is no 'item' before the list is known")
        return {"foreach": value.strip()}
    if not isinstance(value, list | tuple):
        raise ValueError(
            f"must be a list, or an expression such as 'outputs.a.files', not {kind_of(value)}"
        )
    try:
        data = msgspec.json.encode(value)
        decode_json(data)
    except (TypeError, ValueError, msgspec.MsgspecError, RecursionError) as why:
        raise ValueError(f"has an element that is no JSON: {why}") from None
    if len(value) > FOREACH_INSTANCES_MAX:
        raise ValueError(f"has {len(value)} elements; at most {FOREACH_INSTANCES_MAX}")
    return {"foreach_items": data}


def _checked(text: str) -> Expression:
    expression = parse(text)
    problem = problem_of(expression)
    if problem:
        raise ExpressionError(problem)
    return expression


def problem_of(expression: Expression) -> str:
    """Why nobody can ask this of a run; "" when it can be asked."""
    if not expression.is_closed:
        return "outputs and states are asked for by the name of a job: outputs.NAME"
    for word in expression.state_words:
        if word == "DEAD":
            return "a job that is DEAD has the state 'FAILED' here: compare with that"
        if word not in STATE_WORDS:
            return f"there is no state {word!r}{did_you_mean(word, STATE_WORDS)}"
    return ""


# --- one job --------------------------------------------------------------------------------------


def is_foreach(spec: JobSpec) -> bool:
    """Whether the job is one instance per element, and itself where they join."""
    return bool(spec.foreach or spec.foreach_items)


def asks_each(spec: JobSpec) -> bool:
    """Whether the condition of a foreach job is about its elements, so that each instance asks it."""
    return is_foreach(spec) and bool(spec.when) and "item" in parse(spec.when).names


def asked_by(spec: JobSpec) -> tuple[str, ...]:
    """The jobs that the declaration asks about, which must be above it."""
    named = [name for text in (spec.when, spec.foreach) if text for name in parse(text).jobs]
    if spec.type == "pipeline":
        for _, expression in templates.expressions_in(spec.parameters):
            named += expression.jobs
    return tuple(dict.fromkeys(named))


def why_not(spec: JobSpec) -> str:
    """What is wrong with the expressions of this job, taken by itself; "" when nothing is."""
    for field, text in (("when", spec.when), ("foreach", spec.foreach)):
        if not text:
            continue
        try:
            expression = _checked(text)
        except NotAnExpression:
            return f"{field} is no expression"
        except ExpressionError as why:
            return f"{field}: {why}"
        if "item" in expression.names and (field == "foreach" or not _has_item(spec)):
            return f"{field}: there is an 'item' in the `when` of a foreach job only"
    if spec.type == "pipeline" and spec.parameters:
        name, problem = templates.why_not(spec.parameters, problem_of=problem_of)
        if problem:
            return f"with: {name[:100]}: {problem}"
    if not is_foreach(spec):
        return ""
    if spec.type != "run":
        return f"foreach belongs to a job of type run, not {spec.type}"
    if spec.foreach and spec.foreach_items:
        return "foreach is an expression or a list, not both"
    return _why_not_items(spec.foreach_items) if spec.foreach_items else ""


def _has_item(spec: JobSpec) -> bool:
    return is_foreach(spec) or bool(spec.instance_of and ITEM in spec.env)


def _why_not_items(data: bytes) -> str:
    if len(data) > JOB_SPEC_BYTES_MAX:
        return "foreach: the list is too long for a declaration"
    try:
        items = decode_json(data)
    except ValueError as why:
        return f"foreach: {why}"
    if not isinstance(items, list):
        return "foreach: is no list"
    if len(items) > FOREACH_INSTANCES_MAX:
        return f"foreach: {len(items)} elements; at most {FOREACH_INSTANCES_MAX}"
    return ""


def why_not_parameters(expression: Expression, parameters: Mapping[str, object]) -> str:
    """Why the expression cannot be about a run with just these parameters; "" when it can."""
    for name in expression.parameters:
        if name not in parameters:
            hint = did_you_mean(name, parameters)
            return f"there is no parameter {name!r}{hint}"
    return ""
