"""What a declaration says about when a pipeline starts by itself. See `cron.py` for the calendar."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from titan.spec import values
from titan.spec.cron import Calendar
from titan.spec.model import CATCHUPS, OVERLAPS, ScheduleSpec
from titan.spec.problems import did_you_mean

_READ: Final[Mapping[str, tuple[str, Callable[[Any], Any]]]] = {  # key → attribute, reader
    "cron": ("cron", values.text_of),
    "timezone": ("timezone", values.text_of),
    "catchup": ("catchup", lambda value: values.choice(value, options=CATCHUPS)),
    "overlap": ("overlap", lambda value: values.choice(value, options=OVERLAPS)),
    "jitter": ("jitter_ms", lambda value: values.seconds(value, low_ms=0)),
    "paused": ("paused", values.flag),
}
SCHEMA: Final[Mapping[str, Any]] = {
    "anyOf": [
        {"type": "string"},
        {
            "type": "object",
            "required": ["cron"],
            "additionalProperties": False,
            "properties": {
                "cron": {
                    "type": "string",
                    "description": "Five fields, six with seconds in front.",
                },
                "timezone": {"type": "string", "default": "UTC"},
                "catchup": {"enum": list(CATCHUPS), "default": "none"},
                "overlap": {"enum": list(OVERLAPS), "default": "allow"},
                "jitter": {"type": "number", "minimum": 0, "default": 0},
                "paused": {"type": "boolean", "default": False},
            },
        },
    ]
}


def schedule(value: object) -> ScheduleSpec | None:
    """A cron expression, or a mapping with one. Raises `ValueError` with everything that is wrong."""
    if value is None:
        return None
    given = {"cron": value} if isinstance(value, str) else value
    if not isinstance(given, Mapping):
        raise ValueError(f"must be a cron expression or a mapping, not {values.kind_of(value)}")
    attrs: dict[str, Any] = {}
    wrong: list[str] = []
    for key, one in given.items():
        if key not in _READ:
            wrong.append(f"unknown key {str(key)!r}{did_you_mean(str(key), _READ)}")
            continue
        attr, read = _READ[key]
        try:
            attrs[attr] = read(one)
        except ValueError as error:
            wrong.append(f"{key}: {error}")
    if "cron" not in given:
        wrong.append("needs a key cron")
    if not wrong:
        wrong += _wrong_times(attrs)
    if wrong:
        raise ValueError("; ".join(wrong))
    return ScheduleSpec(**attrs)


def _wrong_times(attrs: Mapping[str, Any]) -> list[str]:
    try:
        Calendar(attrs["cron"], timezone=attrs.get("timezone", "UTC"))
    except ValueError as error:
        return [str(error)]
    return []
