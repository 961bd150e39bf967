"""What commands print: tables for people, JSON for programs, times and states in one form."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final

import click
import msgspec

if TYPE_CHECKING:
    from rich.console import Console

PIPE_WIDTH: Final = 160  # columns when nobody's terminal says otherwise

STATE_STYLES: Final = {
    "PENDING": "dim",
    "RUNNING": "cyan",
    "WAITING": "yellow",
    "COMPLETED": "green",
    "FAILED": "bold red",
    "DEAD": "bold red",
    "CANCELLED": "yellow",
    "SKIPPED": "dim",
    "healthy": "green",
    "starting": "cyan",
    "unhealthy": "bold red",
    "crash-loop": "bold red",
    "online": "green",
    "cordoned": "yellow",
    "draining": "yellow",
    "lost": "bold red",
    "leader": "bold green",
    "follower": "green",
    "candidate": "yellow",
    "down": "bold red",
}


def console(*, stderr: bool = False) -> Console:
    """A rich console; wide when it does not write to a terminal, so that nothing is cut off."""
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() else PIPE_WIDTH
    return Console(file=stream, width=width, highlight=False, soft_wrap=False)


def styled(state: str) -> str:
    """The state in its colour, as rich markup."""
    style = STATE_STYLES.get(state)
    return f"[{style}]{state}[/]" if style else state


def print_json(value: Any) -> None:
    """One indented JSON document on stdout."""
    click.echo(msgspec.json.format(msgspec.json.encode(value), indent=2))


def print_json_line(value: Any) -> None:
    """One JSON document on a line of its own, at once: for those who follow."""
    print_line(msgspec.json.encode(value).decode())


def print_line(text: str) -> None:
    """One line, at once."""
    click.echo(text)
    sys.stdout.flush()


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]], *, empty: str) -> None:
    """A table without lines; `empty` is said on stderr when there are no rows.

    A column whose name starts with `#` holds numbers and is aligned to the right.
    """
    from rich.table import Table

    body = list(rows)
    if not body:
        click.echo(empty, err=True)
        return
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for column in columns:
        name = column.removeprefix("#").upper()
        is_number = column.startswith("#")
        table.add_column(name, justify="right" if is_number else "left", overflow="fold")
    for row in body:
        table.add_row(*row)
    console().print(table)


def plain(text: object) -> str:
    """Text that is shown as it is: `[` starts markup otherwise."""
    from rich.markup import escape

    return escape(str(text))


def ago(then_ms: int) -> str:
    """How long ago, in one unit: `12s`, `3m`, `5h`, `9d`."""
    seconds = max(0, time.time_ns() // 1_000_000 - then_ms) // 1000
    for unit_s, unit in ((86_400, "d"), (3600, "h"), (60, "m")):
        if seconds >= unit_s:
            return f"{seconds // unit_s}{unit}"
    return f"{seconds}s"


def took(start_ms: int, end_ms: int) -> str:
    """A duration: `0.42s`, `12s`, `3m05s`; `-` when it has not begun, until now when it goes on."""
    if not start_ms:
        return "-"
    seconds = max(0, (end_ms or time.time_ns() // 1_000_000) - start_ms) / 1000
    if seconds < 10:
        return f"{seconds:.2f}s"
    if seconds < 60:
        return f"{seconds:.0f}s"
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes}m{rest:02}s"


def count_words(counts: dict[str, int]) -> str:
    """`12 COMPLETED, 3 RUNNING` in the order of a job's life, with colours."""
    known = [state for state in STATE_STYLES if state in counts]
    return ", ".join(f"{counts[state]} {styled(state)}" for state in known) or "no jobs"
