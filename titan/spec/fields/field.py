"""What a field is, and the kinds of values that several have: how they are read, and their schema."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final, NamedTuple

from titan.spec import inputs, unavailable, values

INT_MAX: Final = 2**31 - 1
SCALAR: Final[Mapping[str, Any]] = {"type": ["string", "number", "boolean"]}
SCALAR_OR_NULL: Final = ["string", "number", "boolean", "null"]
LIST_OR_ONE: Final[Mapping[str, Any]] = {"anyOf": [SCALAR, {"type": "array", "items": SCALAR}]}
TYPES: Final = [*inputs.TYPES, *(alias.lower() for alias in inputs.ALIASES)]
INPUT: Final[Mapping[str, Any]] = {
    "type": "object",
    "properties": {
        "type": {"enum": TYPES},
        "default": {"type": SCALAR_OR_NULL},
        "required": {"type": "boolean"},
        "choices": {"type": "array", "items": SCALAR},
        "help": {"type": "string"},
    },
    "additionalProperties": False,
}


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


def _options_open(field: str, options: tuple[str, ...]) -> tuple[str, ...]:
    closed = unavailable.VALUES.get(field, ())
    return tuple(option for option in options if option not in closed)


def whole(low: int, high: int) -> tuple[Callable[[Any], int], Mapping[str, Any]]:
    """Reader and schema of a whole number from `low` to `high`."""
    schema = {"type": "integer", "minimum": low, "maximum": high}
    return partial(values.whole, low=low, high=high), schema


def seconds(*, low_ms: int = 0) -> tuple[Callable[[Any], int], Mapping[str, Any]]:
    """Reader and schema of seconds; read as milliseconds."""
    return partial(values.seconds, low_ms=low_ms), {"type": "number", "minimum": low_ms / 1000}


def choice(
    field: str, options: tuple[str, ...], aliases: Mapping[str, str] | None = None
) -> tuple[Callable[[Any], str], Mapping[str, Any]]:
    """Reader and schema of one of several words; the schema leaves out what this version does not run."""
    open_options = _options_open(field, options)
    spelt = [alias for alias, meant in (aliases or {}).items() if meant in open_options]
    read = partial(values.choice, options=options, aliases=aliases)
    return read, {"enum": [*open_options, *spelt]}
