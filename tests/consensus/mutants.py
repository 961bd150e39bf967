"""Switches off one protection at a time and shows which tests notice: `make mutants`.

A protection that nothing notices is not protected itself: exit code 1 when one survives. The rules
of the guard are switched by name; the others are small changes of code made from outside. The tests
that notice are the same that everybody runs; `conftest.py` applies the mutation before they load.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from titan.consensus import rules
from titan.consensus.rules import Rule

VARIABLE: Final = "TITAN_TEST_MUTANT"
_HERE: Final = Path(__file__).parent
_TESTS: Final = (
    "test_guard.py", "test_regressions.py", "test_snapshot_stories.py", "test_snapshots.py",
    "test_membership.py", "test_journal.py", "test_serving.py",
)  # fmt: skip


def _nothing_is_synced() -> None:
    from titan.consensus.journal import Journal

    Journal._write_frame = lambda self: self._buffer.clear()  # type: ignore[method-assign]


def _votes_are_not_stored() -> None:
    from titan.consensus.journal import Journal

    def forget(self: Journal) -> None:
        self._promise = None

    Journal._write_promise = forget  # type: ignore[method-assign]


def _an_old_snapshot_replaces_a_newer() -> None:
    from titan.consensus.snapshots import SnapshotFiles

    SnapshotFiles.newest_index = lambda self: 0  # type: ignore[method-assign]


def _checksums_of_snapshots_are_ignored() -> None:
    from titan.consensus import snapshots

    snapshots.zlib = _Blind()  # type: ignore[assignment]
    snapshots.hashlib = _Blind()  # type: ignore[assignment]


class _Blind:
    """Every sum of anything is the same."""

    @staticmethod
    def crc32(_data: bytes) -> int:
        return 0

    @staticmethod
    def sha256() -> _Blind:
        return _Blind()

    def update(self, data: bytes) -> None:
        pass

    def digest(self) -> bytes:
        return bytes(32)


def _apply_is_repeated_after_an_error() -> None:
    from titan.consensus.applier import Applier

    Applier._apply_payload = lambda self, index, payload: self._machine.apply(index, payload)  # type: ignore[method-assign]


CODE: Final[dict[str, Callable[[], None]]] = {
    "sync before answers": _nothing_is_synced,
    "stored votes": _votes_are_not_stored,
    "newest snapshot stays": _an_old_snapshot_replaces_a_newer,
    "checksums of snapshots": _checksums_of_snapshots_are_ignored,
    "a raising machine stops": _apply_is_repeated_after_an_error,
}


def apply(name: str) -> None:
    """Make this process a mutant; called before any test module is imported."""
    if name in CODE:
        CODE[name]()
    else:
        rules.ALL_RULES = frozenset(Rule) - {Rule(name)}  # type: ignore[misc]


def _noticed_by(name: str) -> list[str]:
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--no-header", "-rfE",
         "--timeout=60", *(str(_HERE / test) for test in _TESTS)],
        env={**os.environ, VARIABLE: name, "PYTHONHASHSEED": "0"},
        capture_output=True, text=True, check=False, cwd=_HERE.parent.parent,
    )  # fmt: skip
    return re.findall(r"^(?:FAILED|ERROR) \S+?(test_\w+\.py::\S+)", run.stdout, re.MULTILINE)


def main(chosen: list[str]) -> int:
    """Try the chosen mutants, or all; 1 when one survives."""
    unharmed = _noticed_by("")
    if unharmed:
        sys.stdout.write(f"fails without any mutation: {unharmed}\n")
        return 1
    survived: list[str] = []
    sys.stdout.write(f"{'switched off':28}{'noticed by':>10}  the first of them\n")
    for name in chosen or [*map(str, Rule), *CODE]:
        noticed = _noticed_by(name)
        first = noticed[0] if noticed else "NOBODY"
        sys.stdout.write(f"{name:28}{len(noticed):>10}  {first}\n")
        sys.stdout.flush()
        survived += [] if noticed else [name]
    return 1 if survived else 0


def from_environment() -> None:
    """What `conftest.py` calls."""
    name: Any = os.environ.get(VARIABLE)
    if name:
        apply(name)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
