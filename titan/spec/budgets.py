"""What a tree of runs may use, as it is declared: in a pipeline's file, by the SDK, over HTTP.

Seconds are written, milliseconds are kept. A limit that is not named does not exist.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from titan.limits import (
    BUDGET_AMOUNT_MAX,
    BUDGET_UNITS_MAX,
    DURATION_MS_MAX,
    NAME_CHARS_MAX,
)
from titan.spec.problems import did_you_mean

ON_LIMIT: Final = ("fail", "queue", "gate")
FIELDS: Final = ("jobs", "depth", "wall_s", "cpu_s", "units", "on_limit")
NO_LIMIT: Final = -1  # in a change: take the limit away
_AMOUNT: Final[Mapping[str, Any]] = {"type": "integer", "minimum": 0}
SCHEMA: Final[Mapping[str, Any]] = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "jobs": _AMOUNT,
        "depth": _AMOUNT,
        "wall_s": {"type": "number", "minimum": 0},
        "cpu_s": {"type": "number", "minimum": 0},
        "units": {"type": "object", "additionalProperties": _AMOUNT},
        "on_limit": {"enum": list(ON_LIMIT)},
    },
}


class BudgetSpec(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """Limits; None: there is none. In a change: it stays as it is, and -1 takes it away."""

    jobs: int | None = None
    depth: int | None = None  # runs below the one that has the budget: 0 allows none
    wall_ms: int | None = None
    cpu_ms: int | None = None
    units: dict[str, int] = {}
    on_limit: str = ""  # fail when empty


def read(value: object) -> BudgetSpec:
    """What people write. Raises `ValueError` with a sentence to put behind the name of the field."""
    if not isinstance(value, Mapping):
        raise ValueError(f"must be a mapping of limits: {', '.join(FIELDS)}")
    for name in value:
        if name not in FIELDS:
            raise ValueError(f"has no limit {str(name)!r}{did_you_mean(str(name), FIELDS)}")
    spec = BudgetSpec(
        jobs=_count(value, "jobs"),
        depth=_count(value, "depth"),
        wall_ms=_seconds(value, "wall_s"),
        cpu_ms=_seconds(value, "cpu_s"),
        units=_units(value.get("units")),
        on_limit=str(value.get("on_limit") or ""),
    )
    why = problem_of(spec)
    if why:
        raise ValueError(why)
    return spec


def given(value: BudgetSpec | Mapping[str, Any] | None) -> BudgetSpec | None:
    """A budget as code gives it. Raises `ValueError`."""
    if value is None or isinstance(value, BudgetSpec):
        return value
    return read(value)


def _count(value: Mapping[str, Any], name: str) -> int | None:
    found = value.get(name)
    if found is None:
        return None
    if isinstance(found, bool) or not isinstance(found, int):
        raise ValueError(f"{name} must be a whole number")
    return found


def _seconds(value: Mapping[str, Any], name: str) -> int | None:
    found = value.get(name)
    if found is None:
        return None
    if isinstance(found, bool) or not isinstance(found, int | float) or not math.isfinite(found):
        raise ValueError(f"{name} must be a number of seconds")
    return NO_LIMIT if found == NO_LIMIT else int(min(found * 1000, DURATION_MS_MAX))


def _units(value: object) -> dict[str, int]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise ValueError("units must be a mapping of names to amounts")
    named = {str(name): amount for name, amount in value.items()}
    for name, amount in named.items():
        if isinstance(amount, bool) or not isinstance(amount, int):
            raise ValueError(f"units.{name} must be a whole number")
    return named


def problem_of(spec: BudgetSpec, *, is_change: bool = False) -> str:
    """What is wrong with it; "" when nothing is."""
    low = NO_LIMIT if is_change else 0
    for name, amount, high in (
        ("jobs", spec.jobs, BUDGET_AMOUNT_MAX),
        ("depth", spec.depth, BUDGET_AMOUNT_MAX),
        ("wall_s", spec.wall_ms, DURATION_MS_MAX),
        ("cpu_s", spec.cpu_ms, DURATION_MS_MAX),
        *(
            (f"units.{unit[:100]}", amount, BUDGET_AMOUNT_MAX)
            for unit, amount in spec.units.items()
        ),
    ):
        if amount is not None and not low <= amount <= high:
            return f"{name} is {low} to {high // 1000 if name.endswith('_s') else high}"
    if len(spec.units) > BUDGET_UNITS_MAX:
        return f"at most {BUDGET_UNITS_MAX} kinds of units"
    if any(not 1 <= len(unit) <= NAME_CHARS_MAX for unit in spec.units):
        return f"the name of a unit has 1 to {NAME_CHARS_MAX} characters"
    if spec.on_limit and spec.on_limit not in ON_LIMIT:
        return f"on_limit is one of {', '.join(ON_LIMIT)}"
    return ""


def changed(before: BudgetSpec, by: BudgetSpec) -> BudgetSpec:
    """The limits after a change."""

    def one(old: int | None, new: int | None) -> int | None:
        if new is None:
            return old
        return None if new == NO_LIMIT else new

    units = {**before.units, **by.units}
    return BudgetSpec(
        jobs=one(before.jobs, by.jobs),
        depth=one(before.depth, by.depth),
        wall_ms=one(before.wall_ms, by.wall_ms),
        cpu_ms=one(before.cpu_ms, by.cpu_ms),
        units={name: amount for name, amount in units.items() if amount != NO_LIMIT},
        on_limit=by.on_limit or before.on_limit,
    )
