"""Options of `titan worker` about what it keeps on its disk for later."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Final

import click

from titan.limits import LOGS_KEPT

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

_OPTIONS: Final = (
    ("--keep-logs", "logs_max", LOGS_KEPT, "Logs of ended attempts; masters keep them as well."),
    ("--keep-logs-mb", "logs_mb", 16_384, "The same bound in MiB."),
    ("--keep-files-mb", "files_mb", 16_384, "Artifacts and checkpoints kept for reuse, in MiB."),
    ("--keep-bundles-mb", "bundles_mb", 8_192, "Unpacked bundles kept for reuse, in MiB."),
)


def keeping_options() -> Decorator:
    """How many logs, and how much of each kind of files. What is in use is never removed for it."""
    made = [
        click.option(
            option, name, type=click.IntRange(min=0), default=default, show_default=True, help=text
        )
        for option, name, default, text in _OPTIONS
    ]
    return lambda command: functools.reduce(lambda to, option: option(to), reversed(made), command)
