"""The table of hazards names tests that exist, and rules that exist, and leaves no hazard out."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.consensus import reproductions
from titan.consensus import library
from titan.consensus.rules import Rule

HERE = Path(__file__).parent
DESIGN = Path(library.__file__).with_name("DESIGN.md")
FILES = {
    "R": "test_regressions", "N": "test_snapshot_stories", "V": "test_serving", "G": "test_guard",
    "J": "test_journal", "S": "test_snapshots", "F": "test_fuzz", "P": "test_processes",
    "C": "test_codec", "A": "test_raft", "B": "test_bare", "M": "test_membership",
}  # fmt: skip
ROW = re.compile(r"^\| (H\d[^|]*)\|([^|]*)\|([^|]*)\|$", re.MULTILINE)
ROWS = ROW.findall(DESIGN.read_text())


def names_in(letter: str) -> str:
    path = HERE.parent / "cluster" / "test_members.py"
    if letter != "X":
        path = HERE / f"{FILES[letter]}.py"
    return "\n".join(re.findall(r"def (test_\w+)", path.read_text()))


def test_no_hazard_is_missing() -> None:
    named = {hazard for row in ROWS for hazard in re.findall(r"H\d+", row[0])}
    assert named >= {f"H{number}" for number in range(1, 44)}


@pytest.mark.parametrize("row", ROWS, ids=[row[0].split()[0] for row in ROWS])
def test_every_named_test_and_rule_exists(row: tuple[str, str, str]) -> None:
    _, closed_by, noticed_by = row
    for rule in re.findall(r"`([A-Z_]{4,})`", closed_by):
        assert rule in Rule.__members__
    for part in re.sub(r"\([^)]*\)", "", noticed_by).split(";"):
        letter, _, words = part.strip().partition(" ")
        if letter == "-":
            continue
        known = names_in(letter.rstrip(","))
        for word in filter(None, (each.strip() for each in words.split(","))):
            spelled = word.replace(" ", "_")
            assert spelled in known or letter in "F", f"{letter} {word}"


@pytest.mark.parametrize("story", reproductions.TABLE, ids=lambda story: story.name)
def test_every_reproduction_has_its_pair(story: reproductions.Story) -> None:
    for wanted in (*story.bare, *story.titan):
        file, _, name = wanted.partition("::")
        text = (HERE / f"{file}.py").read_text()
        assert f"def {name}(" in text or f'"{name}"' in text, wanted
