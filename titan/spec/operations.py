"""What the operators and functions of an expression do to values; the language is in `expressions.py`.

Total: every operation answers, or raises an `ExpressionError` in our own words. Sizes are bounded, and
`True` is not 1.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping
from typing import Any, Final

from titan.limits import OUTPUT_BYTES_MAX

INTS: Final = range(-(2**63), 2**63)


class ExpressionError(ValueError):
    """The expression cannot be read, or has no value for this data. The text is ours and stable."""


def bounded(value: Any) -> Any:
    """The value, which must not be too large."""
    if isinstance(value, int) and value not in INTS:
        raise ExpressionError("a number leaves 64 bits")
    if isinstance(value, str) and len(value) > OUTPUT_BYTES_MAX:
        raise ExpressionError(f"a text is longer than {OUTPUT_BYTES_MAX}")
    return value


def _kind(value: Any) -> str:
    if value is None:
        return "null"
    names = {bool: "true or false", str: "a text", dict: "an object", list: "a list"}
    return names.get(type(value), "a number")


def number(value: Any) -> Any:
    """The value, which must be a number."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ExpressionError(f"a number is needed, not {_kind(value)}")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ExpressionError(f"a text is needed, not {_kind(value)}")
    return value


def _length(value: Any) -> int:
    if not isinstance(value, str | list | dict):
        raise ExpressionError(f"{_kind(value)} has no length")
    return len(value)


def key_of(owner: Any, key: Any) -> Any:
    """An element of data by name or place."""
    if isinstance(owner, dict) and isinstance(key, str):
        if key not in owner:
            raise ExpressionError(f"there is no {key!r} in {_shown(owner)}")
        return owner[key]
    if isinstance(owner, list) and isinstance(key, int) and not isinstance(key, bool):
        if not -len(owner) <= key < len(owner):
            raise ExpressionError(f"there is no element {key} in a list of {len(owner)}")
        return owner[key]
    raise ExpressionError(f"{_kind(owner)} has no {key!r}")


def _shown(owner: dict[str, Any]) -> str:
    names = ", ".join(sorted(map(str, owner))[:5])
    return f"({names})" if names else "an empty object"


def _get(data: Any, key: Any, default: Any = None) -> Any:
    try:
        return key_of(data, key)
    except ExpressionError:
        return default


def _equal(left: Any, right: Any) -> bool:
    if isinstance(left, bool) is not isinstance(right, bool):
        return False  # true is not 1
    return bool(left == right)


def _ordered(compare: Callable[[Any, Any], bool], left: Any, right: Any) -> bool:
    if isinstance(left, str) and isinstance(right, str):
        return compare(left, right)
    return compare(number(left), number(right))


def _contains(owner: Any, item: Any) -> bool:
    if isinstance(owner, str):
        return _text(item) in owner
    if isinstance(owner, dict):
        return isinstance(item, str) and item in owner
    if isinstance(owner, list):
        return any(_equal(each, item) for each in owner)
    raise ExpressionError(f"nothing is in {_kind(owner)}")


def _add(left: Any, right: Any) -> Any:
    if isinstance(left, str) and isinstance(right, str):
        return left + right
    return number(left) + number(right)


def _divide(divide: Callable[[Any, Any], Any], left: Any, right: Any) -> Any:
    if number(right) == 0:
        raise ExpressionError("division by zero")
    try:
        return divide(number(left), right)
    except OverflowError:
        raise ExpressionError("a number leaves the range of floats") from None


def _extreme(choose: Callable[..., Any], values: tuple[Any, ...]) -> Any:
    items = values[0] if len(values) == 1 else list(values)
    if not isinstance(items, list) or not items:
        raise ExpressionError("min and max need some values")
    if all(isinstance(item, str) for item in items):
        return choose(items)
    return choose([number(item) for item in items])


def _round(value: Any, digits: Any = 0) -> Any:
    if not isinstance(digits, int) or not -15 <= digits <= 15:
        raise ExpressionError("round takes -15 to 15 digits")
    if isinstance(number(value), float) and not abs(value) < 2**62:
        raise ExpressionError("a number leaves 64 bits")
    return round(value, digits) if digits else round(value)


def _to_int(value: Any) -> int:
    try:
        return int(value) if isinstance(value, str | bool) else int(number(value))
    except (ValueError, OverflowError):
        raise ExpressionError(f"{_kind(value)} that is not a whole number") from None


def _to_float(value: Any) -> float:
    try:
        return float(value) if isinstance(value, str | bool) else float(number(value))
    except (ValueError, OverflowError):
        raise ExpressionError(f"{_kind(value)} that is not a number") from None


def _to_text(value: Any) -> str:
    if isinstance(value, dict | list):
        raise ExpressionError(f"{_kind(value)} is not turned into text")
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return str(value)


FUNCTIONS: Final[Mapping[str, tuple[range, Callable[..., Any]]]] = {  # with how many values
    "len": (range(1, 2), _length),
    "abs": (range(1, 2), lambda value: abs(number(value))),
    "min": (range(1, 9), lambda *values: _extreme(min, values)),
    "max": (range(1, 9), lambda *values: _extreme(max, values)),
    "round": (range(1, 3), _round),
    "int": (range(1, 2), _to_int),
    "float": (range(1, 2), _to_float),
    "str": (range(1, 2), _to_text),
    "lower": (range(1, 2), lambda value: _text(value).lower()),
    "upper": (range(1, 2), lambda value: _text(value).upper()),
    "startswith": (range(2, 3), lambda value, start: _text(value).startswith(_text(start))),
    "endswith": (range(2, 3), lambda value, end: _text(value).endswith(_text(end))),
    "get": (range(2, 4), _get),
}
COMPARISONS: Final[Mapping[type[ast.cmpop], Callable[[Any, Any], bool]]] = {
    ast.Eq: _equal,
    ast.NotEq: lambda left, right: not _equal(left, right),
    ast.Lt: lambda left, right: _ordered(operator.lt, left, right),
    ast.LtE: lambda left, right: _ordered(operator.le, left, right),
    ast.Gt: lambda left, right: _ordered(operator.gt, left, right),
    ast.GtE: lambda left, right: _ordered(operator.ge, left, right),
    ast.In: lambda left, right: _contains(right, left),
    ast.NotIn: lambda left, right: not _contains(right, left),
    ast.Is: operator.is_,
    ast.IsNot: operator.is_not,
}
ARITHMETIC: Final[Mapping[type[ast.operator], Callable[[Any, Any], Any]]] = {
    ast.Add: _add,
    ast.Sub: lambda left, right: number(left) - number(right),
    ast.Mult: lambda left, right: number(left) * number(right),
    ast.Div: lambda left, right: _divide(operator.truediv, left, right),
    ast.FloorDiv: lambda left, right: _divide(operator.floordiv, left, right),
    ast.Mod: lambda left, right: _divide(operator.mod, left, right),
}
