"""Assignments proposed together with what makes them possible: accepted with it, harmless without it."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.sched.test_properties import (
    WORKERS,
    Step,
    check_counts,
    check_nothing_startable_is_left,
    histories,
    job_lists,
    picks,
)
from tests.sched.world import World, job
from titan.fsm.commands import AssignAttempt, Command, FinishAttempt, SubmitRun
from titan.fsm.outcomes import Applied, Outcome, Rejected
from titan.ids import AttemptId, RunId
from titan.sched.foresight import foresee
from titan.spec.model import JobSpec


@pytest.fixture
def world() -> World:
    made = World()
    made.join("w1", slots=2)
    return made


def with_foresight(world: World, command: Command) -> tuple[list[AssignAttempt], list[Outcome]]:
    """One entry: the command and what was foreseen."""
    foreseen = foresee(world.state, world.planner, command)
    return foreseen, world.commit(foreseen, before=[command])


def end(world: World, attempt: AttemptId) -> FinishAttempt:
    return FinishAttempt(attempt=attempt, exit_code=0, duration_us=1_000)


def names(proposals: list[AssignAttempt]) -> list[tuple[str, str]]:
    return [(one.job, one.worker) for one in proposals]


def a_run(*jobs: JobSpec) -> SubmitRun:
    return SubmitRun(run=RunId("r-new"), name="pipe", jobs=jobs)


def test_a_hop_of_a_chain_is_one_entry(world: World) -> None:
    run = world.submit(job("a"), job("b", "a"), job("c", "b"))
    world.plan()
    for name, following in (("a", "b"), ("b", "c")):
        foreseen, outcomes = with_foresight(world, end(world, world.live(run, name).id))
        assert names(foreseen) == [(following, "w1")]
        assert isinstance(outcomes[0], Applied)
        assert world.propose() == []
        check_counts(world)


def test_the_first_jobs_of_a_run_are_assigned_by_the_entry_that_submits_it(world: World) -> None:
    foreseen, outcomes = with_foresight(world, a_run(job("a"), job("b"), job("c"), job("d", "a")))
    assert names(foreseen) == [("a", "w1"), ("b", "w1")]
    assert all(isinstance(one, Applied) for one in outcomes)
    assert world.propose() == []
    check_counts(world)


def test_more_urgent_roots_go_first(world: World) -> None:
    foreseen, _ = with_foresight(world, a_run(job("a"), job("b", priority=2), job("c", priority=3)))
    assert names(foreseen) == [("c", "w1"), ("b", "w1")]


def test_a_child_takes_its_parents_place_and_others_take_free_ones() -> None:
    world = World()
    world.join("w1")
    world.join("w2")
    run = world.submit(job("a"), job("b", "a"), job("c", "a", priority=2), job("d", "a"))
    world.plan()
    foreseen, _ = with_foresight(world, end(world, world.live(run, "a").id))
    assert names(foreseen) == [("c", "w1"), ("b", "w2")]
    check_counts(world)


def test_nobody_is_overtaken(world: World) -> None:
    run = world.submit(job("a"), job("b", "a"))
    world.plan()
    world.submit(job("x", priority=2), job("y", priority=2))
    assert world.plan() == [("x", "w1")]
    slow = FinishAttempt(attempt=world.live(run, "a").id, exit_code=0, duration_us=9_000_000)
    assert with_foresight(world, slow)[0] == []
    assert world.plan() == [("y", "w1")]


@pytest.mark.parametrize(
    "fields",
    [
        {"delay_ms": 5},
        {"queue_timeout_ms": 5},
        {"trigger": "any_failed"},
        {"requirement": ("GPU",)},
        {"resources": {"slots": 3}},
    ],
)
def test_what_does_not_follow_at_once_is_left_to_the_planner(
    world: World, fields: dict[str, object]
) -> None:
    run = world.submit(job("a"), job("b", "a", **fields))
    world.plan()
    assert with_foresight(world, end(world, world.live(run, "a").id))[0] == []
    if "trigger" not in fields:
        assert with_foresight(world, a_run(job("a", **fields)))[0] == []


def test_a_failure_promises_nothing(world: World) -> None:
    run = world.submit(job("a"), job("b", "a"))
    world.plan()
    attempt = world.live(run, "a").id
    assert foresee(world.state, world.planner, FinishAttempt(attempt=attempt, exit_code=1)) == []
    late = FinishAttempt(attempt=attempt, exit_code=0, cause="timeout")
    assert foresee(world.state, world.planner, late) == []


def test_a_wrong_guess_is_refused_and_the_worker_is_not_blamed(world: World) -> None:
    run = world.submit(job("a"), job("b", "a"))
    world.plan()
    finish = end(world, world.live(run, "a").id)
    foreseen = foresee(world.state, world.planner, finish)
    world.cancel(run, "b")
    outcomes = world.commit(foreseen, before=[finish])
    assert [one.code for one in outcomes if isinstance(one, Rejected)] == ["not_ready"]
    check_counts(world)
    world.submit(job("next"))
    assert world.plan() == [("next", "w1")]


def test_a_submission_that_is_refused_takes_no_room(world: World) -> None:
    foreseen, outcomes = with_foresight(world, a_run(job("a"), job("a")))
    assert len(foreseen) == 1  # the second has the name of the first
    assert isinstance(outcomes[0], Rejected)
    check_counts(world)


def test_a_repeated_submission_foresees_nothing(world: World) -> None:
    command = a_run(job("a"))
    with_foresight(world, command)
    assert foresee(world.state, world.planner, command) == []


def ends_with_foresight(pick: int) -> Step:
    def step(world: World) -> None:
        live = list(world.state.attempts)
        if live:
            is_foreseen(world, end(world, live[pick % len(live)]))

    return step


def submits_with_foresight(jobs: tuple[JobSpec, ...], number: int) -> Step:
    def step(world: World) -> None:
        command = SubmitRun(run=RunId(f"f-{number}"), name="pipe", jobs=jobs)
        if command.run not in world.state.runs:
            is_foreseen(world, command)

    return step


def is_foreseen(world: World, command: Command) -> None:
    foreseen, outcomes = with_foresight(world, command)
    for proposal, outcome in zip(foreseen, outcomes, strict=True):
        assert isinstance(outcome, Applied), f"{proposal} was refused: {outcome}"


steps = st.one_of(
    st.builds(ends_with_foresight, picks),
    st.builds(ends_with_foresight, picks),
    st.builds(submits_with_foresight, job_lists(), st.integers(0, 50)),
)


@settings(max_examples=150, deadline=None)
@given(histories(us=0), st.lists(steps, max_size=15))
def test_what_is_foreseen_is_accepted_and_leaves_the_planner_right(
    history: list[Step], foreseen: list[Step]
) -> None:
    world = World()
    world.join(WORKERS[0], slots=2, mem=2)
    for at in range(max(len(history), len(foreseen))):
        for step in (*history[at : at + 1], *foreseen[at : at + 1]):
            step(world)
            check_counts(world)
        world.plan()
        check_counts(world)
        check_nothing_startable_is_left(world)
