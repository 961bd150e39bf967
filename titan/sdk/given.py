"""What goes along with a caller's request: who asks, and values by name."""

from __future__ import annotations

import getpass
from collections.abc import Mapping

from titan.errors import InvalidSpec
from titan.spec.inputs import scalars
from titan.spec.model import Scalar


def owner() -> str:
    """The user of this process; "" for a user id without a name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return ""


def values(given: Mapping[str, Scalar] | None, *, what: str) -> dict[str, Scalar]:
    """The values as they travel. Raises `InvalidSpec` for anything but text, numbers and truth."""
    try:
        return scalars(given or {})
    except ValueError as why:
        raise InvalidSpec(problems=(f"{what}: {why}",)) from None
