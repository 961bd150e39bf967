"""What the code of simulated jobs does while it runs, and after: commits of several effects at once.

A task is the real `AsyncTaskContext` in a life of its own on its worker's machine. It outlives its
worker's process, and now and then its own job: what an attempt says that has ended or was superseded
must be refused.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import msgspec

from tests.sim.children import Execution
from tests.sim.commit_model import COUNTER, KEYS
from tests.sim.loop import Life
from titan.errors import Conflict, TitanError
from titan.fsm.commands import AddJobs
from titan.fsm.state import State
from titan.ids import JobId, RunId
from titan.sdk.aio import AsyncClient
from titan.sdk.context import Identity
from titan.sdk.in_task import AsyncTaskContext
from titan.spec.model import JobSpec

if TYPE_CHECKING:
    from tests.sim.world import World

TASKS_MAX: Final = 15  # of one seed that commit anything
DEADLINE_S: Final = 4.0
CHILD: Final = "child-"  # the beginning of the names of jobs that tasks add
TURN: Final = "turn"  # a key that nobody writes: a commit that expects it to be there is refused


@dataclass(slots=True)
class Tried:
    """One commit of a task."""

    key: str
    run: RunId
    children: tuple[JobId, ...]
    answer: str = "unknown"  # or ok, or refused


class Tasks:
    """All tasks that commit something."""

    def __init__(self, world: World, rng: random.Random) -> None:
        self._world, self._rng = world, rng
        self._begun = 0
        self.tried: list[Tried] = []
        world.executions.on_began = self._began

    def _began(self, execution: Execution) -> None:
        rng = self._rng
        if execution.job.startswith(CHILD) or self._begun >= TASKS_MAX or rng.random() > 0.3:
            return
        self._begun += 1
        life = Life(execution.host, 1_000_000 + execution.attempt)
        self._world.workload.at_work[life] = None
        self._world.loop.spawn(life, self._work(life, execution), name=f"task {life}")

    async def _work(self, life: Life, execution: Execution) -> None:
        client = AsyncClient(self._world.addresses, deadline_s=DEADLINE_S)
        me = Identity(execution.run, execution.job, execution.attempt, 1, execution.fence)
        task = AsyncTaskContext(client, me)
        for number in range(self._rng.choice((1, 1, 2, 3))):
            if self._world.executions.is_quick and number:
                break
            await asyncio.sleep(self._rng.choice((0.0, 0.0, 0.01, 0.05, 0.3, 2.0)))
            await self._commit(task, f"{execution.attempt}.{life.number}.{number}")
        await client.close()
        self._world.workload.at_work.pop(life, None)

    async def _commit(self, task: AsyncTaskContext, name: str) -> None:
        rng, run = self._rng, RunId(task.run)
        count = rng.choice((0, 0, 1, 2))
        children = tuple(JobId(f"{CHILD}{name}-{number}") for number in range(count))
        tried = Tried(KEYS + name, run, children)
        self.tried.append(tried)
        self._world.note(f"attempt {task.attempt} commits {tried.key} with {children}")
        try:
            async with task.commit() as c:
                c.store_incr(COUNTER)
                c.store_put(tried.key, name)
                if children:
                    c.add(AddJobs(run=run, jobs=_jobs(children, parent=task.job)))
                if rng.random() < 0.5:
                    c.set_output({"committed": name})
                if rng.random() < 0.15:
                    c.store_cas(TURN, "mine", name)
        except Conflict as error:
            tried.answer = "refused"
            self._world.note(f"commit {tried.key} refused: {error.reason}")
        except TitanError as error:
            self._world.note(f"commit {tried.key} unknown: {error}")
        else:
            tried.answer = "ok"
            self._world.note(f"commit {tried.key} ok")

    def judge(self, state: State) -> Iterator[str]:
        """At the end: what was acknowledged is there as a whole, what was refused is not, and nothing is
        there in parts."""
        present = 0
        for tried in self.tried:
            run = state.runs.get(tried.run)
            known = {} if run is None else run.jobs
            effects = [tried.key in state.kv, *(name in known for name in tried.children)]
            present += effects[0]
            if any(effects) != all(effects):
                yield f"I3 commit {tried} is there in parts: {effects}"
            elif tried.answer == "ok" and not all(effects):
                yield f"I2 commit {tried} was acknowledged and is gone"
            elif tried.answer == "refused" and any(effects):
                yield f"I3 commit {tried} was refused and is there"
        item = state.kv.get(COUNTER)
        counted = 0 if item is None else int(item.value)
        if counted != present:
            yield f"I3 {present} commits are there, and they have counted to {counted}"


def _jobs(names: tuple[JobId, ...], *, parent: str) -> tuple[JobSpec, ...]:
    job = JobSpec(id=JobId(""), argv=(b"/bin/true",), depends_on=(JobId(parent),), retries=1)
    return tuple(msgspec.structs.replace(job, id=name) for name in names)
