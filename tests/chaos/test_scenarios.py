"""What is promised about scenarios, and about what the harness may know."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from click.testing import CliRunner

import chaos
from chaos.__main__ import main
from chaos.faults.base import Need
from chaos.faults.catalog import FAULTS
from chaos.scenarios import SCENARIOS

FOLDER = Path(chaos.__file__).parent
ALLOWED = ("titan.sdk", "titan.wire", "titan.errors", "titan.ids")


def test_mixed_draws_from_every_fault_that_three_masters_bear() -> None:
    drawn = {fault.name for fault in SCENARIOS["mixed"].faults()}
    assert drawn == {name for name, fault in FAULTS.items() if Need.FIVE not in fault.needs}


def test_five_masters_draw_from_every_fault() -> None:
    scenario = SCENARIOS["five-masters"]
    assert scenario.masters == 5
    assert {fault.name for fault in scenario.faults()} == set(FAULTS)


def test_list_names_every_scenario() -> None:
    shown = CliRunner().invoke(main, ["list"]).output
    assert all(name in shown for name in SCENARIOS)


@pytest.mark.parametrize("path", sorted(FOLDER.rglob("*.py")), ids=lambda path: path.name)
def test_the_judge_shares_no_code_with_the_judged(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        names = []
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        for name in names:
            if name.partition(".")[0] == "titan" and path.name != "launcher.py":
                assert name.startswith(ALLOWED), f"{path} imports {name}"
