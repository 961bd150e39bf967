"""Labels of runs: short texts by key, for people to find runs by.

What they may be, and the filters `key=value` and `key`. Where they are written: `fields/root.py`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from titan.limits import LABEL_KEY_CHARS_MAX, LABEL_VALUE_CHARS_MAX, LABELS_PER_RUN_MAX
from titan.spec.values import kind_of

_KEY_TEXT: Final = rf"[A-Za-z0-9._/-]{{1,{LABEL_KEY_CHARS_MAX}}}"
_KEY: Final = re.compile(_KEY_TEXT)
_NOT_IN_A_LINE: Final = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")
_TOO_MANY: Final = f"at most {LABELS_PER_RUN_MAX} labels"
_SHOWN: Final = 100  # characters of a wrong key

SCHEMA: Final[Mapping[str, Any]] = {
    "type": "object",
    "propertyNames": {"pattern": f"^{_KEY_TEXT}$"},
    "additionalProperties": {
        "type": ["string", "number", "boolean"],
        "maxLength": LABEL_VALUE_CHARS_MAX,
    },
    "maxProperties": LABELS_PER_RUN_MAX,
}


def why_not_key(key: str) -> str:
    """What is wrong with a key; "" when nothing is."""
    if _KEY.fullmatch(key):
        return ""
    return (
        f"{key[:_SHOWN]!r} is no key of a label: 1 to {LABEL_KEY_CHARS_MAX} of A-Z a-z 0-9 . _ / -"
    )


def why_not_value(value: object) -> str:
    """What is wrong with a value; "" when nothing is."""
    if not isinstance(value, str):
        return f"must be text, not {kind_of(value)}"
    if len(value) > LABEL_VALUE_CHARS_MAX:
        return f"has at most {LABEL_VALUE_CHARS_MAX} characters, not {len(value)}"
    return "is one line of text" if _NOT_IN_A_LINE.search(value) else ""


def why_too_many(count: int) -> str:
    """Why a run cannot have so many; "" when it can."""
    return f"{_TOO_MANY}, not {count}" if count > LABELS_PER_RUN_MAX else ""


def problem_of(labels: Mapping[str, str]) -> str:
    """What is wrong with a run's labels; "" when nothing is."""
    for key, value in labels.items():
        problem = why_not_key(key)
        if problem:
            return problem
        problem = why_not_value(value)
        if problem:
            return f"{key} {problem}"
    return why_too_many(len(labels))


def read(value: object) -> dict[str, str]:
    """Labels as code or a file gives them. Raises `ValueError`."""
    if not isinstance(value, Mapping):
        raise ValueError(f"must be a mapping of keys to text, not {kind_of(value)}")
    labels = {str(key): text for key, text in value.items()}
    problem = problem_of(labels)
    if problem:
        raise ValueError(problem)
    return labels


def read_pairs(pairs: Iterable[str]) -> dict[str, str]:
    """Labels as `key=value` each. Raises `ValueError`."""
    labels: dict[str, str] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals:
            raise ValueError(f"{pair[:_SHOWN]!r} is not KEY=VALUE")
        labels[key] = value
    return read(labels)


# --- filters --------------------------------------------------------------------------------------

Wanted = tuple[tuple[str, str | None], ...]  # keys, each with the value it must have, or any


def read_filters(filters: Iterable[str]) -> Wanted:
    """What `key=value` and `key` ask for, all of it together. Raises `ValueError`."""
    wanted: dict[tuple[str, str | None], None] = {}
    for text in filters:
        key, equals, value = text.partition("=")
        problem = why_not_key(key)
        if problem:
            raise ValueError(problem)
        wanted[key, value if equals else None] = None
    if len(wanted) > LABELS_PER_RUN_MAX:
        raise ValueError(f"{_TOO_MANY} to filter by, not {len(wanted)}")
    return tuple(wanted)


def has_labels(labels: Mapping[str, str], wanted: Wanted) -> bool:
    """Whether a run with these labels is one of those."""
    return all(
        key in labels if value is None else labels.get(key) == value for key, value in wanted
    )
