"""What a job costs is as committed, counted and not timed; and the report says what was measured."""

from __future__ import annotations

import pytest

from bench import counts
from bench.cases import CASES, Figure, chosen
from bench.preparing import PEERS, TITAN
from bench.report import how_much_better, spread
from bench.runner import SideResult


async def test_a_job_costs_the_leader_and_its_followers_what_is_committed() -> None:
    found = await counts.count_leader()
    wrong = counts.differences(found, counts.committed())
    hint = "if it is meant: python -m bench.counts --write, and say in the commit message why"
    assert not wrong, "; ".join([*wrong, hint])


def test_a_new_cost_per_job_is_noticed_and_so_is_one_that_went_away() -> None:
    before = {"entries": 2.0, "calls": 100.0}
    assert counts.differences({"entries": 2.0, "calls": 104.0}, before) == []
    assert len(counts.differences({"entries": 3.0, "calls": 80.0}, before)) == 2
    assert len(counts.differences({"entries": 2.0, "syscalls": 1.0}, before)) == 2


def test_a_ratio_above_one_means_that_titan_is_better_whichever_way_a_figure_counts() -> None:
    titan = SideResult(figures={"x": [2.0, 1.0, 3.0]})
    peer = SideResult(figures={"x": [4.0]})
    rate = Figure(key="x", title="", unit="", is_rate=True)
    time = Figure(key="x", title="", unit="")
    assert how_much_better(rate, titan, peer) == 0.5
    assert how_much_better(time, titan, peer) == 2.0
    assert how_much_better(rate, titan, SideResult(skipped="not here")) is None
    assert spread([3.0, 1.0, 2.0], digits=1) == "2.0 (1.0–3.0)"


def test_a_case_is_chosen_by_its_name_or_by_that_of_its_group() -> None:
    assert [case.name for case in chosen("b4")] == ["B4-functions", "B4-true"]
    assert [case.name for case in chosen("B1,B6")] == ["B1", "B6"]
    assert chosen("") == CASES
    with pytest.raises(ValueError, match="b10"):
        chosen("B10")


def test_every_case_has_titan_first_and_only_known_peers() -> None:
    for case in CASES:
        assert case.sides[0].name == TITAN
        assert {side.system for side in case.sides} <= {TITAN, *PEERS}
        assert case.sizes.keys() == case.quick.keys()
