"""Everything wrong with a declaration, gathered so that all of it is told at once.

Owns the text of a problem (`file:line:column: field: message`) and the search for the nearest valid
name. Never decides what is valid: the field table, the graph checks and the loader do.
"""

from __future__ import annotations

import difflib
import itertools
from collections.abc import Iterable
from typing import NamedTuple

from titan.errors import InvalidSpec
from titan.limits import PROBLEMS_MAX, SUGGESTION_NAMES_MAX


class Place(NamedTuple):
    """Where in a file, both counted from 1."""

    line: int
    column: int


class Problem(NamedTuple):
    """One thing that must be mended. `place` is None when it did not come from a file."""

    message: str
    field: str = ""
    place: Place | None = None


class Problems:
    """A bounded list of problems of one declaration."""

    def __init__(self, source: str = "") -> None:
        self._source = source
        self._found: list[Problem] = []
        self._left_out = 0

    def add(self, message: str, *, field: str = "", place: Place | None = None) -> None:
        """Remember one; beyond `PROBLEMS_MAX` they are only counted."""
        if len(self._found) < PROBLEMS_MAX:
            self._found.append(Problem(message, field, place))
        else:
            self._left_out += 1

    def __len__(self) -> int:
        return len(self._found) + self._left_out

    @property
    def found(self) -> tuple[Problem, ...]:
        """Those that are remembered, in the order of the file."""
        return tuple(sorted(self._found, key=lambda problem: problem.place or Place(0, 0)))

    @property
    def is_full(self) -> bool:
        """Whether further problems are only counted: costly searches for them may stop."""
        return len(self._found) >= PROBLEMS_MAX

    def raise_if_any(self) -> None:
        """Raise `InvalidSpec` with every problem, in the order of the file."""
        if not self._found:
            return
        lines = [self._text(problem) for problem in self.found]
        if self._left_out:
            lines.append(f"and {self._left_out} more problems")
        raise InvalidSpec(problems=tuple(lines))

    def _text(self, problem: Problem) -> str:
        where = self._source
        if problem.place is not None:
            where = f"{where}:{problem.place.line}:{problem.place.column}"
        return ": ".join(part for part in (where, problem.field, problem.message) if part)


def nearest(name: str, names: Iterable[str]) -> str | None:
    """The valid name that `name` was most likely meant to be, or None when none is close."""
    candidates = list(itertools.islice(names, SUGGESTION_NAMES_MAX))
    by_lower = {candidate.lower(): candidate for candidate in reversed(candidates)}
    close = difflib.get_close_matches(name.lower(), by_lower, n=1, cutoff=0.6)
    return by_lower[close[0]] if close else None


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """`; did you mean 'x'?`, or nothing."""
    found = nearest(name, names)
    return "" if found is None else f"; did you mean {found!r}?"
