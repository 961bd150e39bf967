"""What declarations may ask for one day and this version does not run: refused by name, never ignored.

One table. A feature that is built deletes its rows here and adds its row to `fields/`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

# Field → values that ask for nothing, so that a v1 declaration which spells out a default still runs.
FIELDS: Final[Mapping[str, tuple[Any, ...]]] = {
    "secrets": (None, [], ()),
}

# Field → values of an available field that are not available.
VALUES: Final[Mapping[str, tuple[str, ...]]] = {}

# Fields of the pipeline itself.
ROOT_FIELDS: Final[Mapping[str, tuple[Any, ...]]] = {}


def field_refusal(field: str, value: object, *, root: bool = False) -> str | None:
    """Why a pipeline or job that sets `field` to `value` cannot be run, or None when it can."""
    neutrals = (ROOT_FIELDS if root else FIELDS).get(field)
    if neutrals is None or any(
        value == neutral and type(value) is type(neutral) for neutral in neutrals
    ):
        return None
    return f"this version does not run {field!r} yet; remove it"


def value_refusal(field: str, value: object) -> str | None:
    """Why this value of an available field cannot be run, or None when it can."""
    if value in VALUES.get(field, ()):
        return f"this version does not run {field} {value!r} yet"
    return None
