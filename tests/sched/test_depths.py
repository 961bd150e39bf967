"""How much waits, and for what."""

from tests.sched.world import World, job
from titan.fsm.state import JobState
from titan.limits import QUEUES_TOLD_MAX
from titan.sched.depths import queues


def test_ready_jobs_are_counted_by_requirement_with_what_they_wait_for() -> None:
    world = World()
    world.join("w1", slots=1)
    world.submit(*[job(f"gpu{n}", requirement=("GPU",)) for n in range(3)])
    world.submit(job("a"), job("b"), job("after", "a"))
    world.plan()
    found = queues(world.state, world.planner)
    told = {depth.requirement: (depth.jobs, depth.code) for depth in found.requirements}
    assert told[("GPU",)] == (3, "capability")
    assert found.requirements[0].text == "no worker offers GPU"
    assert found.placed + found.ready == 5
    assert (found.held, found.unpaid, found.waiting, found.others) == (1, 0, 0, 0)


def test_gates_that_wait_for_people_are_no_queue_of_workers() -> None:
    world = World()
    run = world.submit(job("gate"))
    gate, counts = world.job(run, "gate"), world.state.runs[run].counts
    counts.pop(gate.state)
    gate.state = JobState.WAITING
    counts[JobState.WAITING] = 1
    assert queues(world.state, world.planner).waiting == 1


def test_the_deepest_queues_are_named_and_the_rest_is_counted() -> None:
    world = World()
    for n in range(QUEUES_TOLD_MAX + 3):
        world.submit(*[job(f"j{m}", requirement=(f"tag{n:02}",)) for m in range(n + 1)])
    world.plan()
    found = queues(world.state, world.planner)
    assert len(found.requirements) == QUEUES_TOLD_MAX
    assert found.requirements[0].jobs == QUEUES_TOLD_MAX + 3
    assert found.others == 1 + 2 + 3
    assert found.ready == sum(range(QUEUES_TOLD_MAX + 4))
