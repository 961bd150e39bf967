"""Calls with a Python of their own."""

from __future__ import annotations

import importlib.util
import sys

from titan.sdk import current, task


@task
def plain() -> tuple[str, bool]:
    return sys.prefix, importlib.util.find_spec("titan_tiny") is not None


@task(requirements=["titan_tiny==1.0"])
def tiny(x: int) -> tuple[str, int]:
    import titan_tiny  # type: ignore[import-not-found]

    print("in", sys.prefix)  # noqa: T201 - it is what the log must show
    with current().commit() as c:
        c.store_incr("tiny")
    return sys.prefix, x * titan_tiny.VALUE


@task
def found(names: list[str]) -> list[str]:
    """Which of these modules this Python finds."""
    return [name for name in names if importlib.util.find_spec(name) is not None]
