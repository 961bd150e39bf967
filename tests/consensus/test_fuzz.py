"""Seeds of random faults; TITAN_FUZZ_SEEDS=2000 runs more of them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SEEDS = int(os.environ.get("TITAN_FUZZ_SEEDS", "20"))
FUZZ = Path(__file__).with_name("fuzz.py")


def fuzz(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(FUZZ), *arguments],
        env={**os.environ, "PYTHONHASHSEED": "0"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.timeout(60 + 2 * SEEDS)
@pytest.mark.parametrize("extra", [(), ("--harsh",)], ids=["faithful", "losing messages"])
def test_no_seed_violates_an_invariant(extra: tuple[str, ...]) -> None:
    run = fuzz("0", str(SEEDS), "--seconds", "30", *extra)
    assert run.returncode == 0, run.stdout + run.stderr[-2000:]


def test_the_same_seed_gives_the_same_run() -> None:
    first, second = (fuzz("3", "2", "--seconds", "10") for _ in range(2))
    assert first.stdout == second.stdout


@pytest.mark.parametrize("rule", ["H1"])
def test_the_fuzzer_notices_a_missing_rule(rule: str) -> None:
    run = fuzz("20", "10", "--harsh", "--without", rule)
    assert run.returncode == 1, run.stdout
