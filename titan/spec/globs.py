"""Patterns of paths: `*` and `?` and `[...]` inside a name, `**` across folders.

A pattern that names a folder means everything below it. Paths are relative, with "/". No file is looked
at here.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from titan.ids import is_job_id, strip_v1_prefix
from titan.limits import ARTIFACT_PATTERNS_MAX
from titan.spec.manifest import is_inside

_WILD = frozenset("*?[")
_ARROW = " -> "


class Input(NamedTuple):
    """`job:pattern`, or `job:pattern -> target`: which files of which job, and where they go."""

    job: str
    pattern: str
    target: str = ""  # a folder when the pattern is one or has wildcards, else the file's new path

    @property
    def text(self) -> str:
        """As it is written."""
        return f"{self.job}:{self.pattern}" + (f"{_ARROW}{self.target}" if self.target else "")


def clean(pattern: str) -> str:
    """The pattern in its normal form. Raises `ValueError` when it could lead out of its folder."""
    text = pattern.strip().removeprefix("./").rstrip("/")
    if not is_inside(text):
        raise ValueError(f"{pattern!r} is not a path inside the job's folder")
    return text


def read_input(text: str) -> Input:
    """Parse one input. Raises `ValueError` with what is wrong."""
    source, arrow, target = text.partition(_ARROW)
    job, colon, pattern = source.strip().partition(":")
    job = strip_v1_prefix(job.strip())
    if not colon or not is_job_id(job):
        raise ValueError(f"{text!r} must be 'job:path' or 'job:path -> target'")
    return Input(job, clean(pattern), clean(target) if arrow else "")


def is_wild(pattern: str) -> bool:
    """Whether the pattern can match more than its own text."""
    return not _WILD.isdisjoint(pattern)


def fixed_folder(pattern: str) -> str:
    """The folder below which every match lies, "" for any; the pattern itself when it is not wild."""
    parts = pattern.split("/")
    fixed = next((n for n, part in enumerate(parts) if is_wild(part)), len(parts))
    return "/".join(parts[:fixed])


@functools.lru_cache(maxsize=1024)
def _compiled(pattern: str) -> re.Pattern[str]:
    parts = ("(?:[^/]+/)*" if part == "**" else f"{_name(part)}/" for part in pattern.split("/"))
    return re.compile("".join(parts) + "(?:.*/)?", re.DOTALL)


def _name(part: str) -> str:
    """A pattern inside one name as a regular expression."""
    out, at = [], 0
    while at < len(part):
        char, at = part[at], at + 1
        end = part.find("]", at + 1) if char == "[" else -1
        if char == "*":
            out.append("[^/]*")
        elif char == "?":
            out.append("[^/]")
        elif end > 0:
            inside = part[at:end].replace("\\", "\\\\")
            out.append(f"[^/{inside[1:]}]" if inside.startswith("!") else f"[{inside}]")
            at = end + 1
        else:
            out.append(re.escape(char))
    return "".join(out)


def matches(pattern: str, path: str) -> bool:
    """Whether the path is meant: it matches, or lies in a folder that does."""
    return _compiled(pattern).fullmatch(f"{path}/") is not None


def first_match(patterns: Iterable[str], path: str) -> str | None:
    """The first pattern that means the path."""
    return next((pattern for pattern in patterns if matches(pattern, path)), None)


def placed(wanted: Input, path: str) -> str:
    """Where a matching file goes: the same relative path, or below or at the target."""
    if not wanted.target:
        return path
    if not is_wild(wanted.pattern) and path == wanted.pattern:
        return wanted.target
    base = fixed_folder(wanted.pattern)
    below = path[len(base) + 1 :] if base and path.startswith(f"{base}/") else path
    return f"{wanted.target}/{below}"


def check_count(patterns: Sequence[object]) -> None:
    """Raise `ValueError` when there are too many."""
    if len(patterns) > ARTIFACT_PATTERNS_MAX:
        raise ValueError(f"at most {ARTIFACT_PATTERNS_MAX} patterns")


def needs_of(inputs: Iterable[str]) -> tuple[str, ...]:
    """The jobs that these inputs come from, each once."""
    return tuple(dict.fromkeys(read_input(text).job for text in inputs))
