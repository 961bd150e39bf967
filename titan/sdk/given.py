"""What goes along with a caller's request: who asks, and values by name."""

from __future__ import annotations

import getpass
import os
import socket
import sys
from collections.abc import Mapping
from pathlib import Path

from titan.errors import InvalidSpec
from titan.limits import WHO_CHARS_MAX
from titan.spec import labels
from titan.spec.inputs import scalars
from titan.spec.model import Scalar


def owner() -> str:
    """The user of this process; "" for a user id without a name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return ""


def who(through: str) -> str:
    """What this process says of itself, for the audit: "cli ada@laptop", "sdk etl.py ada@laptop".

    `through`: "cli" or "sdk"; a program of the SDK's is named as well. A claim, no proof.
    """
    program = Path(sys.argv[0]).name if through == "sdk" and sys.argv else ""
    there = f"{owner() or os.getuid()}@{socket.gethostname()}"
    return " ".join(filter(None, (through, program, there)))[:WHO_CHARS_MAX]


def labels_of(given: Mapping[str, str] | None) -> dict[str, str]:
    """Labels as they travel. Raises `InvalidSpec`."""
    if not given:
        return {}
    try:
        return labels.read(given)
    except ValueError as why:
        raise InvalidSpec(problems=(f"labels: {why}",)) from None


def values(given: Mapping[str, Scalar] | None, *, what: str) -> dict[str, Scalar]:
    """The values as they travel. Raises `InvalidSpec` for anything but text, numbers and truth."""
    try:
        return scalars(given or {})
    except ValueError as why:
        raise InvalidSpec(problems=(f"{what}: {why}",)) from None
