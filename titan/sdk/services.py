"""Services: where they are, deploying a new version, stopping one."""

from __future__ import annotations

import asyncio
import os
from typing import Final

from titan.errors import DeployFailed, InvalidSpec, LimitExceeded
from titan.fsm.commands import DeployServices, StopService, encode_command
from titan.fsm.queries import GetService, ListServices, ServiceView
from titan.fsm.submission import COMMAND_BYTES_MAX
from titan.ids import Digest, JobId, RunId, new_run_id, strip_v1_prefix
from titan.sdk.given import owner
from titan.sdk.handles import AsyncRunHandle
from titan.sdk.runs import Parameter, RunsApi

DEPLOY_TIMEOUT_S: Final = 60.0
_OVER: Final = ("COMPLETED", "FAILED", "DEAD", "CANCELLED", "SKIPPED")


class ServicesApi(RunsApi):
    """Services of a client. A service is known by the id of its job."""

    async def list_services(self, name: str = "", run: object | None = None) -> list[ServiceView]:
        """Services that have not ended, with health and address."""
        query = ListServices(name=strip_v1_prefix(name), run="" if run is None else str(run))
        return await self._read(query, list[ServiceView])

    async def get_service(self, name: str) -> ServiceView:
        """The service that others are to use under this name. Raises `NotFound`."""
        return await self._read(GetService(name=name), ServiceView)

    async def stop_service(self, job_id: str, run: object | None = None) -> str:
        """End a service and everything it has started; it is not started again.

        Without `run`: the deployed one, with a version that is to replace it, else that of the newest
        run that has it. Answers "STOPPED: DAG-<id>", also when it had ended before. Raises `NotFound`.
        """
        name = JobId(strip_v1_prefix(job_id))
        for found in await self._to_stop(name, run):
            await self._write(StopService(run=found, job=name))
        return f"STOPPED: DAG-{name}"

    async def _to_stop(self, name: JobId, run: object | None) -> list[RunId]:
        if run is not None:
            return [RunId(str(run))]
        live = await self.list_services(name)
        deployed = {view.version: view.run for view in live if view.version}
        if deployed:  # the candidate first, or it would take over
            return [deployed[version] for version in sorted(deployed)]
        return [live[-1].run if live else (await self.get_job(name)).run]

    async def deploy_services(
        self,
        path: str | os.PathLike[str],
        timeout: float = DEPLOY_TIMEOUT_S,
        *,
        parameters: dict[str, Parameter] | None = None,
    ) -> AsyncRunHandle:
        """Start the services of a pipeline's file in place of those of the same names.

        Comes back when all of them are healthy. A service that is not within `timeout` seconds is
        ended, and the version before it stays: then `DeployFailed` is raised with the reasons.
        """
        from titan.spec.yaml_file import load_pipeline

        loaded = await asyncio.to_thread(load_pipeline, path)
        if loaded.spec.budget is not None:
            why = f"{path}: budget: services that are deployed have none; submit them as a run"
            raise InvalidSpec(problems=(why,))
        if loaded.spec.labels:
            why = f"{path}: labels: services that are deployed have none; submit them as a run"
            raise InvalidSpec(problems=(why,))
        bundle = await asyncio.to_thread(loaded.pack)
        if bundle is not None:
            with bundle:
                await self._put_bundle(bundle)
        run = new_run_id()
        command = DeployServices(
            run=run,
            name=loaded.spec.name,
            jobs=loaded.spec.jobs,
            wait_ms=max(1, round(timeout * 1000)),
            bundle=Digest("") if bundle is None else bundle.digest,
            parameters={**loaded.spec.parameters, **(parameters or {})},
            owner=owner(),
        )
        if len(encode_command(command)) > COMMAND_BYTES_MAX:
            raise LimitExceeded(
                f"{path} is too large to be deployed as services",
                hint="keep the services in a file of their own",
            )
        await self._write(command)
        names = [spec.id for spec in loaded.spec.jobs if spec.type == "service"]
        await self._until_current(run, names)
        return AsyncRunHandle(self, run)

    async def _until_current(self, run: RunId, names: list[JobId]) -> None:
        """Until each service is the one to use, or has ended."""
        async for _ in self.watch_run(run):
            views = {view.name: view for view in await self.list_services(run=run)}
            if all(name not in views or views[name].version == "current" for name in names):
                break
        await self._raise_if_ended(run, names)

    async def _raise_if_ended(self, run: RunId, names: list[JobId]) -> None:
        failed = []
        for name in names:
            job = await self.get_job(name, run)
            if job.state in _OVER:
                failed.append(f"service '{name}' of run {run} is {job.state}: {job.reason}")
        if failed:
            raise DeployFailed("\n".join(failed), hint=f"titan logs {names[0]} --run {run}")
