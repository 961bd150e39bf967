"""Prints what planning costs per job: `python -m tests.sched.scale`. Nothing is asserted about time.

The clock runs only inside the planner: `plan` (choosing), and `observe` with `settled` (keeping up with
assignments and ends). A rebuild takes in the first jobs, which of a small run are all: so it counts as well
in the last column. Jobs end in the order in which they were assigned, until all have.
"""

from __future__ import annotations

import gc
import sys
import time
from collections.abc import Callable, Iterable

from tests.sched.world import World, job
from titan.fsm.commands import FinishAttempt, StageJobs, SubmitRun
from titan.ids import RunId
from titan.sched.planner import Planner
from titan.spec.model import JobSpec

SIZES = (1_000, 10_000, 100_000)
BATCH = 512
PART = 4000
RUN = RunId("r-scale")


class Clock:
    def __init__(self) -> None:
        self.total_ns = 0

    def measure(self, planner: Planner, name: str) -> None:
        """Count the time spent in one method of the planner."""
        plain: Callable[..., object] = getattr(planner, name)

        def timed(*args: object, **kwargs: object) -> object:
            start = time.thread_time_ns()
            try:
                return plain(*args, **kwargs)
            finally:
                self.total_ns += time.thread_time_ns() - start

        setattr(planner, name, timed)


def run_all(
    specs: Iterable[JobSpec], *, workers: int, slots: int, us: int, tags: int = 0
) -> tuple[float, float, float]:
    """Run everything to its end. Answers microseconds per job: plan, keep up; and ms to rebuild."""
    world = World()
    for n in range(workers):
        world.join(f"w{n:05}", slots=slots, memory_mb=64_000, cpus=64)
    jobs = tuple(specs)
    for at in range(0, len(jobs), PART):
        part = StageJobs(run=RUN, part=at // PART, jobs=jobs[at : at + PART])
        world.must(part)
    world.must(SubmitRun(run=RUN, name="pipe", jobs=(), parts=-(-len(jobs) // PART)))
    if tags:
        world.submit(*[job(f"t{n}", requirement=(f"MOON-{n}",), priority=9) for n in range(tags)])
    gc.collect()
    gc.freeze()  # the cost of collecting the state's objects is not the planner's
    start = time.thread_time_ns()
    world.planner = world.rebuilt()
    rebuild_ms = (time.thread_time_ns() - start) / 1e6
    choosing, keeping_up = Clock(), Clock()
    choosing.measure(world.planner, "plan")
    keeping_up.measure(world.planner, "observe")
    keeping_up.measure(world.planner, "settled")
    done = 0
    while done < len(jobs):
        proposals = world.propose(limit=BATCH)
        world.commit(proposals)
        ended = list(world.state.attempts)[:BATCH]
        assert ended, "nothing runs and nothing can be placed"
        world.apply_entry(*[FinishAttempt(attempt=a, exit_code=0, duration_us=us) for a in ended])
        done += len(ended)
    gc.unfreeze()
    per_job = 1000 * len(jobs)
    return choosing.total_ns / per_job, keeping_up.total_ns / per_job, rebuild_ms


def loners(count: int) -> Iterable[JobSpec]:
    return (job(f"j{n}") for n in range(count))


def varied(count: int) -> Iterable[JobSpec]:
    """Forty different demands and three priorities."""
    return (
        job(f"j{n}", priority=n % 3, resources={"memory_mb": 1000 + n % 40, "cpus": 1})
        for n in range(count)
    )


def families(count: int) -> Iterable[JobSpec]:
    """A parent and nine children that want its worker."""
    for n in range(count):
        yield job(f"j{n}") if n % 10 == 0 else job(f"j{n}", f"j{n - n % 10}", affinity=True)


def main() -> None:
    say = sys.stdout.write
    say(
        "jobs     workers  case                     plan µs/job  keep up µs/job  rebuild ms  all µs/job\n"
    )
    cases = [(size, workers, 1, "long jobs", loners, 0) for size in SIZES for workers in (1, 200)]
    cases += [
        (size, workers, 1, "short jobs", loners, 5_000) for size in SIZES for workers in (1, 200)
    ]
    cases += [(100_000, 10_000, 4, "long jobs", loners, 0)]
    cases += [(100_000, 10_000, 4, "short jobs", loners, 5_000)]
    cases += [(10_000, 200, 4, "40 demands", varied, 0)]
    cases += [(10_000, 200, 4, "affinity", families, 0)]
    cases += [(10_000, 200, 4, "1,000 nobody can take", loners, 0)]
    for size, workers, slots_each, name, make, us in cases:
        slots = 64 if workers == 1 else slots_each
        tags = 1000 if name.startswith("1,000") else 0
        plan, keep_up, rebuild = run_all(make(size), workers=workers, slots=slots, us=us, tags=tags)
        say(
            f"{size:<8} {workers:<8} {name:<24} {plan:11.1f} {keep_up:15.1f} {rebuild:11.1f} "
            f"{plan + keep_up + 1000 * rebuild / size:11.1f}\n"
        )
        sys.stdout.flush()


if __name__ == "__main__":
    main()
