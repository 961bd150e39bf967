"""Who goes first."""

import pytest

from tests.sched.world import World, job
from titan.fsm.state import Demand
from titan.ids import JobId, RunId, WorkerId
from titan.sched.queue import Ready, ReadyQueue

ONE = Demand(("GENERAL",), (("slots", 1),))
NOBODY = WorkerId("")


@pytest.fixture
def world() -> World:
    return World()


def order(world: World) -> list[str]:
    return [name for name, _ in world.plan()]


def test_higher_priority_goes_first_and_submission_order_decides_within(world: World) -> None:
    world.join("a", slots=8)
    world.submit(job("a1"), job("a9", priority=9), job("b1"))
    world.submit(job("b9", priority=9), job("c1"))
    assert order(world) == ["a9", "b9", "a1", "b1", "c1"]


def test_heads_compete_across_demands(world: World) -> None:
    world.join("a", slots=8, tags=("GENERAL", "GPU"), memory_mb=9)
    world.submit(
        job("j0", requirement=("GPU",)),
        job("j1"),
        job("j2", requirement=("GPU",), priority=2),
        job("j3", resources={"memory_mb": 1}),
    )
    assert order(world) == ["j2", "j0", "j1", "j3"]


def test_a_job_that_no_worker_can_take_delays_nobody(world: World) -> None:
    world.join("a", slots=2)
    world.submit(job("never", requirement=("MOON",), priority=99), job("j0"), job("j1"))
    assert order(world) == ["j0", "j1"]


def test_a_large_run_goes_before_a_later_small_one_of_the_same_priority(world: World) -> None:
    world.join("a", slots=3)
    world.submit(*[job(f"big{n}") for n in range(4)])
    world.submit(job("small"))
    assert order(world) == ["big0", "big1", "big2"]


def test_a_limit_leaves_the_rest_for_the_next_plan(world: World) -> None:
    world.join("a", slots=5)
    world.submit(*[job(f"j{n}") for n in range(5)])
    assert [name for name, _ in world.plan(limit=2)] == ["j0", "j1"]
    assert order(world) == ["j2", "j3", "j4"]


def test_a_cancelled_job_is_not_proposed(world: World) -> None:
    world.join("a", slots=5)
    run = world.submit(job("j0"), job("j1"))
    world.cancel(run, "j0")
    assert order(world) == ["j1"]


def test_a_job_cancelled_and_retried_is_proposed_once(world: World) -> None:
    world.join("a", slots=5)
    run = world.submit(job("j0"), job("j1"))
    world.cancel(run, "j0")
    world.retry(run, "j0")
    assert order(world) == ["j0", "j1"]
    assert order(world) == []


def test_a_delayed_job_is_ready_when_its_time_has_come(world: World) -> None:
    world.join("a", slots=5)
    world.submit(job("j0", delay_ms=500), job("j1"))
    assert order(world) == ["j1"]
    world.sleep(500)
    assert order(world) == ["j0"]


def test_a_job_whose_withdrawal_went_unnoticed_is_dropped(world: World) -> None:
    from titan.fsm.commands import CancelRun

    world.join("a", slots=5)
    run = world.submit(job("j0"))
    world.apply(CancelRun(run=run), observed=False)
    assert order(world) == []
    assert len(world.planner.queue) == 0


def drain(queue: ReadyQueue) -> list[int]:
    found = []
    while (lane := queue.best()) is not None:
        head = queue.head(lane)
        found.append(head.seq)
        queue.discard(head.seq)
    return found


def ready(seq: int, *, priority: int = 1) -> Ready:
    return Ready(-priority, seq, RunId("r"), JobId(f"j{seq}"))


def test_a_queued_job_moves_when_its_priority_changes() -> None:
    queue = ReadyQueue()
    for seq in range(4):
        queue.add(ready(seq), demand=ONE, prefers=NOBODY)
    queue.add(ready(2, priority=5), demand=ONE, prefers=NOBODY)
    assert len(queue) == 4
    assert drain(queue) == [2, 0, 1, 3]


def test_a_queued_job_moves_when_its_demand_changes() -> None:
    queue = ReadyQueue()
    queue.add(ready(0), demand=ONE, prefers=NOBODY)
    queue.add(ready(0), demand=Demand(("GPU",), (("slots", 1),)), prefers=NOBODY)
    lane = queue.best()
    assert lane is not None
    assert lane.need.requirement == ("GPU",)
    assert drain(queue) == [0]


def test_lines_do_not_grow_with_jobs_that_left() -> None:
    queue = ReadyQueue()
    queue.add(ready(0), demand=ONE, prefers=NOBODY)
    for seq in range(1, 10_000):
        queue.add(ready(seq, priority=seq), demand=ONE, prefers=NOBODY)
        queue.best()
        queue.discard(seq)
    (lane,) = queue.lanes.values()
    assert lane.line.length < 200
    assert len(queue._race) < 200
    assert drain(queue) == [0]
    assert not queue.lanes


def test_jobs_go_in_order_whichever_order_they_came_in() -> None:
    queue = ReadyQueue()
    came = [(5, 0), (6, 0), (2, 0), (9, 3), (7, 0), (1, 3), (8, -1), (3, 0), (4, -1), (0, -1)]
    for seq, priority in came:
        queue.add(ready(seq, priority=priority), demand=ONE, prefers=NOBODY)
    queue.discard(3)
    queue.discard(9)
    left = [one for one in came if one[0] not in (3, 9)]
    assert drain(queue) == [seq for seq, _ in sorted(left, key=lambda one: (-one[1], one[0]))]
