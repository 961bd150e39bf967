"""Expressions inside of values: `with: {rows: "${{ outputs.measure.rows }}"}`.

A text that is one expression from end to end stands for what that comes to, with its type; one with text
around is text. The language is that of `when` (`expressions.py`). All other values are what they are. The
texts of `why_not` are the same on every master, whatever its Python.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Any, Final

from titan.spec.expressions import Expression, NotAnExpression, parse
from titan.spec.inputs import scalars
from titan.spec.model import Scalar
from titan.spec.operations import ExpressionError, bounded
from titan.spec.values import text_of

_BEGIN: Final = "${{"
_END: Final = "}}"


def is_template(value: object) -> bool:
    """Whether the value holds an expression."""
    return isinstance(value, str) and _BEGIN in value


@lru_cache(maxsize=1024)
def parts(text: str) -> tuple[str | Expression, ...]:
    """A template as texts and expressions. Raises `ExpressionError`."""
    first, *rest = text.split(_BEGIN)
    found: list[str | Expression] = [first]
    for each in rest:
        inside, end, after = each.partition(_END)
        if not end:
            raise ExpressionError(f"{_BEGIN} without {_END}")
        found += [parse(inside.strip()), after]
    return tuple([part for part in found if part != ""])


def expressions_in(parameters: Mapping[str, Scalar]) -> Iterator[tuple[str, Expression]]:
    """Every expression, with the name of the value that holds it. Raises `ExpressionError`."""
    for name, value in parameters.items():
        if isinstance(value, str) and is_template(value):
            yield from ((name, part) for part in parts(value) if isinstance(part, Expression))


def why_not(
    parameters: Mapping[str, Scalar], *, problem_of: Callable[[Expression], str]
) -> tuple[str, str]:
    """The name of the first value whose expressions cannot be, and why; "" twice when all can."""
    for name, value in parameters.items():
        try:
            for _, expression in expressions_in({name: value}):
                why = problem_of(expression)
                if not why and "item" in expression.names:
                    why = "there is no 'item' here"
                if why:
                    return name, why
        except NotAnExpression:
            return name, "is no expression"
        except ExpressionError as error:
            return name, str(error)
    return "", ""


def filled_in(
    parameters: Mapping[str, Scalar], value_of: Callable[[Expression], Any]
) -> dict[str, Any]:
    """The values with what their expressions come to. Raises `ExpressionError` that names the value and
    the expression."""
    return {
        name: _filled_in(name, value, value_of)
        if isinstance(value, str) and is_template(value)
        else value
        for name, value in parameters.items()
    }


def _filled_in(name: str, text: str, value_of: Callable[[Expression], Any]) -> Any:
    found: list[Any] = []
    for part in parts(text):
        if isinstance(part, str):
            found.append(part)
            continue
        try:
            value = value_of(part)
            found.append(value if len(parts(text)) == 1 else _text(value))
        except ExpressionError as why:
            raise ExpressionError(f"{name}: {_BEGIN} {part.text} {_END}: {why}") from None
    return found[0] if len(found) == 1 else bounded("".join(found))


def _text(value: object) -> str:
    try:
        return text_of(value)
    except ValueError:
        raise ExpressionError("a list, an object or nothing cannot be part of a text") from None


def declared(value: object) -> dict[str, Scalar]:
    """Values by name, for a field of a job. Raises `ValueError` that says where an expression is wrong."""
    from titan.spec.conditions import problem_of

    found = scalars(value)
    for name, one in found.items():
        try:
            for _, expression in expressions_in({name: one}):
                if problem := problem_of(expression):
                    raise ExpressionError(problem)
                if "item" in expression.names:
                    raise ExpressionError("there is no 'item' here")
        except ExpressionError as error:
            raise ValueError(f"{name}: {error}") from None
    return found
