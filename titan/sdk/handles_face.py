"""The handle of a run for code without asyncio: the twin of `handles.py`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, TypeVar, overload

if TYPE_CHECKING:
    from titan.fsm.queries import GateView, JobView
    from titan.sdk.artifacts import JobFile
    from titan.sdk.client import TitanClient
    from titan.sdk.edits import RunEdits
    from titan.sdk.gates import Decided
    from titan.sdk.jobs import TitanJob
    from titan.sdk.nodes import Node
    from titan.sdk.views import RunChange

T = TypeVar("T")


class RunHandle:
    """A run that was submitted. It prints as its run id."""

    def __init__(self, client: TitanClient, run_id: str, nodes: Iterable[Node[Any]] = ()) -> None:
        self.id = run_id
        self._client = client
        self._nodes = list(nodes)

    def __str__(self) -> str:
        return self.id

    def __repr__(self) -> str:
        return f"<run {self.id}>"

    def wait(self, timeout: float | None = None) -> str:
        """Wait until every job has ended; answers the run's state. Raises `TimedOut`."""
        return self._client.wait(self.id, timeout)

    def status(self) -> str:
        """The run's state now."""
        return self._client.get_job_status(self.id)

    def jobs(self) -> list[JobView]:
        """All its jobs, in the order of submission."""
        return self._client.list_jobs(self.id)

    def logs(self, job: str | None = None) -> str | dict[str, str]:
        """The output of one job; without a name, of every job: id to text."""
        if job is not None:
            return self._client.fetch_logs(job, self.id)
        return {one.id: self._client.fetch_logs(one.id, self.id) for one in self.jobs()}

    def artifacts(self, job: str | None = None) -> list[JobFile]:
        """The files that one job has left; without a name, all jobs."""
        if job is not None:
            return self._client.job_artifacts(job, self.id)
        return self._client.run_artifacts(self.id)

    def cancel(self) -> None:
        """Cancel every job that has not ended."""
        self._client.cancel(self.id)

    def add(self, jobs: Iterable[TitanJob]) -> None:
        """Add jobs while it is live, all or none."""
        self._client.add_jobs(self.id, jobs)

    def signal(self, name: str, payload: Any = None, *, job: str | None = None) -> int:
        """Tell it, or one of its jobs, something; see `TitanClient.signal`."""
        return self._client.signal(self.id, name, payload, job=job)

    def mutate(self, *, if_revision: int = 0, note: str = "") -> AbstractContextManager[RunEdits]:
        """Change it: what is collected in the block is committed when it ends, all or nothing."""
        return self._client.changing(self.id, if_revision=if_revision, note=note)

    def watch(self) -> Iterator[RunChange]:
        """The run and its jobs now, then every change until it has ended."""
        return self._client.watch_run(self.id)

    def approve(self, gate: object, **how: Any) -> Decided:
        """Approve a gate of it; takes what `TitanClient.approve` takes."""
        return self._client.approve(gate, self.id, **how)

    def reject(self, gate: object, **how: Any) -> Decided:
        """Reject a gate of it; takes what `TitanClient.reject` takes."""
        return self._client.reject(gate, self.id, **how)

    def pending_gates(self) -> list[GateView]:
        """Its gates that wait for people."""
        return self._client.pending_gates(self.id)

    def get_output(self, job: str) -> Any:
        """What one of its jobs put out; see `TitanClient.get_output`."""
        return self._client.get_output(job, self.id)

    @overload
    def result(self, node: Node[T], timeout: float | None = None) -> T: ...

    @overload
    def result(self, node: T, timeout: float | None = None) -> T: ...

    def result(self, node: Any, timeout: float | None = None) -> Any:
        """The result of a node of its graph once it is there, or by a job's id what the job put out.

        Raises `CallFailed` when there will be none, `TimedOut` after `timeout` seconds.
        """
        return self._client.get_result(self.id, node, timeout)

    def results(self, timeout: float | None = None) -> dict[str, Any]:
        """The results of all nodes of the graph that it was made of, by job id, once all are there."""
        return self._client.get_results(self.id, self._nodes, timeout)
