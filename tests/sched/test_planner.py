"""Proposals on their way, refusals, and pulling attempts back."""

import pytest

from tests.fsm.logs import steps_at_most
from tests.sched.world import World, job
from titan.fsm.commands import AdvanceTime, MutateRun
from titan.fsm.commands.mutation import Change, Fields
from titan.fsm.outcomes import Applied, Rejected
from titan.ids import JobId, WorkerId
from titan.limits import REFUSED_REST_MS, RETRACTION_TIMEOUT_MS
from titan.sched.explain import why
from titan.sched.retraction import Retraction
from titan.sched.seat import Hold


@pytest.fixture
def world() -> World:
    return World()


def retractions(world: World) -> list[Retraction]:
    return world.planner.retractions(now_ms=world.now_ms)


def crowd(world: World, *, jobs: int = 4) -> tuple[Retraction, ...]:
    """One worker with a slot and a queue; answers what to ask back, newest first."""
    a = world.join("a")
    world.learn()
    world.submit(*[job(f"j{n}") for n in range(jobs)])
    assert len(world.plan()) == jobs
    return tuple(Retraction(n, a) for n in reversed(world.state.workers[a].live))


# --- in flight ------------------------------------------------------------------------------


def test_nothing_is_proposed_twice_and_room_is_kept_for_it(world: World) -> None:
    world.join("a", slots=2)
    world.submit(*[job(f"j{n}") for n in range(4)])
    first = world.propose()
    assert len(first) == 2
    assert world.propose() == []
    world.commit(first)
    assert world.propose() == []


def test_settling_before_or_after_the_events_makes_no_difference(world: World) -> None:
    world.join("a", slots=2)
    world.submit(*[job(f"j{n}") for n in range(2)])
    for proposal in world.propose():
        outcome = world.apply(proposal, observed=False)
        world.planner.settled(proposal, accepted=True)
        world.planner.observe(outcome.events)  # type: ignore[union-attr]
    seat = world.planner.fleet.seats[WorkerId("a")]
    assert (seat.used, len(seat.held), len(seat.reserved)) == (2, 2, 0)


def test_a_refused_proposal_gives_room_and_job_back(world: World) -> None:
    world.join("a")
    world.submit(job("j"))
    (proposal,) = world.propose()
    world.planner.settled(proposal, accepted=False)
    assert world.planner.fleet.seats[WorkerId("a")].used == 0
    world.join("b")
    assert world.plan() == [("j", "b")]


def test_a_worker_that_was_refused_rests_so_that_there_is_no_hot_loop(world: World) -> None:
    world.join("a")
    world.submit(job("j"))
    (proposal,) = world.propose()
    world.planner.settled(proposal, accepted=False)
    assert world.propose() == []
    assert world.planner.wake_at_ms == world.now_ms + REFUSED_REST_MS
    world.now_ms += REFUSED_REST_MS
    assert world.plan() == [("j", "a")]
    assert world.planner.wake_at_ms is None


def test_a_job_cancelled_while_proposed_is_forgotten(world: World) -> None:
    world.join("a")
    run = world.submit(job("j"))
    (proposal,) = world.propose()
    world.cancel(run, "j")
    outcomes = world.commit([proposal])
    assert isinstance(outcomes[0], Rejected)
    assert world.planner.fleet.seats[WorkerId("a")].used == 0
    assert world.propose() == []


def test_an_assignment_of_an_earlier_leader_counts(world: World) -> None:
    world.join("a")
    world.submit(job("j0"), job("j1"))
    (proposal,) = world.propose(limit=1)
    world.planner = world.rebuilt()  # an election; the proposal commits all the same
    world.apply(proposal)
    assert world.propose() == []


def test_a_worker_that_is_forgotten_leaves_nothing_behind(world: World) -> None:
    world.expire(world.join("a"))
    world.sleep(25 * 3_600_000)
    assert not world.state.workers
    assert not world.planner.fleet.seats


# --- retraction -----------------------------------------------------------------------------


def test_idle_workers_take_over_the_newest_queued_attempts(world: World) -> None:
    asked = crowd(world)
    world.join("b", slots=2)
    assert world.plan() == []
    assert retractions(world) == list(asked[:2])


def test_each_attempt_is_asked_for_once_and_no_more_than_idle_workers_can_take(
    world: World,
) -> None:
    crowd(world)
    world.join("b")
    world.plan()
    assert len(retractions(world)) == 1
    assert retractions(world) == []


def test_an_attempt_given_back_goes_to_the_idle_worker(world: World) -> None:
    crowd(world)
    world.join("b")
    world.plan()
    (asked,) = retractions(world)
    world.give_back(asked.attempt)
    assert world.plan() == [("j3", "b")]
    assert retractions(world) == []


def test_what_runs_is_never_asked_for(world: World) -> None:
    asked = crowd(world)
    for retraction in asked:
        world.planner.started(retraction.attempt)
    world.join("b", slots=8)
    world.plan()
    assert retractions(world) == []


def test_the_first_attempts_within_the_slots_count_as_running(world: World) -> None:
    asked = crowd(world)
    world.join("b", slots=8)
    world.plan()
    assert retractions(world) == list(asked[:-1])


def test_no_answer_means_that_it_has_started(world: World) -> None:
    asked = crowd(world, jobs=3)
    world.join("b")
    world.plan()
    assert retractions(world) == [asked[0]]
    world.now_ms += RETRACTION_TIMEOUT_MS
    assert retractions(world) == [asked[1]]


def test_nothing_is_pulled_back_while_ready_jobs_could_use_the_room(world: World) -> None:
    crowd(world)
    world.join("b")
    world.submit(job("new"))
    assert retractions(world) == []
    assert world.plan() == [("new", "b")]
    assert retractions(world) == []


def test_a_job_that_nobody_can_take_does_not_stop_retraction(world: World) -> None:
    crowd(world)
    world.submit(job("never", requirement=("MOON",)))
    world.join("b")
    world.plan()
    assert len(retractions(world)) == 1


def test_nothing_is_pulled_back_for_workers_that_could_not_run_it(world: World) -> None:
    crowd(world)
    world.join("b", tags=("GPU",))
    world.plan()
    assert retractions(world) == []


def test_a_draining_worker_gives_its_queue_to_others(world: World) -> None:
    asked = crowd(world)
    world.set_mode(WorkerId("a"), "draining")
    world.join("b", slots=9)
    world.plan()
    assert len(retractions(world)) == len(asked) - 1


def test_attempts_that_belong_on_their_worker_stay_there(world: World) -> None:
    world.join("a")
    world.learn()
    run = world.submit(job("p"), *[job(f"c{n}", "p", affinity=True) for n in range(3)])
    world.plan()
    world.end(run, "p")
    assert len(world.plan()) == 3
    world.join("b")
    world.plan()
    assert retractions(world) == []


# --- runs that have to be settled first -----------------------------------------------------


def test_jobs_of_a_run_that_has_to_be_settled_first_keep_no_worker_from_others(
    world: World,
) -> None:
    with steps_at_most(3):
        children = [job(f"c{n}", "root") for n in range(9)]
        large = world.submit(job("root"), *children, job("apart"))
        world.cancel(large, "root")
        world.submit(job("other"))
        world.join("a", slots=2)
        assert world.plan() == [("other", "a")]
        run = world.state.runs[large]
        answer = why(world.state, world.planner, run, run.jobs[JobId("apart")], now_ms=0)
        assert answer.code == "settling"
        assert answer.text == "it waits until the cancelling of 'root' is carried out"
        successor = world.rebuilt()
        while world.state.unsettled:
            result = world.apply(AdvanceTime())
            successor.observe(result.events)  # type: ignore[union-attr]
        assert world.plan() == [("apart", "a")]
        assert not successor.is_behind


def test_a_job_that_changes_while_it_is_proposed_takes_what_it_asks_for_now(world: World) -> None:
    worker = world.join("w1", slots=4, gpus=4)
    run = world.submit(job("a"), job("b", resources={"gpus": 3}))
    [first, _] = sorted(world.propose(), key=lambda proposal: proposal.job)
    change = Change(job=JobId("a"), set=Fields(resources={"gpus": 2}, priority=3))
    assert isinstance(
        world.commit([first], before=[MutateRun(run=run, edits=(change,))])[0], Applied
    )
    assert world.state.workers[worker].used == {"gpus": 2}
    assert sum(hold.need.others == (("gpus", 2),) for hold in _held(world, worker)) == 1


def _held(world: World, worker: WorkerId) -> list[Hold]:
    return list(world.planner.fleet.seats[worker].held.values())


def test_a_queued_job_moves_when_it_asks_for_something_else(world: World) -> None:
    world.join("plain")
    world.join("gpu", tags=("GPU",))
    run = world.submit(job("a", requirement=("GPU", "MOON")), job("b"), job("c"))
    world.plan()
    where = Change(job=JobId("a"), set=Fields(requirement=("GPU",)))
    world.must(MutateRun(run=run, edits=(where,)))
    assert world.plan() == [("a", "gpu")]
