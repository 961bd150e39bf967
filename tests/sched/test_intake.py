"""Large runs are taken in a few thousand jobs at a time, and begin at once all the same."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.sched.test_properties import Step, check_counts, check_nothing_startable_is_left
from tests.sched.test_properties import histories as histories_of
from tests.sched.world import World, job
from titan.fsm import alike, telling
from titan.fsm.commands import AssignAttempt, CancelRun, StageJobs, SubmitRun
from titan.ids import RunId
from titan.limits import INTAKE_PER_PLAN_MAX
from titan.sched import planner

R = RunId("r-large")
COUNT = 3 * INTAKE_PER_PLAN_MAX
histories = histories_of(us=0)


def large(world: World) -> None:
    for number in range(3):
        names = range(number * INTAKE_PER_PLAN_MAX, (number + 1) * INTAKE_PER_PLAN_MAX)
        world.must(StageJobs(run=R, part=number, jobs=tuple(job(f"j{n}") for n in names)))
    world.must(SubmitRun(run=R, name="large", jobs=(), parts=3))


def catch_up(world: World) -> list[AssignAttempt]:
    """Plan until everything has been looked at."""
    proposals = world.propose()
    while world.planner.is_behind:
        proposals += world.propose()
    return proposals


def test_a_large_run_begins_before_all_of_it_was_looked_at() -> None:
    world = World()
    world.join("a", slots=2)
    large(world)
    assert world.planner.is_behind
    assert [one.job for one in world.propose()] == ["j0", "j1"]
    assert world.planner.is_behind
    assert catch_up(world) == []
    assert len(world.planner.queue) == COUNT - 2


def test_after_an_election_a_large_run_goes_on_at_once() -> None:
    world = World()
    world.join("a", slots=2)
    large(world)
    world.planner = world.rebuilt()
    assert world.planner.is_behind
    assert [one.job for one in world.propose()] == ["j0", "j1"]


def test_a_large_run_that_is_cancelled_leaves_the_queue_piece_by_piece() -> None:
    world = World()
    large(world)
    catch_up(world)
    world.must(CancelRun(run=R))
    world.submit(job("small"))
    world.join("a")
    assert [one.job for one in catch_up(world)] == ["small"]
    assert len(world.planner.queue) == 0


@settings(max_examples=60, deadline=None)
@given(histories, st.integers(1, 3))
def test_taking_in_piece_by_piece_comes_to_the_same(history: list[Step], piece: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(planner, "INTAKE_PER_PLAN_MAX", piece)
        patch.setattr(telling, "EVENTS_EACH_MAX", 0)
        patch.setattr(alike, "EVENTS_EACH_MAX", 0)
        world = World()
        for step in history:
            step(world)
            world.commit(catch_up(world))
            while world.planner.is_behind:
                world.commit(world.propose())
            check_counts(world)
            check_nothing_startable_is_left(world)
