"""Saved pipelines: keeping one under a name, and starting it by that name from anywhere."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from typing import Any

from titan.errors import InvalidSpec, LimitExceeded
from titan.fsm.commands import DeletePipeline, SavePipeline, SubmitSaved, encode_command
from titan.fsm.queries import GetPipeline, ListPipelines, PipelineView
from titan.fsm.submission import COMMAND_BYTES_MAX
from titan.ids import Digest, new_run_id
from titan.limits import LIST_PAGE_MAX, PIPELINE_JOBS_MAX
from titan.sdk.budgets import Budget, budget_of
from titan.sdk.given import labels_of, owner, values
from titan.sdk.handles import AsyncRunHandle
from titan.sdk.jobs import TitanJob
from titan.sdk.packing import pack
from titan.sdk.runs import RunsApi, checked
from titan.spec.budgets import BudgetSpec
from titan.spec.inputs import declared
from titan.spec.model import Input, JobSpec, Scalar


class PipelinesApi(RunsApi):
    """Saved pipelines of a client."""

    async def save_dag(
        self,
        name: str,
        jobs: Iterable[TitanJob] | str | os.PathLike[str],
        *,
        parameters: Mapping[str, Any] | None = None,
        budget: Budget | None = None,
        labels: Mapping[str, str] | None = None,
    ) -> int:
        """Keep a pipeline: jobs, or the path of a YAML file. Their files are stored along with it.

        `parameters`: names with default values, or with `{type, default, required, choices, help}`; those
        of the file are the rest. `labels` of its runs go over those of the file. Answers the version: a new
        one, or the latest one's number when nothing has changed. Raises `InvalidSpec` with every problem,
        `LimitExceeded`, `FileNotFoundError`.
        """
        wanted, limit, tags = _declared(parameters or {}), budget_of(budget), labels_of(labels)
        if isinstance(jobs, str | os.PathLike):
            return await self._save_yaml(name, jobs, wanted, limit, tags)
        listed = list(jobs)
        with ExitStack() as files:
            packed = await asyncio.to_thread(pack, listed)
            if packed.bundle is not None:
                files.enter_context(packed.bundle)
            specs = checked(name, packed.specs)
            _check_size(name, specs)
            await self._upload(packed)
        bundle = Digest("") if packed.bundle is None else packed.bundle.digest
        return await self._save(
            name, specs, bundle=bundle, inputs=wanted, budget=limit, labels=tags
        )

    async def _save_yaml(
        self,
        name: str,
        path: str | os.PathLike[str],
        more: dict[str, Input],
        budget: BudgetSpec | None,
        tags: dict[str, str],
    ) -> int:
        from titan.spec.yaml_file import load_pipeline

        loaded = await asyncio.to_thread(load_pipeline, path)
        _check_size(name, loaded.spec.jobs)
        bundle = await asyncio.to_thread(loaded.pack)
        if bundle is not None:
            with bundle:
                await self._put_bundle(bundle)
        digest = Digest("") if bundle is None else bundle.digest
        inputs = {**loaded.spec.inputs, **more}
        return await self._save(
            name,
            loaded.spec.jobs,
            bundle=digest,
            inputs=inputs,
            budget=budget or loaded.spec.budget,
            labels=labels_of({**loaded.spec.labels, **tags}),
        )

    async def _save(
        self,
        name: str,
        jobs: tuple[JobSpec, ...],
        *,
        bundle: Digest,
        inputs: dict[str, Input],
        budget: BudgetSpec | None,
        labels: dict[str, str],
    ) -> int:
        command = SavePipeline(
            name=name,
            jobs=jobs,
            bundle=bundle,
            inputs=inputs,
            owner=owner(),
            budget=budget,
            labels=labels,
        )
        size = len(encode_command(command))
        if size > COMMAND_BYTES_MAX:
            raise LimitExceeded(
                f"pipeline {name!r} takes {size} bytes; one that is saved at most {COMMAND_BYTES_MAX}",
                hint="put long commands into files, or submit it as it is",
            )
        return int(await self._write(command))

    async def submit_saved_dag(
        self,
        name: str,
        version: int | None = None,
        parameters: Mapping[str, Scalar] | None = None,
        wait: bool = False,
        timeout: float = 300,
        *,
        agent_run_id: str | None = None,
        budget: Budget | None = None,
        labels: Mapping[str, str] | None = None,
    ) -> AsyncRunHandle:
        """Start a run of a saved pipeline, the latest version by default; with `wait`, come back when it
        has ended. `labels` go over the saved ones.

        Raises `NotFound`; `InvalidSpec` with everything that is wrong with the parameters; `TimedOut` when
        the run has not ended after `timeout` seconds; it goes on.
        """
        run = new_run_id()
        command = SubmitSaved(
            run=run,
            name=name,
            version=version or 0,
            parameters=values(parameters, what="parameters"),
            agent_run_id=agent_run_id or "",
            owner=owner(),
            budget=budget_of(budget),
            labels=labels_of(labels),
        )
        await self._write(command)
        handle = AsyncRunHandle(self, run)
        if wait:
            await handle.wait(timeout)
        return handle

    async def list_saved_dags(self) -> list[PipelineView]:
        """The latest version of every saved pipeline, by name."""
        found: list[PipelineView] = []
        while True:
            after = found[-1].name if found else ""
            page = await self._read(
                ListPipelines(limit=LIST_PAGE_MAX, after=after), list[PipelineView]
            )
            found += page
            if len(page) < LIST_PAGE_MAX:
                return found

    async def get_saved_dag(self, name: str, version: int | None = None) -> PipelineView:
        """A version of a saved pipeline with its jobs. Raises `NotFound`."""
        return await self._read(GetPipeline(name=name, version=version or 0), PipelineView)

    async def delete_saved_dag(self, name: str, version: int | None = None) -> int:
        """Forget a saved pipeline, or one version; answers how many versions. Its runs go on."""
        return int(await self._write(DeletePipeline(name=name, version=version or 0)))


def _declared(parameters: Mapping[str, Any]) -> dict[str, Input]:
    found, wrong = declared(parameters, plain=True)
    if wrong:
        raise InvalidSpec(problems=tuple(f"parameters.{one}" for one in wrong))
    return found


def _check_size(name: str, jobs: tuple[JobSpec, ...]) -> None:
    if len(jobs) > PIPELINE_JOBS_MAX:
        raise LimitExceeded(
            f"pipeline {name!r} has {len(jobs)} jobs; one that is saved at most {PIPELINE_JOBS_MAX}",
            hint="submit it as it is, or split it into pipelines that run one another",
        )
