"""Why a job does not run, and what would change that."""

import pytest

from tests.sched.world import World, job
from titan.fsm.commands import RecordLaunch, SetPool
from titan.fsm.state import JobState
from titan.ids import JobId, RunId, WorkerId
from titan.sched.autoscale import AT_MAX, STARTING, Standing
from titan.sched.explain import why
from titan.sched.verdicts import Why


@pytest.fixture
def world() -> World:
    return World()


def ask(world: World, run: RunId, name: str, **standings: Standing) -> Why:
    world.plan()
    answer = explain(world, run, name, **standings)
    assert answer.text
    return answer


def explain(world: World, run: RunId, name: str, **standings: Standing) -> Why:
    found = world.state.runs[run]
    return why(
        world.state,
        world.planner,
        found,
        found.jobs[JobId(name)],
        now_ms=world.now_ms,
        standings=standings,
    )


def test_parents(world: World) -> None:
    run = world.submit(*[job(f"p{n}") for n in range(5)], job("j", *[f"p{n}" for n in range(5)]))
    answer = ask(world, run, "j")
    assert answer.code == "parents"
    assert answer.change.text == "the end of p0, p1, p2 and 2 more"
    assert answer.change.jobs == tuple(f"p{n}" for n in range(5))


def test_a_gate_says_which_one_waits_for_a_person(world: World) -> None:
    run = world.submit(job("g"), job("j", "g"))
    world.job(run, "g").state = JobState.WAITING
    assert explain(world, run, "g").change.text == "approve 'g'"
    below = explain(world, run, "j")
    assert (below.code, below.change.kind, below.change.jobs) == ("gate", "approve", ("g",))
    assert "'g' (WAITING)" in below.text


def test_a_delay(world: World) -> None:
    run = world.submit(job("j", delay_ms=500))
    world.now_ms += 100
    answer = ask(world, run, "j")
    assert (answer.code, answer.text) == ("delay", "its delay ends in 400 ms")
    assert (answer.change.kind, answer.change.after_ms) == ("time", 400)


def test_a_back_off(world: World) -> None:
    world.join("a")
    run = world.submit(job("j"))
    world.plan()
    world.end(run, "j", exit_code=3)
    answer = ask(world, run, "j")
    assert answer.code == "retry"
    assert "exit code 3" in answer.text


def test_a_running_and_an_ended_job(world: World) -> None:
    world.join("a")
    run = world.submit(job("j", retries=0))
    assert ask(world, run, "j").code == "running"
    world.end(run, "j", exit_code=1)
    assert ask(world, run, "j").change.text == "retry 'j'"


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


def test_room_that_a_proposal_on_its_way_has_taken_is_not_free(world: World) -> None:
    world.join("a")
    run = world.submit(job("i"), job("j"))
    assert [one.job for one in world.propose()] == ["i"]
    answer = explain(world, run, "j")
    assert (answer.code, answer.change.kind) == ("slots", "worker")


def test_no_workers_at_all(world: World) -> None:
    answer = ask(world, world.submit(job("j")), "j")
    assert answer.code == "no_workers"
    assert answer.change.text == "a worker with 1 free slot"
    assert answer.change.proven


def test_a_capability_that_nobody_offers(world: World) -> None:
    world.join("a")
    run = world.submit(job("j", requirement=("BIG", "GPU")))
    answer = ask(world, run, "j")
    assert answer.code == "capability"
    assert answer.change.text == "a worker with BIG and GPU and 1 free slot"
    (verdict,) = answer.workers
    assert (verdict.worker, verdict.filter, verdict.code) == ("a", "tags", "BIG")


def test_a_demand_larger_than_any_worker(world: World) -> None:
    world.join("a", gpus=1)
    world.join("b", gpus=2)
    run = world.submit(job("j", resources={"gpus": 4}), job("k", resources={"slots": 2}))
    large = ask(world, run, "j")
    assert (large.code, large.text) == (
        "size",
        "it needs 4 gpus; the largest capable worker has 2",
    )
    assert [v.text for v in large.workers] == [
        "has 1 gpus, 4 are needed",
        "has 2 gpus, 4 are needed",
    ]
    assert ask(world, run, "k").change.text == "a worker with 2 free slots"


def test_resources_that_are_taken_name_the_job_that_has_them(world: World) -> None:
    world.join("a", slots=4, gpus=2)
    run = world.submit(job("i", resources={"gpus": 1}), job("j", resources={"gpus": 2}))
    answer = ask(world, run, "j")
    assert answer.code == "resources"
    assert answer.change.kind == "free"
    assert answer.change.jobs == ("i",)
    assert answer.change.text == "1 slot and 2 gpus free on worker a: so it is when 'i' ends"
    assert answer.workers[0].text == "has 1 of 2 gpus free, 2 needed"


def test_slots_that_are_taken(world: World) -> None:
    world.join("a")
    run = world.submit(job("i"), job("j"), job("k"))
    first = ask(world, run, "j")
    assert (first.code, first.ahead) == ("slots", 0)
    assert first.change.text == "1 slot free on worker a: so it is when 'i' ends"
    second = ask(world, run, "k")
    assert (second.code, second.ahead) == ("slots", 1)
    assert second.change.kind == "worker"
    assert "1 more urgent jobs go there first" in second.change.text


@pytest.mark.parametrize("mode", ["cordoned", "draining"])
def test_workers_that_take_no_work(world: World, mode: str) -> None:
    world.set_mode(world.join("a"), mode)
    world.expire(world.join("b"))
    answer = ask(world, world.submit(job("j")), "j")
    assert (answer.code, answer.change.kind, answer.change.worker) == (mode, "open", "a")


def test_workers_that_are_not_connected(world: World) -> None:
    world.disconnect(world.join("a"))
    run = world.submit(job("j"))
    assert ask(world, run, "j").code == "no_session"
    world.expire(WorkerId("a"))
    answer = ask(world, run, "j")
    assert (answer.code, answer.change.kind) == ("offline", "connect")


def test_affinity(world: World) -> None:
    world.join("a")
    run = world.submit(job("p"), job("j", "p", affinity=True))
    world.plan()
    world.end(run, "p")
    world.submit(job("urgent", priority=9))
    world.plan()
    world.join("b")
    answer = ask(world, run, "j")
    assert answer.code == "affinity"
    assert (answer.change.kind, answer.change.jobs) == ("free", ("urgent",))
    assert answer.change.proven


def test_room_that_more_urgent_jobs_get_first(world: World) -> None:
    world.join("a")
    run = world.submit(job("j"), job("first", priority=5))
    answer = explain(world, run, "j")  # before anything is planned
    assert (answer.code, answer.ahead) == ("behind", 1)
    assert (answer.change.kind, answer.change.priority) == ("priority", 6)


def test_nothing_in_the_way(world: World) -> None:
    world.join("a")
    run = world.submit(job("j"))
    answer = explain(world, run, "j")
    assert (answer.code, answer.change.kind, answer.change.proven) == ("next", "nothing", True)


def test_an_isolation_that_no_worker_offers_is_named(world: World) -> None:
    world.join("a")
    run = world.submit(job("j", isolation="sandbox"))
    reason = ask(world, run, "j")
    assert reason.code == "capability"
    assert reason.text == "no worker offers GENERAL, sandbox"
    assert "sandbox" in reason.change.text


def test_a_fenced_job_goes_only_where_its_fence_is(world: World) -> None:
    world.join("a")
    run = world.submit(job("j", isolation="sandbox"), job("k", isolation="container", image="i"))
    world.join("b", slots=2, tags=("GENERAL", "container", "sandbox"))
    world.plan()
    assert {world.live(run, name).worker for name in "jk"} == {WorkerId("b")}


def gpu_pool(world: World, *, workers_max: int) -> None:
    pool = SetPool(name="cards", capabilities=("GPU",), workers_max=workers_max)
    world.must(pool)


def test_a_pool_at_its_maximum_is_to_be_raised(world: World) -> None:
    gpu_pool(world, workers_max=0)
    run = world.submit(job("j", requirement=("GPU",)))
    answer = ask(world, run, "j", cards=Standing(AT_MAX, "it has its maximum of 0"))
    assert (answer.change.kind, answer.change.pool) == ("raise_max", "cards")
    assert answer.change.text == "raise the maximum of pool cards above 0"
    assert [(one.pool, one.serves, one.code) for one in answer.pools] == [("cards", True, AT_MAX)]


def test_a_pool_that_is_starting_a_worker_says_so(world: World) -> None:
    gpu_pool(world, workers_max=1)
    world.must(RecordLaunch(pool="cards", launches=("l-1",)))
    run = world.submit(job("j", requirement=("GPU",)), job("k", requirement=("MOON",)))
    standing = Standing(STARTING, "what is on its way will do")
    assert ask(world, run, "j", cards=standing).change.kind == "launch"
    other = ask(world, run, "k", cards=standing)
    assert other.change.kind == "worker"
    assert (other.pools[0].serves, other.pools[0].code) == (False, "lacks")
