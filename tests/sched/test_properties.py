"""Random clusters: the planner against a slow oracle, and against a planner built from scratch."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.sched.world import World, job
from titan.fsm.commands import AssignAttempt, ExpireWorker, JoinWorker
from titan.fsm.outcomes import Rejected
from titan.fsm.state import Job, Run, State, Worker, is_ready
from titan.ids import RunId, WorkerId
from titan.limits import PREFILL_PER_SLOT_MAX
from titan.sched.planner import Planner
from titan.spec.model import JobSpec

WORKERS = [WorkerId(f"w{n}") for n in range(4)]
TAGS = [("GENERAL",), ("GPU",), ("GENERAL", "GPU"), ("GENERAL", "BIG")]
REQUIREMENTS = [("GENERAL",), ("GENERAL",), ("GPU",), ("GENERAL", "GPU"), ("MOON",)]
RESOURCES = [{}, {}, {"slots": 2}, {"mem": 2}, {"mem": 1, "slots": 3}, {"slots": 0}, {"disk": 1}]


# --- the oracle: reads the state alone, looks at everything -----------------------------------


def slots_used(world: World, worker: Worker) -> int:
    attempts = [world.state.attempts[a] for a in worker.live]
    jobs = [world.state.runs[a.run].jobs[a.job] for a in attempts]
    return sum(dict(job.demand.resources)["slots"] for job in jobs)


def is_capable(worker: Worker, job: Job) -> bool:
    totals = {**worker.resources, "slots": worker.slots}
    tags_fit = all(tag in worker.capabilities for tag in job.demand.requirement)
    return tags_fit and all(n <= totals.get(name, 0) for name, n in job.demand.resources if n)


def is_usable(world: World, worker: Worker) -> bool:
    return worker.online and worker.mode == "open" and worker.id in world.sessions


def has_room(world: World, worker: Worker, job: Job) -> bool:
    if len(worker.live) >= worker.slots * (1 + PREFILL_PER_SLOT_MAX):
        return False
    for name, amount in job.demand.resources:
        if name == "slots":
            free = worker.slots - slots_used(world, worker)
        else:
            free = worker.resources.get(name, 0) - worker.used.get(name, 0)
        if amount and amount > free:
            return False
    return True


def candidates(world: World, run: Run, job: Job) -> list[Worker]:
    workers = [w for w in world.state.workers.values() if is_usable(world, w)]
    workers = [w for w in workers if is_capable(w, job)]
    parents = [run.jobs[p] for p in job.parents] if job.affinity else []
    for parent in parents:
        pinned = [w for w in workers if w.id == parent.worker]
        if pinned:
            return pinned
    return workers


def ready_jobs(world: World) -> list[tuple[Run, Job]]:
    return [(r, j) for r in world.state.runs.values() for j in r.jobs.values() if is_ready(j)]


def check_nothing_startable_is_left(world: World) -> None:
    for run, waiting in ready_jobs(world):
        for worker in candidates(world, run, waiting):
            assert not has_room(world, worker, waiting), f"{waiting.id} could run on {worker.id}"


def check_counts(world: World) -> None:
    """Every index of the planner, against the state."""
    planner = world.planner
    assert sorted(planner.fleet.seats) == sorted(world.state.workers)
    for worker in world.state.workers.values():
        seat = planner.fleet.seats[worker.id]
        assert list(seat.held) == list(worker.live)
        assert not seat.reserved
        assert seat.used == slots_used(world, worker)
        assert seat.count == len(worker.live)
        for name, total in worker.resources.items():
            assert seat.free[name] == total - worker.used.get(name, 0)
        assert seat.slow == sum(h.need.slots for h in seat.held.values() if not h.is_short)
        assert seat.is_closed != is_usable(world, worker) or bool(seat.rests_until_ms)
    assert len(planner.queue) == len(ready_jobs(world))


# --- random histories ---------------------------------------------------------------------------

Step = Callable[[World], None]
picks = st.integers(0, 10_000)


@st.composite
def job_lists(draw: st.DrawFn) -> tuple[JobSpec, ...]:
    """Chains and loners. One parent each, so that the oracle knows which worker is preferred."""
    specs: list[JobSpec] = []
    for n in range(draw(st.integers(1, 6))):
        parents = [f"j{draw(st.integers(0, n - 1))}"] if n and draw(st.booleans()) else []
        specs.append(
            job(
                f"j{n}",
                *parents,
                priority=draw(st.integers(1, 3)),
                requirement=draw(st.sampled_from(REQUIREMENTS)),
                resources=draw(st.sampled_from(RESOURCES)),
                affinity=draw(st.booleans()),
                retries=draw(st.integers(0, 1)),
                retry_backoff_ms=10,
                delay_ms=draw(st.sampled_from([0, 0, 0, 20])),
            )
        )
    return tuple(specs)


def some_job(world: World, pick: int) -> tuple[RunId, str] | None:
    everything = [(r.id, j) for r in world.state.runs.values() for j in r.jobs]
    return everything[pick % len(everything)] if everything else None


def end_one(pick: int, exit_code: int, us: int) -> Step:
    def step(world: World) -> None:
        live = list(world.state.attempts)
        if live:
            world.finish(live[pick % len(live)], exit_code=exit_code, us=us)

    return step


def on_job(pick: int, what: str) -> Step:
    def step(world: World) -> None:
        found = some_job(world, pick)
        if found is not None:
            getattr(world, what)(*found)

    return step


def on_worker(worker: WorkerId, what: str) -> Step:
    def step(world: World) -> None:
        known = world.state.workers.get(worker)
        if known is None or (what != "expire" and not known.online):
            return
        if what in ("open", "cordoned", "draining"):
            world.set_mode(worker, what)
        else:
            getattr(world, what)(worker)

    return step


def joins(worker: WorkerId, tags: tuple[str, ...], slots: int, mem: int) -> Step:
    return lambda world: world.join(worker, tags=tags, slots=slots, mem=mem) and None


worker_ids = st.sampled_from(WORKERS)
join_steps = st.builds(
    joins, worker_ids, st.sampled_from(TAGS), st.integers(1, 4), st.integers(0, 3)
)
modes = st.sampled_from(["open", "cordoned", "draining", "expire", "connect", "disconnect"])


def histories(*, us: int) -> st.SearchStrategy[list[Step]]:
    steps = st.one_of(
        join_steps,
        st.builds(lambda jobs: lambda world: world.submit(*jobs) and None, job_lists()),
        st.builds(end_one, picks, st.sampled_from([0, 0, 0, 1]), st.just(us)),
        st.builds(end_one, picks, st.just(0), st.just(us)),
        st.builds(on_job, picks, st.sampled_from(["cancel", "retry"])),
        st.builds(on_worker, worker_ids, modes),
        st.just(lambda world: world.sleep(10)),
    )
    return st.lists(steps, max_size=30)


@settings(max_examples=150, deadline=None)
@given(histories(us=0), st.lists(st.integers(0, 3), max_size=30))
def test_the_planner_agrees_with_the_oracle_and_with_a_rebuilt_one(
    history: list[Step], limits: list[int]
) -> None:
    world = World()
    world.join(WORKERS[0], slots=2, mem=2)
    for at, step in enumerate(history):
        step(world)
        check_counts(world)
        limit = limits[at] if at < len(limits) else 10_000
        fresh = world.rebuilt().plan(now_ms=world.now_ms, limit=limit)
        assert world.propose(limit=limit) == fresh
        world.commit(fresh)
        if limit > 3:
            check_counts(world)
            check_nothing_startable_is_left(world)


@settings(max_examples=150, deadline=None)
@given(histories(us=5_000))
def test_prefilling_and_retracting_respect_every_limit(history: list[Step]) -> None:
    world = World()
    world.join(WORKERS[0], slots=2, mem=2)
    world.learn(us=9_000)
    for step in history:
        step(world)
        world.plan()
        check_counts(world)
        check_nothing_startable_is_left(world)
        asked = world.planner.retractions(now_ms=world.now_ms)
        assert len({r.attempt for r in asked}) == len(asked)
        for retraction in asked:
            assert retraction.attempt in world.state.workers[retraction.worker].live
            world.give_back(retraction.attempt)
        placed = world.plan()
        assert len(placed) >= len(asked)  # never pulled back more than can be used
        for worker in world.state.workers.values():
            assert len(worker.live) <= worker.slots * (1 + PREFILL_PER_SLOT_MAX)


def ends(worker: Worker) -> ExpireWorker:
    return ExpireWorker(worker=worker.id, incarnation=worker.incarnation)


def comes_again(worker: Worker) -> JoinWorker:
    return JoinWorker(
        worker=worker.id,
        incarnation=worker.incarnation,
        capabilities=worker.capabilities,
        slots=worker.slots,
        resources=worker.resources,
    )


@settings(max_examples=100, deadline=None)
@given(
    histories(us=5_000),
    st.lists(st.sampled_from(["hold", "commit", "fail", "elect", "crash", "reconnect"])),
)
def test_proposals_that_settle_late_fail_or_outlive_their_leader_do_no_harm(
    history: list[Step], fates: list[str]
) -> None:
    world = World()
    world.join(WORKERS[0], slots=2, mem=2)
    waiting: list[AssignAttempt] = []
    for at, step in enumerate(history):
        step(world)
        fresh = world.propose()
        keys = [(p.run, p.job) for p in waiting + fresh]
        assert len(set(keys)) == len(keys)  # nothing is proposed twice
        waiting += fresh
        fate = fates[at] if at < len(fates) else "commit"
        if fate == "elect":
            world.planner = world.rebuilt()
            waiting = []
        elif fate == "fail":
            for proposal in waiting:
                world.planner.settled(proposal, accepted=False)
            waiting = []
        elif fate in ("crash", "reconnect"):
            change = ends if fate == "crash" else comes_again
            online = [w for w in world.state.workers.values() if w.online]
            world.commit(waiting, before=[change(worker) for worker in online])
            waiting = []
        elif fate == "commit":
            world.commit(waiting)
            waiting = []
        if not waiting:
            check_counts(world)
    world.commit(waiting)
    world.now_ms += 10_000
    world.plan()
    check_counts(world)
    check_nothing_startable_is_left(world)


@settings(max_examples=100, deadline=None)
@given(histories(us=0), st.integers(0, 29))
def test_events_that_were_lost_cost_nothing_once_the_planner_is_rebuilt(
    history: list[Step], lost_at: int
) -> None:
    world = World()
    world.join(WORKERS[0], slots=2, mem=2)
    for at, step in enumerate(history):
        if at < lost_at:
            step(world)
        else:
            world.planner = Planner(State())  # it is told of a cluster that it cannot see
            step(world)
            world.planner = world.rebuilt()
        outcomes = world.commit(world.propose())
        assert not [o for o in outcomes if isinstance(o, Rejected)]
        check_nothing_startable_is_left(world)


@settings(max_examples=60, deadline=None)
@given(histories(us=0))
def test_jobs_of_equal_demand_start_by_priority_then_submission(history: list[Step]) -> None:
    world = World()
    world.join(WORKERS[0], slots=2, mem=2)
    for step in history:
        step(world)
        before = [(r.id, j.id) for r, j in ready_jobs(world)]
        started = {(a.run, a.job) for a in world.propose(limit=2)}
        jobs = [world.state.runs[r].jobs[j] for r, j in before]
        loners = [(j, k) for j, k in zip(jobs, before, strict=True) if not j.affinity]
        for late, key in loners:
            for early, other in loners:
                if early.demand != late.demand or key not in started or other in started:
                    continue
                assert (-early.priority, early.seq) > (-late.priority, late.seq)
        world.planner = world.rebuilt()
        world.plan()
