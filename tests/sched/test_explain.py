"""Why a job does not run, and what would change that."""

import pytest

from tests.sched.world import World, job
from titan.ids import JobId, RunId, WorkerId
from titan.sched.explain import Reason, why


@pytest.fixture
def world() -> World:
    return World()


def ask(world: World, run: RunId, name: str) -> Reason:
    world.plan()
    reason = why(world.state, world.planner, run, JobId(name), now_ms=world.now_ms)
    assert reason.text
    return reason


def test_a_job_that_does_not_exist(world: World) -> None:
    assert ask(world, RunId("r"), "j").code == "unknown"


def test_parents(world: World) -> None:
    run = world.submit(*[job(f"p{n}") for n in range(5)], job("j", *[f"p{n}" for n in range(5)]))
    reason = ask(world, run, "j")
    assert reason.code == "parents"
    assert reason.change == "the end of p0, p1, p2 and 2 more"


def test_a_delay(world: World) -> None:
    run = world.submit(job("j", delay_ms=500))
    world.now_ms += 100
    assert ask(world, run, "j") == Reason("delay", "its delay ends in 400 ms", "400 ms of time")


def test_a_back_off(world: World) -> None:
    world.join("a")
    run = world.submit(job("j"))
    world.plan()
    world.end(run, "j", exit_code=3)
    reason = ask(world, run, "j")
    assert reason.code == "retry"
    assert "exit code 3" in reason.text


def test_a_running_and_an_ended_job(world: World) -> None:
    world.join("a")
    run = world.submit(job("j", retries=0))
    assert ask(world, run, "j").code == "running"
    world.end(run, "j", exit_code=1)
    assert ask(world, run, "j").change == "retry 'j'"


def test_a_job_queued_on_its_worker(world: World) -> None:
    world.join("a")
    world.learn()
    run = world.submit(job("i"), job("j"))
    assert ask(world, run, "i").code == "running"
    assert ask(world, run, "j").code == "queued_on_worker"


def test_a_proposal_on_its_way(world: World) -> None:
    world.join("a")
    run = world.submit(job("j"))
    world.propose()
    assert ask(world, run, "j").code == "placing"


def test_no_workers_at_all(world: World) -> None:
    assert ask(world, world.submit(job("j")), "j").code == "no_workers"


def test_a_capability_that_nobody_offers(world: World) -> None:
    world.join("a")
    run = world.submit(job("j", requirement=("GPU", "BIG")))
    reason = ask(world, run, "j")
    assert (reason.code, reason.change) == ("capability", "a worker with BIG, GPU")


def test_a_demand_larger_than_any_worker(world: World) -> None:
    world.join("a", gpus=1)
    world.join("b", gpus=2)
    run = world.submit(job("j", resources={"gpus": 4}), job("k", resources={"slots": 2}))
    assert ask(world, run, "j").text == "it needs 4 gpus; the largest capable worker has 2"
    assert ask(world, run, "k").change == "a worker with 2 slots"


def test_resources_that_are_taken(world: World) -> None:
    world.join("a", slots=4, gpus=2)
    run = world.submit(job("i", resources={"gpus": 1}), job("j", resources={"gpus": 2}))
    assert ask(world, run, "j").code == "resources"


def test_slots_that_are_taken(world: World) -> None:
    world.join("a")
    run = world.submit(job("i"), job("j"))
    reason = ask(world, run, "j")
    assert (reason.code, reason.change) == ("slots", "1 more free slot(s), as on a")


@pytest.mark.parametrize("mode", ["cordoned", "draining"])
def test_workers_that_take_no_work(world: World, mode: str) -> None:
    world.set_mode(world.join("a"), mode)
    world.expire(world.join("b"))
    assert ask(world, world.submit(job("j")), "j").code == mode


def test_workers_that_are_not_connected(world: World) -> None:
    world.disconnect(world.join("a"))
    run = world.submit(job("j"))
    assert ask(world, run, "j").code == "no_session"
    world.expire(WorkerId("a"))
    assert ask(world, run, "j").code == "offline"


def test_affinity(world: World) -> None:
    world.join("a")
    run = world.submit(job("p"), job("j", "p", affinity=True))
    world.plan()
    world.end(run, "p")
    world.submit(job("urgent", priority=9))
    world.plan()
    world.join("b")
    reason = ask(world, run, "j")
    assert (reason.code, reason.change) == ("affinity", "slots free on a, or no affinity")


def test_without_a_planner_workers_count_as_connected(world: World) -> None:
    world.join("a")
    run = world.submit(job("j"))
    assert why(world.state, None, run, JobId("j"), now_ms=0).code == "next"


def test_an_isolation_that_no_worker_offers_is_named(world: World) -> None:
    world.join("a")
    run = world.submit(job("j", isolation="sandbox"))
    reason = ask(world, run, "j")
    assert reason.code == "capability"
    assert reason.text == "no worker offers GENERAL, sandbox"
    assert "sandbox" in reason.change


def test_a_fenced_job_goes_only_where_its_fence_is(world: World) -> None:
    world.join("a")
    run = world.submit(job("j", isolation="sandbox"), job("k", isolation="container", image="i"))
    world.join("b", slots=2, tags=("GENERAL", "container", "sandbox"))
    world.plan()
    assert {world.live(run, name).worker for name in "jk"} == {WorkerId("b")}
