"""A submitted run in the hand of code with asyncio."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any, cast

from titan.fsm.queries import GateView, JobView
from titan.ids import RunId
from titan.sdk.views import RunChange

if TYPE_CHECKING:
    from titan.sdk.artifacts import JobFile
    from titan.sdk.calls import CallsApi
    from titan.sdk.edits import RunEdits
    from titan.sdk.gates import Decided
    from titan.sdk.jobs import TitanJob
    from titan.sdk.mutations import MutationsApi
    from titan.sdk.nodes import Node
    from titan.sdk.runs import RunsApi


class AsyncRunHandle:
    """A run that was submitted. `str()` of it is its id."""

    def __init__(self, client: RunsApi, run_id: RunId, nodes: Iterable[Node[Any]] = ()) -> None:
        self.id = run_id
        self._client = client
        self._nodes = list(nodes)

    def __str__(self) -> str:
        return self.id

    def __repr__(self) -> str:
        return f"<run {self.id}>"

    async def wait(self, timeout: float | None = None) -> str:
        """Wait until every job has ended; answers the run's state. Raises `TimedOut`."""
        return await self._client.wait(self.id, timeout)

    async def status(self) -> str:
        """The run's state now."""
        return (await self._client.get_run(self.id)).state

    async def jobs(self) -> list[JobView]:
        """All its jobs."""
        return await self._client.list_jobs(self.id)

    async def logs(self, job: str | None = None) -> str | dict[str, str]:
        """The output of one job; without a name, of every job: id to text."""
        if job is not None:
            return await self._client.fetch_logs(job, self.id)
        return {one.id: await self._client.fetch_logs(one.id, self.id) for one in await self.jobs()}

    async def artifacts(self, job: str | None = None) -> list[JobFile]:
        """The files that one job has left; without a name, all jobs."""
        if job is not None:
            return await self._client.job_artifacts(job, self.id)
        return await self._client.run_artifacts(self.id)

    async def cancel(self) -> None:
        """Cancel every job that has not ended."""
        await self._client.cancel(self.id)

    async def add(self, jobs: Iterable[TitanJob]) -> None:
        """Add jobs while it is live, all or none."""
        await self._client.add_jobs(self.id, jobs)

    async def signal(self, name: str, payload: Any = None, *, job: str | None = None) -> int:
        """Tell it, or one of its jobs, something; see `AsyncClient.signal`."""
        return await self._client.signal(self.id, name, payload, job=job)

    def mutate(
        self, *, if_revision: int = 0, note: str = ""
    ) -> AbstractAsyncContextManager[RunEdits]:
        """Change it: what is collected in the block is committed when it ends, all or nothing."""
        client = cast("MutationsApi", self._client)  # the same object
        return client.changing(self.id, if_revision=if_revision, note=note)

    def watch(self) -> AsyncIterator[RunChange]:
        """Every change until it has ended."""
        return self._client.watch_run(self.id)

    async def approve(self, gate: object, **how: Any) -> Decided:
        """Approve a gate of it; takes what `AsyncClient.approve` takes."""
        return await self._client.approve(gate, self.id, **how)

    async def reject(self, gate: object, **how: Any) -> Decided:
        """Reject a gate of it; takes what `AsyncClient.reject` takes."""
        return await self._client.reject(gate, self.id, **how)

    async def pending_gates(self) -> list[GateView]:
        """Its gates that wait for people."""
        return await self._client.pending_gates(self.id)

    async def result(self, node: Any, timeout: float | None = None) -> Any:
        """The result of one of its nodes, or jobs, once it is there; see `AsyncClient.get_result`."""
        return await self._calls().get_result(self.id, node, timeout)

    async def results(self, timeout: float | None = None) -> dict[str, Any]:
        """The results of all nodes of the graph that it was made of, by job id, once all are there."""
        return await self._calls().get_results(self.id, self._nodes, timeout)

    def _calls(self) -> CallsApi:
        return cast("CallsApi", self._client)  # the one client there is has all its parts

    async def get_output(self, job: str) -> Any:
        """What one of its jobs put out; see `AsyncClient.get_output`."""
        return await self._client.get_output(job, self.id)
