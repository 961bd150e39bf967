"""What is explained is what is done: the planner does what `why` said that it would do."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.sched.test_properties import WORKERS, end_one, histories, joins, ready_jobs
from tests.sched.world import World
from tests.sched.world import job as job_of
from titan.fsm.commands import CancelJob, JoinWorker, RecordLaunch, SetPool
from titan.fsm.state import Job, Run
from titan.ids import WorkerId
from titan.limits import SATURATED_MS
from titan.sched.autoscale import decide, offered
from titan.sched.explain import why
from titan.sched.lookout import Lookout
from titan.sched.verdicts import Change, Why

Step = Callable[[World], None]
NOT_WAITING = ("placing", "unread", "running", "queued_on_worker")


def explain(world: World, run: Run, job: Job) -> Why:
    return why(world.state, world.planner, run, job, now_ms=world.now_ms)


def make_it_so(world: World, change: Change, run: Run, job: Job, *, number: int) -> None:
    """Bring the change about, by the log wherever there is a command for it."""
    if change.kind == "free":
        for attempt in change.attempts:
            held = world.state.attempts.get(attempt)
            if held is not None:
                world.must(CancelJob(run=held.run, job=held.job))
    elif change.kind == "open":
        world.set_mode(change.worker, "open")
    elif change.kind == "rest":
        world.now_ms += change.after_ms
    elif change.kind == "connect":
        record = world.state.workers[change.worker]
        if record.online:
            world.connect(change.worker)
        else:
            tags, slots = record.capabilities, record.slots
            world.join(change.worker, tags=tags, slots=slots, **record.resources)
    elif change.kind == "worker":
        tags, slots = change.capabilities, change.slots
        world.join(f"zz{number}", tags=tags, slots=slots, **change.resources)
    elif change.kind == "priority":
        job.priority = change.priority
        world.planner = world.rebuilt(durations=world.planner.durations)
    else:
        raise AssertionError(change)


def busy() -> World:
    """Two workers that are full, one of them closed, and jobs that wait for more than one reason."""
    world = World()
    for worker, tags in zip(WORKERS[:2], (("GENERAL",), ("GENERAL", "GPU")), strict=True):
        world.join(worker, tags=tags, slots=2, mem=2)
    fills = [{"mem": 1}, {"slots": 1}, {"mem": 2}, {}]
    world.submit(*[job_of(f"f{n}", resources=one) for n, one in enumerate(fills)])
    world.plan()
    world.submit(
        job_of("m", resources={"mem": 2}),
        job_of("s", resources={"slots": 2}),
        job_of("g", requirement=("GPU",), priority=2),
        *[job_of(f"q{n}", priority=1 + n % 2) for n in range(3)],
    )
    world.plan()
    return world


def check(world: World, pick: int, *, number: int) -> None:
    """Ask about one ready job, do what the answer says, and look whether the planner agrees."""
    waiting = ready_jobs(world)
    if not waiting:
        return
    run, job = waiting[pick % len(waiting)]
    answer = explain(world, run, job)
    if answer.code in NOT_WAITING:
        return
    assert answer.change.proven, answer
    assert (answer.code == "next") == (answer.change.kind == "nothing")
    if answer.change.kind != "nothing":
        make_it_so(world, answer.change, run, job, number=number)
    assert (job.id, run.id) in [(p.job, p.run) for p in commit(world)], answer


def commit(world: World) -> list:
    proposals = world.propose()
    world.commit(proposals)
    return proposals


@settings(max_examples=150, deadline=None)
@given(histories(us=0), st.lists(st.integers(0, 50), max_size=30))
def test_the_change_that_is_named_starts_the_job(history: list[Step], picks: list[int]) -> None:
    world = busy()
    for at, step in enumerate(history):
        step(world)
        if at % 2:
            world.plan()
        check(world, picks[at] if at < len(picks) else at, number=at)
        world.plan()


def submits(world: World) -> None:
    world.submit(job_of("j0", resources={"mem": 2}), job_of("j1"), job_of("j2"))


@settings(max_examples=100, deadline=None)
@example(  # "j0" leaves its place to "s", which then goes to a worker that is no use to "j0"
    history=[
        submits,
        end_one(4, 0, 5_000),
        end_one(0, 0, 5_000),
        joins(WORKERS[0], ("GENERAL",), 3, 0),
    ],
    picks=[],
)
@given(histories(us=5_000), st.lists(st.integers(0, 50), max_size=30))
def test_so_it_does_where_short_jobs_queue_on_workers(
    history: list[Step], picks: list[int]
) -> None:
    world = busy()
    world.learn(us=9_000)
    for at, step in enumerate(history):
        step(world)
        check(world, picks[at] if at < len(picks) else at, number=at)
        world.plan()


@settings(max_examples=60, deadline=None)
@given(histories(us=0))
def test_a_question_changes_nothing(history: list[Step]) -> None:
    world, silent = World(), World()
    for one in (world, silent):
        one.join(WORKERS[0], slots=2, mem=2)
    for step in history:
        step(world)
        step(silent)
        for run, job in ready_jobs(world):
            explain(world, run, job)
        assert world.plan() == silent.plan()


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 3), st.integers(1, 3), st.lists(st.integers(1, 2), min_size=1, max_size=6))
def test_a_pool_that_is_raised_as_told_starts_the_job(
    have: int, slots: int, sizes: list[int]
) -> None:
    """`why` names the pool, its maximum is raised, the autoscaler launches, and the planner assigns."""
    world, lookout = World(), Lookout()
    for number in range(have):
        world.join(f"p{number}", tags=("GENERAL", "GPU"), slots=slots)
    set_pool(world, slots=slots, workers_max=0)
    specs = [
        job_of(f"j{n}", requirement=("GPU",), resources={"slots": min(size, slots)})
        for n, size in enumerate(sizes * 3)
    ]
    run = world.submit(*specs)
    for _ in range(20):  # enough for every job
        world.plan()
        world.now_ms += SATURATED_MS
        found = decide(lookout.look(world.state, world.planner, now_ms=world.now_ms))
        waiting = ready_jobs(world)
        if not waiting:
            return
        first = min((job for _, job in waiting), key=lambda job: (-job.priority, job.seq))
        answer = why(
            world.state,
            world.planner,
            world.state.runs[run],
            first,
            now_ms=world.now_ms,
            standings=found.standings,
        )
        assert answer.pools[0].serves
        change = answer.change
        if change.kind == "free":  # where something runs, its end is the smaller change
            make_it_so(world, change, world.state.runs[run], first, number=0)
        elif change.kind == "raise_max":
            raise_and_launch(world, lookout, slots=slots)
        elif answer.code != "next":
            raise AssertionError(answer)
        assert first.id in [job for job, _ in world.plan()], answer
    raise AssertionError("the jobs never end")


def set_pool(world: World, *, slots: int, workers_max: int) -> None:
    world.must(
        SetPool(
            name="p", capabilities=("GPU",), slots=slots, workers_max=workers_max, cooldown_ms=0
        )
    )


def raise_and_launch(world: World, lookout: Lookout, *, slots: int) -> None:
    pool = world.state.pools["p"]
    set_pool(world, slots=slots, workers_max=pool.workers_max + 1)
    world.now_ms += SATURATED_MS  # a queue that has just come might pass by itself
    seen = lookout.look(world.state, world.planner, now_ms=world.now_ms)
    (launch,) = decide(seen).launches
    name = f"l-{len(world.state.workers)}"
    world.must(RecordLaunch(pool=launch.pool, launches=(name,)))
    worker = WorkerId(f"x{len(world.state.workers)}")
    tags = offered(world.state.pools["p"])
    join = JoinWorker(
        worker=worker, incarnation=1, capabilities=tags, slots=slots, launch=name, ephemeral=True
    )
    world.must(join)
    world.connect(worker)
