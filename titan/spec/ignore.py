"""Which files of a project travel: everything but what ignore files name.

`.gitignore` and `.titanignore` count in every folder, as git reads them; `.titanignore` is read after
`.gitignore`, so `!path` in it brings something back. `.git`, `.venv` and `__pycache__` never travel.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from pathspec import GitIgnoreSpec

IGNORE_FILES: Final = (".gitignore", ".titanignore")  # the later wins
_NEVER: Final = frozenset({".git", ".venv", "__pycache__"})


class _Rules(NamedTuple):
    """The ignore files of one folder."""

    folder: str  # relative to the root, "" or ending in "/"
    spec: GitIgnoreSpec


def walk(root: Path) -> Iterator[tuple[str, os.stat_result]]:
    """Names relative to `root`, with "/", of what travels; directories only when they are empty.

    Links are not followed. Iterative, so no depth of folders is too deep.
    """
    waiting: list[tuple[str, tuple[_Rules, ...]]] = [("", ())]
    while waiting:
        folder, outer = waiting.pop()
        with os.scandir(root / folder) as listing:
            found = sorted(listing, key=lambda entry: entry.name)
        rules = _with_own_rules(root, folder, outer)
        if not found and folder:
            yield folder.rstrip("/"), os.lstat(root / folder)
        for entry in found:
            is_dir = entry.is_dir(follow_symlinks=False)
            name = f"{folder}{entry.name}"
            if entry.name in _NEVER or _is_ignored(f"{name}/" if is_dir else name, rules):
                continue
            if is_dir:
                waiting.append((f"{name}/", rules))
            else:
                yield name, entry.stat(follow_symlinks=False)


def _with_own_rules(root: Path, folder: str, outer: tuple[_Rules, ...]) -> tuple[_Rules, ...]:
    lines: list[str] = []
    for name in IGNORE_FILES:
        try:
            text = (root / folder / name).read_text("utf-8", errors="surrogateescape")
        except (FileNotFoundError, IsADirectoryError):
            continue
        lines += text.splitlines()
    if not lines:
        return outer
    return (*outer, _Rules(folder, GitIgnoreSpec.from_lines(lines)))


def _is_ignored(name: str, rules: Sequence[_Rules]) -> bool:
    """The innermost folder with an opinion decides."""
    for folder, spec in reversed(rules):
        verdict = spec.check_file(name[len(folder) :]).include
        if verdict is not None:
            return verdict
    return False
