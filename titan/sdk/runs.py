"""Starting runs and changing them."""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

from titan.errors import Conflict, InvalidSpec
from titan.fsm.commands import AddJobs, CancelJob, CancelRun, RetryJob, StageJobs, SubmitRun
from titan.fsm.queries import GetOutput
from titan.fsm.submission import addition, split
from titan.ids import Digest, RunId, is_run_id, new_run_id
from titan.limits import STAGES_IN_FLIGHT_MAX
from titan.sdk.artifacts import ArtifactsApi
from titan.sdk.budgets import Budget, budget_of
from titan.sdk.gates import GatesApi
from titan.sdk.given import labels_of, owner
from titan.sdk.handles import AsyncRunHandle
from titan.sdk.jobs import TitanJob
from titan.sdk.logs import LogsApi
from titan.sdk.packing import Packed, pack
from titan.sdk.payloads import blob_of, plain_value
from titan.sdk.signals import SignalsApi
from titan.spec import ancestry, graph
from titan.spec.budgets import BudgetSpec
from titan.spec.gates import gates_among, with_gates
from titan.spec.globs import needs_of
from titan.spec.inputs import fill
from titan.spec.model import Input, JobSpec, Scalar
from titan.spec.problems import Problems

Parameter = str | int | float | bool | None
_QUICK_JOBS_MAX: Final = 32


class RunsApi(LogsApi, ArtifactsApi, SignalsApi, GatesApi):
    """Runs of a client. Arguments named `run` take a run id or a handle."""

    # --- submitting -----------------------------------------------------------------------------

    async def submit_dag(
        self,
        name: str,
        jobs: Iterable[TitanJob],
        agent_run_id: str | None = None,
        *,
        parameters: Mapping[str, Parameter] | None = None,
        budget: Budget | None = None,
        labels: Mapping[str, str] | None = None,
    ) -> AsyncRunHandle:
        """Start a run of `jobs`, whose files travel along.

        Repeated inside through failovers, it takes effect once. Raises `InvalidSpec` with every
        problem of the graph, `LimitExceeded`, `FileNotFoundError`; `Conflict` with the reason
        `budget_exhausted`. `budget`: what the run and all below it may use, see `docs/agents.md`.
        `labels`: texts by key, which `list_runs` filters by.
        """
        limit, tags = budget_of(budget), labels_of(labels)
        listed = list(jobs)
        with ExitStack() as files:
            packed = pack(listed) if _is_quick(listed) else await asyncio.to_thread(pack, listed)
            if packed.bundle is not None:
                files.enter_context(packed.bundle)
            specs = checked(name, packed.specs)
            await self._upload(packed)
        bundle = Digest("") if packed.bundle is None else packed.bundle.digest
        return await self._submit(
            name,
            specs,
            bundle=bundle,
            parameters=parameters,
            agent_run_id=agent_run_id,
            budget=limit,
            labels=tags,
        )

    async def submit_job(
        self, job: TitanJob, *, labels: Mapping[str, str] | None = None
    ) -> AsyncRunHandle:
        """Start a run of one job, named after it."""
        return await self.submit_dag(job.id, [job], labels=labels)

    async def submit_yaml(
        self,
        path: str | os.PathLike[str],
        agent_run_id: str | None = None,
        wait: bool = False,
        poll_interval: float = 2,
        timeout: float = 300,
        *,
        parameters: Mapping[str, Parameter] | None = None,
        budget: Budget | None = None,
        labels: Mapping[str, str] | None = None,
    ) -> AsyncRunHandle:
        """Start a run of a pipeline's YAML file; with `wait`, come back when the run has ended.

        `labels` go over those of the file.
        `poll_interval` has no effect. Raises `InvalidSpec` with every problem of the file, and
        `TimedOut` when the run has not ended after `timeout` seconds; it goes on.
        """
        from titan.spec.yaml_file import load_pipeline

        own, more = budget_of(budget), labels_of(labels)
        loaded = await asyncio.to_thread(load_pipeline, path)
        tags = labels_of({**loaded.spec.labels, **more})
        values = filled(loaded.spec.name, loaded.spec.inputs, parameters)
        bundle = await asyncio.to_thread(loaded.pack)
        if bundle is not None:
            with bundle:
                await self._put_bundle(bundle)
        handle = await self._submit(
            loaded.spec.name,
            loaded.spec.jobs,
            bundle=Digest("") if bundle is None else bundle.digest,
            parameters=values,
            agent_run_id=agent_run_id,
            budget=own or loaded.spec.budget,
            labels=tags,
        )
        if wait:
            await handle.wait(timeout)
        return handle

    async def deploy_script(
        self, path: str | os.PathLike[str], args: str | list[object] | None = None
    ) -> AsyncRunHandle:
        """Start a run of one script; the job is named after the file."""
        name = "".join(c if c.isalnum() and c.isascii() else "-" for c in Path(path).stem)
        return await self.submit_job(TitanJob(name[:128] or "script", path, args=args))

    async def add_jobs(self, run: object, jobs: Iterable[TitanJob]) -> None:
        """Add jobs to a live run, all or none; parents may be new, running or finished."""
        await self._write(await self._addition(run, jobs))

    async def _addition(self, run: object, jobs: Iterable[TitanJob]) -> AddJobs:
        """The command that adds jobs whose files are there. Raises `InvalidSpec`, `LimitExceeded`."""
        return addition(RunId(str(run)), await self._prepare(run, jobs), by=owner())

    async def _prepare(self, run: object, jobs: Iterable[TitanJob]) -> tuple[JobSpec, ...]:
        """Jobs that are to join the run, checked as far as one can without it; their files are there."""
        listed = list(jobs)
        packed = await asyncio.to_thread(lambda: pack(listed, per_job=True))
        with ExitStack() as files:
            if packed.bundle is not None:
                files.enter_context(packed.bundle)
            specs = checked(str(run), packed.specs, open_world=True)
            await self._upload(packed)
        return specs

    async def _upload(self, packed: Packed) -> None:
        if packed.bundle is not None:
            await self._put_bundle(packed.bundle)
        for path in packed.archives.values():
            await self._put_file(path)

    async def _submit(
        self,
        name: str,
        jobs: tuple[JobSpec, ...],
        *,
        bundle: Digest,
        parameters: Mapping[str, Parameter] | None,
        agent_run_id: str | None,
        budget: BudgetSpec | None,
        labels: dict[str, str],
    ) -> AsyncRunHandle:
        run = new_run_id()
        submission = split(
            SubmitRun(
                run=run,
                name=name,
                jobs=jobs,
                bundle=bundle,
                parameters=dict(parameters or {}),
                agent_run_id=agent_run_id or "",
                owner=owner(),
                budget=budget,
                labels=labels,
            )
        )
        await self._stage(submission.stages)
        try:
            await self._write(submission.final)
        except Conflict as error:
            if error.reason != "run_exists":  # only this call knows the id: an earlier try made it
                raise
        return AsyncRunHandle(self, run)

    async def _stage(self, stages: tuple[StageJobs, ...]) -> None:
        """Send the parts in order; a part goes out when the one `STAGES_IN_FLIGHT_MAX` before it is in."""
        under_way: deque[asyncio.Task[object]] = deque()
        try:
            for stage in stages:
                if len(under_way) == STAGES_IN_FLIGHT_MAX:
                    await under_way.popleft()
                sending = asyncio.create_task(self._write(stage), name=f"stage {stage.part}")
                under_way.append(sending)
            while under_way:
                await under_way.popleft()
        finally:
            for task in under_way:
                task.cancel()
            await asyncio.gather(*under_way, return_exceptions=True)

    async def get_output(self, job_id: object, run: object | None = None) -> Any:
        """What a job has put out, as it was set; None when nothing was. While it runs, what it has
        set so far. What is no JSON comes as text or bytes. Large ones are fetched."""
        query = GetOutput(job=str(job_id), run="" if run is None else str(run))
        data = await self._read(query, bytes | None)  # type: ignore[arg-type]
        digest = blob_of(data or b"")
        if digest:
            data = await self._fetched(digest)
        return None if data is None else plain_value(data)

    # --- changing -------------------------------------------------------------------------------

    async def cancel(self, target: object, run: object | None = None) -> None:
        """Cancel a run (by its id or handle), or a job and its descendants. Raises `NotFound`."""
        text = str(target)
        if is_run_id(text):
            await self._write(CancelRun(run=RunId(text)))
            return
        found = await self.get_job(text, run)
        await self._write(CancelJob(run=found.run, job=found.id))

    async def retry(self, job_id: str, run: object | None = None) -> None:
        """Run a job that has ended again, with the descendants that ended because of it."""
        found = await self.get_job(job_id, run)
        await self._write(RetryJob(run=found.run, job=found.id))


def _is_quick(listed: list[TitanJob]) -> bool:
    """Whether packing the jobs takes less than going to a thread: few, and without files."""
    if len(listed) > _QUICK_JOBS_MAX:
        return False
    return all(job.source is None and job.script_content is None for job in listed)


def checked(
    name: str, specs: tuple[JobSpec, ...], *, open_world: bool = False
) -> tuple[JobSpec, ...]:
    """The jobs as they travel: each gate is a job of its own. Raises `InvalidSpec` for a graph that
    cannot run."""
    problems = Problems(name)
    if not specs:
        raise InvalidSpec(problems=(f"{name}: has no jobs",))
    vertices = [
        graph.Vertex(spec.id, spec.depends_on, needs_of(spec.artifacts_in)) for spec in specs
    ]
    vertices += [graph.Vertex(gate, (job,)) for gate, job in gates_among(specs)]
    graph.check(vertices, problems=problems, open_world=open_world)
    askers = [
        ancestry.Asker(
            spec.id,
            spec.depends_on,
            spec.when,
            spec.foreach,
            spec.parameters if spec.type == "pipeline" else {},
        )
        for spec in specs
    ]
    gates = gates_among(specs)
    for fault in ancestry.find_faults(askers, gates=gates, open_world=open_world):
        problems.add(fault.message, field=f"job {specs[fault.job].id!r}.{fault.field}")
    problems.raise_if_any()
    return with_gates(specs)


def filled(
    name: str, inputs: Mapping[str, Input], given: Mapping[str, Scalar] | None
) -> dict[str, Scalar]:
    """The parameters of a run. Raises `InvalidSpec` with everything that is wrong with them."""
    values, wrong = fill(inputs, given or {})
    if wrong:
        raise InvalidSpec(problems=tuple(f"{name}: parameter {one}" for one in wrong))
    return values
