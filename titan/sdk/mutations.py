"""Changing runs while they live, looking at how they changed, and the dead-letter queue."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Any, Final, NamedTuple

import msgspec

from titan.errors import Conflict, NotFound
from titan.fsm.commands import MutateRun
from titan.fsm.commands.mutation import Add, AnyEdit, Rerun, RerunFailed, Undo
from titan.fsm.queries.graph import (
    DeadView,
    GetGraph,
    GraphView,
    ListDead,
    ListRevisions,
    RevisionView,
    VertexView,
)
from titan.fsm.state import JobState
from titan.ids import Digest, JobId, RunId
from titan.limits import LIST_PAGE_MAX
from titan.sdk.edits import RunEdits
from titan.sdk.given import owner
from titan.sdk.runs import RunsApi
from titan.spec.model import JobSpec

_REPLAYED_AT_ONCE: Final = 1000  # so many names fit into one entry of the log


class Graph(NamedTuple):
    """A run's graph as of a revision, in order of submission. States are those of now."""

    revision: int
    jobs: tuple[VertexView, ...]


class MutationsApi(RunsApi):
    """Arguments named `run` take a run id or a handle. Every change answers the run's new revision."""

    # --- changing -------------------------------------------------------------------------------

    async def mutate(
        self,
        run: object,
        edits: RunEdits | Iterable[AnyEdit],
        *,
        if_revision: int = 0,
        note: str = "",
    ) -> int:
        """Change a live run: all of the edits or none. Answers its new revision.

        With `if_revision` only while that is the run's revision, else `Conflict` (`revision_changed`).
        `Conflict` and `InvalidSpec` tell why the run cannot be as asked.
        """
        listed = list(edits.edits if isinstance(edits, RunEdits) else edits)
        if isinstance(edits, RunEdits) and edits.jobs:
            listed.insert(0, Add(jobs=await self._prepare(run, edits.jobs)))
        command = MutateRun(
            run=RunId(str(run)),
            edits=tuple(listed),
            if_revision=if_revision,
            by=owner(),
            note=note,
        )
        revision = int(await self._write(command))
        if isinstance(edits, RunEdits):
            edits.revision = revision
        return revision

    async def add_yaml(
        self,
        run: object,
        path: str | os.PathLike[str],
        *,
        if_revision: int = 0,
        note: str = "",
    ) -> int:
        """Add the jobs of a pipeline's YAML file; they may depend on jobs that the run has. What the
        file says about the pipeline itself, such as parameters, does not count."""
        from titan.spec.yaml_file import load_pipeline

        loaded = await asyncio.to_thread(lambda: load_pipeline(path, open_world=True))
        bundle = await asyncio.to_thread(loaded.pack)
        jobs = loaded.spec.jobs
        if bundle is not None:
            with bundle:
                await self._put_bundle(bundle)
            jobs = tuple(_in_bundle(job, bundle.digest) for job in jobs)
        return await self.mutate(run, [Add(jobs=jobs)], if_revision=if_revision, note=note)

    @contextlib.asynccontextmanager
    async def changing(
        self, run: object, *, if_revision: int = 0, note: str = ""
    ) -> AsyncIterator[RunEdits]:
        """Collect edits in a block; they are committed together when it ends, unless it raises."""
        edits = RunEdits()
        yield edits
        if edits.edits or edits.jobs:
            await self.mutate(run, edits, if_revision=if_revision, note=note)

    async def set_job(self, run: object, job: str, **fields: Any) -> int:
        """Change fields of a job that has not started, as `RunEdits.set` names them."""
        return await self.mutate(run, RunEdits().set(job, **fields))

    async def set_priority(self, run: object, job: str, priority: int) -> int:
        """Let a job that has not started go earlier (higher) or later."""
        return await self.set_job(run, job, priority=priority)

    async def set_requirement(self, run: object, job: str, requirement: str | Iterable[str]) -> int:
        """Let a job that has not started ask for other capabilities."""
        return await self.set_job(run, job, requirement=requirement)

    async def set_resources(self, run: object, job: str, resources: Mapping[str, float]) -> int:
        """Let a job that has not started ask for other resources."""
        return await self.set_job(run, job, resources=resources)

    async def set_parents(self, run: object, job: str, parents: Iterable[str]) -> int:
        """Let a job that has not started wait for other parents."""
        return await self.set_job(run, job, parents=list(parents))

    async def skip(self, run: object, job: str, *, note: str = "") -> int:
        """Do not run a job that has not started; its children decide by their triggers."""
        return await self.mutate(run, RunEdits().skip(job), note=note)

    async def reroute(
        self,
        run: object,
        job: str,
        requirement: str | Iterable[str] | None = None,
        *,
        affinity: bool | None = None,
        restart: bool = False,
    ) -> int:
        """Run a job elsewhere; a running one is stopped and started again, with `restart` only."""
        edits = RunEdits().reroute(job, requirement, affinity=affinity, restart=restart)
        return await self.mutate(run, edits)

    async def rerun(self, run: object) -> int:
        """Run every failed job of a run again, and what ended because of it; in a run where none
        failed, what was cancelled. The run keeps its history."""
        return await self.mutate(run, [RerunFailed()])

    async def rerun_from(self, run: object, job: str) -> int:
        """Run an ended job again, and the descendants that ended because of it."""
        return await self.mutate(run, RunEdits().rerun(job))

    async def undo(self, run: object, revision: int = 0) -> int:
        """Undo a revision, the newest by default. Raises `Conflict` when that cannot be."""
        return await self.mutate(run, [Undo(revision=revision)])

    # --- looking --------------------------------------------------------------------------------

    async def graph(self, run: object, at: int = 0) -> Graph:
        """A run's graph, now or at an earlier revision. Raises `NotFound` when that is not known."""
        found: list[VertexView] = []
        revision = at
        while True:
            query = GetGraph(
                run=RunId(str(run)),
                at=revision,
                limit=LIST_PAGE_MAX,
                after=found[-1].id if found else "",
            )
            page = await self._read(query, GraphView)
            revision = page.revision  # the pages after belong to the first
            found += page.jobs
            if len(page.jobs) < LIST_PAGE_MAX:
                return Graph(revision, tuple(found))

    async def revisions(self, run: object) -> list[RevisionView]:
        """How a run's graph has changed, newest first."""
        return await self._read(ListRevisions(run=RunId(str(run))), list[RevisionView])

    # --- dead letters ---------------------------------------------------------------------------

    async def dead_letters(
        self,
        limit: int = 100,
        *,
        run: object = "",
        name: str = "",
        since_ms: int = 0,
        reason: str = "",
        text: str = "",
    ) -> list[DeadView]:
        """Jobs whose retries are used up, the latest first: of one run, of runs of that name, dead
        since then, with a reason that contains a text, with `text` in the name of the run, its
        pipeline or the job."""
        found: list[DeadView] = []
        while len(found) < limit:
            size = min(LIST_PAGE_MAX, limit - len(found))
            query = ListDead(
                limit=size,
                after=f"{found[-1].run}/{found[-1].job}" if found else "",
                run=str(run),
                name=name,
                since_ms=since_ms,
                reason=reason,
                text=text,
            )
            page = await self._read(query, list[DeadView])
            found += page
            if len(page) < size:
                break
        return found

    async def replay(self, job_id: str, run: object | None = None) -> None:
        """Run a dead job again in its run, with the descendants that ended because of it."""
        found = await self.get_job(job_id, run)
        if found.state != JobState.DEAD:
            why = f"job '{found.id}' of run {found.run} is {found.state} and no dead letter"
            raise Conflict(
                why, hint=f"titan rerun {found.run} --from {found.id}", reason="not_dead"
            )
        await self.mutate(found.run, [Rerun(job=found.id)])

    async def replay_all(
        self,
        *,
        run: object = "",
        name: str = "",
        since_ms: int = 0,
        reason: str = "",
        text: str = "",
    ) -> int:
        """Run every dead letter again that the filters let through; answers how many there were.

        Each run's letters go together. What has run again meanwhile is left alone.
        """
        letters = await self.dead_letters(
            1 << 30, run=run, name=name, since_ms=since_ms, reason=reason, text=text
        )
        by_run: dict[RunId, list[JobId]] = {}
        for letter in reversed(letters):
            by_run.setdefault(letter.run, []).append(letter.job)
        replayed = 0
        for run_id, jobs in by_run.items():
            for start in range(0, len(jobs), _REPLAYED_AT_ONCE):
                part = jobs[start : start + _REPLAYED_AT_ONCE]
                edits = [Rerun(job=job, only_if=JobState.DEAD.value) for job in part]
                with contextlib.suppress(NotFound):  # forgotten meanwhile
                    await self.mutate(run_id, edits)
                    replayed += len(part)
        return replayed


def _in_bundle(job: JobSpec, digest: Digest) -> JobSpec:
    """The job with its own files, not those of the run that it joins."""
    return job if job.bundle else msgspec.structs.replace(job, bundle=digest)
