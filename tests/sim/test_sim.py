"""The simulation as every run of the tests has it: 300 seeds on all cores; `make sim` runs longer ones."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent


def simulate(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tests.sim", *arguments],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
    )


def reports(*arguments: str, **environment: str) -> list[dict[str, Any]]:
    lines = simulate("--json", *arguments, **environment).stdout.splitlines()
    found = [json.loads(line) for line in lines if line.startswith("{")]
    for report in found:
        del report["real_s"]
    return found


@pytest.mark.timeout(900)
def test_three_hundred_seeds_hold_every_invariant_and_see_every_fault() -> None:
    done = simulate("--first", "1", "--seeds", "300", "--seconds", "4")
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
    assert "seeds: 300" in done.stdout
    assert "never happened: -" in done.stdout, done.stdout[-4000:]


@pytest.mark.timeout(180)
def test_a_seed_repeats_itself_byte_for_byte_in_another_process() -> None:
    once = reports("--first", "3", "--seeds", "3", "--seconds", "4")
    # Another start, other seeds before it, and another size of environment: other addresses in memory.
    again = reports("--first", "2", "--seeds", "4", "--seconds", "4", PADDING="x" * 3000)
    assert len(once) == 3
    assert again[1:] == once
    assert len({report["digest"] for report in again}) == 4


@pytest.mark.timeout(180)
@pytest.mark.parametrize(
    ("name", "noticed_by"),
    [
        ("early-answers", ""),  # a key, or a run: what somebody asks for first
        ("stale-reads", "I1"),
        ("blind-checksums", ""),
        ("files-once", "I7"),
        ("runs-again", ""),  # I4, or I3 when both of them commit
        ("results-once", "I7"),
        ("masters-differ", "I8"),
        ("unfenced-writes", "I4"),
        ("crowded-locks", "I4"),
        ("repeated-tokens", "I4"),
        ("partial-commits", "I3"),
        ("unfenced-commits", "I4"),
        ("foreign-dispatch", "I5"),
        ("wall-clock", "I7"),
        ("no-pause", "callbacks at one instant"),  # it tries again and again, and time stands still
        ("no-sync", ""),  # which invariant goes first depends on what the power cut took
    ],
)
def test_a_product_broken_on_purpose_is_noticed(name: str, noticed_by: str) -> None:
    found = reports(
        "--break", name, "--first", "1", "--seeds", "30", "--seconds", "5", "--until-violated"
    )
    violations = found[-1]["violations"]
    assert violations, f"{len(found)} seeds did not notice {name}"
    assert any(noticed_by in violation for violation in violations), violations
