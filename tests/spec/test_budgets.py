"""Budgets as people write them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from titan.errors import InvalidSpec
from titan.spec.budgets import BudgetSpec, changed, given, problem_of
from titan.spec.yaml_file import parse_pipeline

JOBS = "jobs: [{id: a, command: 'true'}]\n"


def test_a_pipeline_declares_a_budget() -> None:
    text = "budget: {jobs: 3, wall_s: 1.5, cpu_s: 2, units: {tokens: 7}, on_limit: queue}\n" + JOBS
    loaded = parse_pipeline(text.encode(), path=Path("p.yaml"))
    assert loaded.spec.budget == BudgetSpec(
        jobs=3, wall_ms=1500, cpu_ms=2000, units={"tokens": 7}, on_limit="queue"
    )


@pytest.mark.parametrize(
    ("budget", "says"),
    [
        ("{job: 3}", "has no limit 'job'; did you mean 'jobs'?"),
        ("{jobs: -2}", "jobs is 0 to 9007199254740992"),
        ("{jobs: true}", "jobs must be a whole number"),
        ("{wall_s: .nan}", "wall_s must be a number of seconds"),
        ("{units: {tokens: much}}", "units.tokens must be a whole number"),
        ("{on_limit: explode}", "on_limit is one of fail, queue, gate"),
        ("5", "must be a mapping of limits"),
    ],
)
def test_a_wrong_budget_is_told_with_its_place(budget: str, says: str) -> None:
    with pytest.raises(InvalidSpec) as caught:
        parse_pipeline(f"budget: {budget}\n{JOBS}".encode(), path=Path("p.yaml"))
    (problem,) = caught.value.problems
    assert problem.startswith("p.yaml:1:9: budget: ")
    assert says in problem


@pytest.mark.parametrize("value", [None, BudgetSpec(jobs=1)])
def test_what_is_a_budget_already_stays_one(value: Any) -> None:
    assert given(value) is value


def test_a_change_leaves_what_it_does_not_name_and_takes_limits_away() -> None:
    before = BudgetSpec(jobs=3, depth=1, units={"a": 1, "b": 2}, on_limit="gate")
    change = BudgetSpec(jobs=-1, wall_ms=9, units={"a": -1, "c": 3})
    after = BudgetSpec(depth=1, wall_ms=9, units={"b": 2, "c": 3}, on_limit="gate")
    assert changed(before, change) == after
    assert problem_of(change, is_change=True) == ""
    assert problem_of(change) == "jobs is 0 to 9007199254740992"
