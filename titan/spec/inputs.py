"""What a person or a caller fills in: the fields of a gate's form, and a pipeline's parameters.

One struct and one set of rules for both: a type, a default, choices, whether it may be left out. Pure
functions of plain values, used by loaders and inside the state machine alike, so that an answer is
judged the same everywhere. They raise nothing: what is wrong is a list of sentences. Those of `fill` are
equal on every master, so nothing is guessed there.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from titan.limits import INPUTS_MAX, NAME_CHARS_MAX
from titan.spec.model import Input, Scalar
from titan.spec.problems import did_you_mean
from titan.spec.values import kind_of, text_of

TYPES: Final = ("string", "int", "float", "bool", "any")
ALIASES: Final[Mapping[str, str]] = {
    "STR": "string",
    "TEXT": "string",
    "INTEGER": "int",
    "NUMBER": "float",
    "BOOLEAN": "bool",
}
_KEYS: Final = ("type", "default", "required", "choices", "help")
_INT_MAX: Final = 2**63 - 1  # what every reader of msgpack and JSON keeps whole
_TRUTH: Final = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


def declared(given: object, *, plain: bool) -> tuple[dict[str, Input], list[str]]:
    """What a mapping of names declares, and everything that is wrong with it.

    With `plain`, a name may have a mere value: its default, whose type is the type.
    """
    if not isinstance(given, Mapping):
        return {}, [f"must be a mapping of names, not {kind_of(given)}"]
    if len(given) > INPUTS_MAX:
        return {}, [f"has {len(given)} names; at most {INPUTS_MAX}"]
    found: dict[str, Input] = {}
    wrong: list[str] = []
    for key, value in given.items():
        name = str(key)
        one, problems = _declared_one(value, plain=plain)
        wrong += [f"{name}: {problem}" for problem in problems]
        if not name or len(name) > NAME_CHARS_MAX or "=" in name or "\0" in name:
            wrong.append(
                f"{name[:NAME_CHARS_MAX]!r} is no name: 1 to {NAME_CHARS_MAX}, without '='"
            )
        if one is not None:
            found[name] = one
    return found, wrong


def _declared_one(value: object, *, plain: bool) -> tuple[Input | None, list[str]]:
    if isinstance(value, Input):
        return value, []
    if isinstance(value, Mapping):
        return _from_mapping(value)
    if not plain and value is None:
        return Input(), []  # `name:` alone is a line of text
    if not plain and isinstance(value, str):
        return _from_mapping({"type": value})
    if not plain:
        return None, [f"must be a mapping with {', '.join(_KEYS)}, not {kind_of(value)}"]
    problem = _not_scalar(value)
    if problem:
        return None, [problem]
    assert value is None or isinstance(value, str | int | float)
    return Input(type=_type_of(value), default=value), []


def _from_mapping(given: Mapping[Any, Any]) -> tuple[Input | None, list[str]]:
    wrong = [
        f"unknown key {key!r}{did_you_mean(str(key), _KEYS)}" for key in given if key not in _KEYS
    ]
    kind = given.get("type")
    kind = ALIASES.get(str(kind).upper(), kind)
    choices = given.get("choices") or ()
    if not isinstance(choices, list | tuple):
        wrong.append(f"choices must be a list, not {kind_of(choices)}")
        choices = ()
    if kind is None:
        kind = _type_of(
            next((one for one in (given.get("default"), *choices) if one is not None), "")
        )
    if kind not in TYPES:
        wrong.append(f"type {kind!r} is not one of {', '.join(TYPES)}")
        return None, wrong
    required = given.get("required", False)
    if not isinstance(required, bool):
        wrong.append("required must be true or false")
        required = False
    bare = Input(type=str(kind))
    allowed = []
    for choice in choices:
        read, problem = read_value(bare, choice)
        if problem or read is None:
            wrong.append(f"choices: {problem or 'nothing is no choice'}")
        else:
            allowed.append(read)
    one = Input(
        type=str(kind),
        required=required,
        choices=tuple(dict.fromkeys(allowed)),
        help=str(given.get("help") or ""),
    )
    default = given.get("default")
    if default is not None:
        read, problem = read_value(one, default)
        if problem:
            wrong.append(f"default: {problem}")
        one = msgspec.structs.replace(one, default=read)
    return one, wrong


def why_not_input(one: Input) -> str:
    """Why the state machine cannot take this declaration; "" when it can."""
    if one.type not in TYPES:
        return f"there is no type '{one.type[:100]}'"
    for value in (*one.choices, one.default):
        read, problem = read_value(msgspec.structs.replace(one, choices=()), value)
        if problem or read != value or type(read) is not type(value):
            return problem or f"{value!r} is not of type {one.type}"
    if one.choices and one.default is not None and one.default not in one.choices:
        return "the default is none of the choices"
    return ""


def fill(
    wanted: Mapping[str, Input],
    given: Mapping[str, Scalar],
    *,
    complete: bool = True,
    also: bool = False,
) -> tuple[dict[str, Scalar], list[str]]:
    """The values, in the order of declaration, and everything that is wrong with what was given.

    With `complete`, defaults are filled in and what is required must be there; without it, only what was
    given is looked at. With `also`, names that nobody declared pass as they are.
    """
    wrong: list[str] = []
    filled: dict[str, Scalar] = {}
    for name, value in given.items():
        if name in wanted:
            continue
        problem = _not_scalar(value)
        if not also:
            known = ", ".join(wanted) or "none"
            wrong.append(f"{name[:NAME_CHARS_MAX]!r} is unknown; there is: {known}")
        elif problem:
            wrong.append(f"{name}: {problem}")
    for name, one in wanted.items():
        value = given.get(name)
        if value is None:
            if complete and one.required and one.default is None:
                wrong.append(f"{name} is required{_listed(one)}")
            elif complete:
                filled[name] = one.default
            continue
        read, problem = read_value(one, value)
        if problem:
            wrong.append(f"{name} {problem}")
        else:
            filled[name] = read
    if also:
        filled.update((name, value) for name, value in given.items() if name not in wanted)
    return filled, wrong


def read_value(one: Input, value: object) -> tuple[Scalar, str]:
    """The value as the input's type has it, and what is wrong with it ("" when nothing is).

    Text that means a number or a truth value counts as one, so that forms and command lines can send it.
    """
    problem = _not_scalar(value)
    if problem or value is None:
        return None, problem
    assert isinstance(value, str | int | float)
    try:
        read = _READ[one.type](value)
    except (ValueError, OverflowError):
        return None, f"must be {_WORDS[one.type]}, not {_shown(value)}"
    problem = _not_scalar(read)
    if not problem and one.choices and read not in one.choices:
        problem = f"must be one of {', '.join(map(text_of, one.choices))}, not {_shown(value)}"
    return read, problem


def _shown(value: str | float) -> str:
    text = text_of(value)
    return repr(text if len(text) <= NAME_CHARS_MAX else text[:NAME_CHARS_MAX] + "…")


def _listed(one: Input) -> str:
    return f": one of {', '.join(map(text_of, one.choices))}" if one.choices else ""


def _not_scalar(value: object) -> str:
    if value is not None and not isinstance(value, str | int | float):
        return f"must be text, a number, true, false or null, not {kind_of(value)}"
    if isinstance(value, int) and not -_INT_MAX - 1 <= value <= _INT_MAX:
        return "must fit into 64 bits"
    if isinstance(value, float) and not math.isfinite(value):
        return "must be a finite number"
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            return "must be text that UTF-8 can hold"
    return ""


def _type_of(value: object) -> str:
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int):
        return "int"
    if isinstance(value, float):
        return "float"
    return "any" if value is None else "string"


def _bool(value: str | float) -> bool:
    found = _TRUTH.get(text_of(value).strip().lower())
    if found is None:
        raise ValueError(value)
    return found


def _int(value: str | float) -> int:
    if isinstance(value, bool) or (isinstance(value, float) and not value.is_integer()):
        raise ValueError(value)
    if isinstance(value, str) and len(value) > 32:  # int() of a long text is slow
        raise ValueError(value)
    return int(value)


def _float(value: str | float) -> float:
    if isinstance(value, bool):
        raise ValueError(value)
    return float(value)


_READ: Final[Mapping[str, Any]] = {
    "string": text_of,
    "int": _int,
    "float": _float,
    "bool": _bool,
    "any": lambda value: value,
}
_WORDS: Final[Mapping[str, str]] = {
    "string": "text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "any": "a value",
}


def scalars(value: object) -> dict[str, Scalar]:
    """Values by name, for a field of a job. Raises `ValueError` for anything deeper."""
    if not isinstance(value, Mapping):
        raise ValueError(f"must be a mapping of names to values, not {kind_of(value)}")
    filled, wrong = fill({}, {str(name): one for name, one in value.items()}, also=True)
    if wrong:
        raise ValueError("; ".join(wrong))
    return filled
