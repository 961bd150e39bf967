"""Where services go: back to their worker if there is room, never where their port is held."""

from __future__ import annotations

import pytest

from tests.sched.world import World, job
from titan.fsm.commands import DescribeWorker, FinishAttempt, SetServiceHealth
from titan.ids import JobId, RunId, WorkerId
from titan.sched.explain import why
from titan.spec.model import JobSpec


def service(name: str, **fields: object) -> JobSpec:
    return job(name, type="service", **fields)


def host(world: World, name: str, *, machine: str = "", slots: int = 2) -> WorkerId:
    worker = world.join(name, slots=slots)
    ports = (31_000, 31_009)
    world.must(DescribeWorker(worker=worker, host="h", machine=machine or name, ports=ports))
    return worker


@pytest.fixture
def world() -> World:
    return World()


def crash(world: World, run: RunId, name: str) -> None:
    world.must(FinishAttempt(attempt=world.live(run, name).id, exit_code=1, duration_us=1))


def reason(world: World, run: RunId, name: str) -> str:
    found = world.state.runs[run]
    return why(world.state, world.planner, found, found.jobs[JobId(name)], now_ms=world.now_ms).code


def test_a_service_goes_back_to_its_worker_if_there_is_room(world: World) -> None:
    host(world, "a")
    run = world.submit(service("web"))
    assert world.plan() == [("web", "a")]
    host(world, "b", slots=9)
    crash(world, run, "web")
    world.sleep(500)
    assert world.plan() == [("web", "a")]


def test_it_goes_elsewhere_rather_than_wait_for_its_worker(world: World) -> None:
    host(world, "a", slots=1)
    run = world.submit(service("web"))
    world.plan()
    crash(world, run, "web")
    world.submit(job("long"))
    assert world.plan() == [("long", "a")]
    host(world, "b")
    world.sleep(500)
    assert world.plan() == [("web", "b")]


def test_a_service_never_queues_behind_short_jobs(world: World) -> None:
    host(world, "a", slots=1)
    world.learn()
    world.submit(job("short"))
    run = world.submit(service("web"))
    assert world.plan() == [("short", "a")]
    assert reason(world, run, "web") == "slots"


def test_it_is_not_placed_where_its_port_is_held_and_comes_when_it_is_free(world: World) -> None:
    host(world, "a1", machine="a")
    host(world, "a2", machine="a")
    first = world.submit(service("web", port=8080))
    world.plan()
    world.must(SetServiceHealth(attempt=world.live(first, "web").id, health="healthy"))
    second = world.submit(service("api", port=8080))
    host(world, "b")
    assert world.plan() == [("api", "b")]
    world.must(SetServiceHealth(attempt=world.live(second, "api").id, health="healthy"))
    world.expire(WorkerId("b"))
    assert world.plan() == []
    assert reason(world, second, "api") == "port"
    world.set_mode(WorkerId("a1"), "cordoned")
    assert world.plan() == []
    world.cancel(first, "web")
    assert world.plan() == [("api", "a2")]


def test_a_new_service_whose_port_is_held_everywhere_fails(world: World) -> None:
    host(world, "a")
    first = world.submit(service("web", port=8080))
    world.plan()
    run = world.submit(service("api", port=8080))
    world.commit(world.propose())
    assert world.job(run, "api").state == "FAILED"
    assert f"held by service 'web' of run {first}" in world.job(run, "api").reason
    assert world.propose() == []


def test_two_new_services_with_one_port_do_not_both_get_it(world: World) -> None:
    host(world, "a", slots=4)
    run = world.submit(service("s1", port=80), service("s2", port=80))
    world.commit(world.propose())
    world.sleep(1000)
    world.commit(world.propose())
    assert [world.job(run, name).state for name in ("s1", "s2")] == ["RUNNING", "FAILED"]


def test_old_workers_get_no_services(world: World) -> None:
    world.join("old")
    run = world.submit(service("web"))
    assert world.plan() == []
    assert reason(world, run, "web") == "no_services"
    host(world, "young")
    assert world.plan() == [("web", "young")]
