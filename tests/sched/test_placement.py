"""Which worker gets which job."""

import pytest

from tests.sched.world import World, job
from titan.fsm.commands import FinishAttempt, PublishBlob, RaiseVersion
from titan.ids import Digest, JobId, RunId
from titan.limits import PREFILL_PER_SLOT_MAX, PREFILL_PLENTY
from titan.spec.manifest import FileEntry, manifest_of

DIGEST = Digest("ab" * 32)


@pytest.fixture
def world() -> World:
    return World()


def test_a_ready_job_goes_to_a_worker_that_offers_every_tag(world: World) -> None:
    world.join("a")
    world.join("b", tags=("GENERAL", "GPU"))
    world.join("c", tags=("GPU", "BIG"))
    world.submit(job("j", requirement=("BIG", "GPU")))
    assert world.plan() == [("j", "c")]


def test_the_least_loaded_worker_goes_first_and_ties_go_to_the_lower_id(world: World) -> None:
    world.join("b", slots=4)
    world.join("a", slots=4)
    world.submit(*[job(f"j{n}") for n in range(5)])
    assert [worker for _, worker in world.plan()] == ["a", "b", "a", "b", "a"]


def test_load_is_relative_to_size(world: World) -> None:
    world.join("big", slots=6)
    world.join("small", slots=2)
    world.submit(*[job(f"j{n}") for n in range(4)])
    assert [worker for _, worker in world.plan()].count("big") == 3


def test_resources_are_never_overcommitted(world: World) -> None:
    world.join("a", slots=8, gpus=3)
    world.join("b", slots=8)
    world.submit(*[job(f"j{n}", resources={"gpus": 2}) for n in range(3)])
    assert world.plan() == [("j0", "a")]
    assert world.plan() == []


def test_a_wide_job_finds_the_one_worker_with_enough_slots(world: World) -> None:
    world.join("a", slots=1)
    world.join("b", slots=4)
    world.join("c", slots=2)
    world.submit(job("j", resources={"slots": 3}))
    assert world.plan() == [("j", "b")]


def test_a_job_without_slots_runs_on_a_full_worker(world: World) -> None:
    world.join("a")
    world.submit(job("long"), job("watcher", resources={"slots": 0}))
    assert world.plan() == [("long", "a"), ("watcher", "a")]


def test_a_worker_holds_no_more_attempts_than_the_state_machine_allows(world: World) -> None:
    world.join("a")
    world.submit(*[job(f"j{n}", resources={"slots": 0}) for n in range(20)])
    assert len(world.plan()) == 1 + PREFILL_PER_SLOT_MAX


@pytest.mark.parametrize("mode", ["cordoned", "draining"])
def test_a_worker_that_is_not_open_gets_nothing_until_it_is(world: World, mode: str) -> None:
    worker = world.join("a")
    world.set_mode(worker, mode)
    world.submit(job("j"))
    assert world.plan() == []
    world.set_mode(worker, "open")
    assert world.plan() == [("j", "a")]


def test_a_worker_without_a_session_gets_nothing_until_it_connects(world: World) -> None:
    worker = world.join("a")
    world.disconnect(worker)
    world.submit(job("j"))
    assert world.plan() == []
    world.connect(worker)
    assert world.plan() == [("j", "a")]


def test_a_worker_that_comes_back_with_more_tags_is_used_for_them(world: World) -> None:
    world.join("a")
    world.submit(job("j", requirement=("GPU",)))
    assert world.plan() == []
    world.join("a", tags=("GENERAL", "GPU"))
    assert world.plan() == [("j", "a")]


def test_jobs_of_an_expired_worker_go_elsewhere(world: World) -> None:
    lost = world.join("a")
    world.submit(job("j"))
    assert world.plan() == [("j", "a")]
    world.join("b")
    world.expire(lost)
    assert world.plan() == [("j", "b")]


# --- affinity -------------------------------------------------------------------------------


def test_a_child_with_affinity_follows_its_parent_to_a_busier_worker(world: World) -> None:
    world.join("a", slots=2)
    run = world.submit(job("p"), job("other"), job("c", "p", affinity=True))
    world.plan()
    world.join("b", slots=8)
    world.end(run, "p")
    assert world.plan() == [("c", "a")]


def test_a_child_with_affinity_waits_for_its_worker_and_delays_nobody(world: World) -> None:
    world.join("a")
    run = world.submit(job("p"), job("c", "p", affinity=True))
    world.plan()
    world.end(run, "p")
    urgent = world.submit(job("urgent", priority=9))
    world.plan()
    world.join("b")
    world.submit(job("x"))
    assert world.plan() == [("x", "b")]
    world.end(urgent, "urgent")
    assert world.plan() == [("c", "a")]


def test_affinity_falls_back_when_the_parents_worker_is_lost(world: World) -> None:
    lost = world.join("a")
    run = world.submit(job("p"), job("c", "p", affinity=True))
    world.plan()
    world.end(run, "p")
    world.submit(job("x", priority=9))
    assert world.plan() == [("x", "a")]
    world.join("b", slots=2)
    assert world.plan() == []  # c waits for the worker that ran its parent
    world.expire(lost)
    assert world.plan() == [("x", "b"), ("c", "b")]


@pytest.mark.parametrize("mode", ["cordoned", "draining"])
def test_affinity_falls_back_when_the_parents_worker_takes_no_work(world: World, mode: str) -> None:
    a = world.join("a")
    run = world.submit(job("p"), job("c", "p", affinity=True))
    world.plan()
    world.join("b")
    world.end(run, "p")
    world.set_mode(a, mode)
    assert world.plan() == [("c", "b")]


def test_a_job_that_waits_for_its_worker_goes_elsewhere_once_that_one_is_cordoned(
    world: World,
) -> None:
    a = world.join("a")
    run = world.submit(job("p"), job("c", "p", affinity=True))
    world.plan()
    world.end(run, "p")
    world.submit(job("urgent", priority=9))
    assert world.plan() == [("urgent", "a")]
    world.join("b")
    assert world.plan() == []
    world.set_mode(a, "cordoned")
    assert world.plan() == [("c", "b")]


def test_short_jobs_with_affinity_do_not_starve_a_waiting_job(world: World) -> None:
    world.join("a")
    world.learn()
    run = world.submit(job("p"), *[job(f"c{n}", "p", affinity=True) for n in range(3)])
    world.plan()
    world.submit(job("long", priority=9), name="slow")
    world.submit(job("next"))
    world.end(run, "p")
    assert world.plan() == [("long", "a")]
    short = world.submit(job("short", priority=20))
    world.submit(job("long2", priority=9), name="slow")
    world.end(RunId(f"r-{2:020d}"), "long")
    assert world.plan() == [("short", "a")]  # and no child in the queue behind it
    world.end(short, "short")
    assert world.plan() == [("long2", "a")]


def test_affinity_falls_back_when_the_parents_worker_is_not_capable(world: World) -> None:
    world.join("a")
    run = world.submit(job("p"), job("c", "p", affinity=True, requirement=("GPU",)))
    world.plan()
    world.join("b", tags=("GPU",))
    world.end(run, "p")
    assert world.plan() == [("c", "b")]


# --- pre-filling ----------------------------------------------------------------------------


def test_short_jobs_wait_on_the_worker_and_not_for_a_round_trip(world: World) -> None:
    world.join("a", slots=2)
    world.learn(us=10_000)
    world.submit(*[job(f"j{n}") for n in range(50)])
    assert len(world.plan()) == 2 + 2 * 5  # 50 ms of work for each slot
    assert world.plan() == []


def test_a_place_in_a_long_queue_may_wait_for_others_and_one_in_a_short_queue_may_not(
    world: World,
) -> None:
    world.join("a", slots=2)
    world.learn(us=1_000)
    run = world.submit(*[job(f"j{n}") for n in range(100)])
    assert not world.planner.may_wait, "nothing has been placed yet"
    placed = [name for name, _ in world.plan()]
    assert not world.planner.may_wait, "nothing to do is no reason to wait"
    left = len(placed)
    while left > 2 * (1 + PREFILL_PLENTY):
        world.end(run, placed[len(placed) - left])
        left -= 1
        assert world.planner.may_wait
    world.end(run, placed[len(placed) - left])
    assert not world.planner.may_wait
    assert len(world.plan()) == len(placed) - left + 1


def test_a_job_that_another_worker_would_start_at_once_does_not_wait(world: World) -> None:
    world.join("a", slots=2)
    world.learn(us=1_000)
    run = world.submit(*[job(f"j{n}") for n in range(50)])
    placed = world.plan()
    world.end(run, placed[0][0])
    assert world.planner.may_wait
    world.join("b")
    assert not world.planner.may_wait


def test_the_depth_of_prefilling_is_bounded(world: World) -> None:
    world.join("a", slots=2)
    world.learn(us=10)
    world.submit(*[job(f"j{n}") for n in range(50)])
    assert len(world.plan()) == 2 * (1 + PREFILL_PER_SLOT_MAX)


@pytest.mark.parametrize("us", [0, 50_001, 10**9])
def test_long_and_unknown_jobs_are_never_prefilled(world: World, us: int) -> None:
    world.join("a", slots=2)
    world.learn(us=us)
    world.submit(*[job(f"j{n}") for n in range(50)])
    assert len(world.plan()) == 2


def test_nothing_is_prefilled_while_a_capable_worker_has_a_free_slot(world: World) -> None:
    world.join("a", slots=1)
    world.join("b", slots=3)
    world.learn()
    world.submit(*[job(f"j{n}") for n in range(4)])
    assert sorted(worker for _, worker in world.plan()) == ["a", "b", "b", "b"]


def test_a_slot_behind_a_long_job_is_not_prefilled(world: World) -> None:
    world.join("a", slots=2)
    world.submit(job("long"), name="slow")
    world.plan()
    world.learn(us=25_000)
    world.submit(*[job(f"j{n}") for n in range(10)])
    assert len(world.plan()) == 1 + 2  # one quick slot, two deep


def test_a_waiting_job_is_not_starved_by_short_ones_behind_it(world: World) -> None:
    world.join("a", tags=("GENERAL", "ANY"))
    world.learn()
    early = world.submit(job("early"))
    waiting = world.submit(job("long"), name="slow")
    world.submit(*[job(f"j{n}", requirement=("ANY",)) for n in range(5)])
    assert world.plan() == [("early", "a")]
    world.end(early, "early")
    assert world.plan() == [("long", "a")]
    world.end(waiting, "long")
    assert len(world.plan()) == 5


def test_who_gave_way_has_its_turn_in_the_plan_that_places_the_other(world: World) -> None:
    world.join("a", memory_mb=9)
    world.learn()
    world.submit(job("early"))
    assert world.plan() == [("early", "a")]
    world.submit(job("long"), name="slow")
    world.submit(job("j", resources={"memory_mb": 9}))
    assert world.plan() == [], "no place is left on 'a' before 'long' has one"
    world.join("b")
    assert world.plan() == [("long", "b"), ("j", "a")]


def test_wide_jobs_are_not_prefilled(world: World) -> None:
    world.join("a", slots=2)
    world.learn()
    world.submit(*[job(f"j{n}", resources={"slots": 2}) for n in range(5)])
    assert len(world.plan()) == 1


def test_prefilled_jobs_do_not_overcommit_other_resources(world: World) -> None:
    world.join("a", slots=1, memory_mb=300)
    world.learn()
    world.submit(*[job(f"j{n}", resources={"memory_mb": 100}) for n in range(9)])
    assert len(world.plan()) == 3


def test_a_job_goes_where_its_files_are_if_there_is_room(world: World) -> None:
    world.join("a", slots=4)
    world.join("b", slots=2)
    world.apply(RaiseVersion(version=2))
    world.apply(PublishBlob(digest=DIGEST, size=9, holders=("m1",)))
    world.submit(
        job("busy"),
        job("make", artifacts_out=("f",)),
        *[job(f"use{n}", "make", artifacts_in=("make:f",)) for n in range(3)],
    )
    assert world.plan() == [("busy", "a"), ("make", "b")]
    left = manifest_of([FileEntry("f", DIGEST, 9, 0o644)])
    made = world.state.runs[next(iter(world.state.runs))].jobs[JobId("make")].live
    world.apply(FinishAttempt(attempt=made, exit_code=0, artifacts=left))
    assert world.plan() == [("use0", "b"), ("use1", "b"), ("use2", "a")]
