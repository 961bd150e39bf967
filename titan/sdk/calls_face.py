"""Functions as jobs, for code without asyncio: the twin of `calls.py`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar

from titan.sdk.face import Face

if TYPE_CHECKING:
    from titan.sdk.functions import Task
    from titan.sdk.graphs import Pipeline
    from titan.sdk.handles_face import RunHandle
    from titan.sdk.nodes import Node

T = TypeVar("T")
P = ParamSpec("P")


class CallHandle(Generic[T]):
    """A call that was submitted. It prints as the id of its run."""

    def __init__(self, run: RunHandle, node: Node[T]) -> None:
        self.run = run
        self.node = node
        self.id = run.id

    def __str__(self) -> str:
        return self.id

    def __repr__(self) -> str:
        return f"<call {self.node.id} in run {self.id}>"

    def result(self, timeout: float | None = None) -> T:
        """Its result once it is there. Raises `CallFailed` when there will be none, `TimedOut`."""
        return self.run.result(self.node, timeout)

    def cancel(self) -> None:
        """Cancel it."""
        self.run._client.cancel(self.node.id, self.id)

    def logs(self) -> str:
        """What it has printed."""
        return self.run._client.fetch_logs(self.node.id, self.id)


class CallsFace(Face):
    """Functions of a client."""

    def submit(self, task: Task[P, T], /, *args: P.args, **kwargs: P.kwargs) -> CallHandle[T]:
        """Start a run of one call of a task; inside of a task, a child of its own run.

        Raises `TypeError` for arguments that do not fit or cannot travel, naming the argument.
        """
        from titan.sdk.graphs import call_graph

        graph, node = call_graph(task, args, kwargs)
        return CallHandle(self.submit_pipeline(graph), node)

    def map(
        self, task: Task[..., T], *iterables: Iterable[Any], timeout: float | None = None
    ) -> list[T]:
        """Call a task with the first of each iterable, with the second, and so on, as one run; the
        results in that order. Raises `CallFailed` for the first that has none, `TimedOut`."""
        return self._call(self._here().map(task, *iterables, timeout=timeout))

    def submit_pipeline(
        self, graph: Pipeline, *, labels: Mapping[str, str] | None = None
    ) -> RunHandle:
        """Start a run of a `titan.sdk.pipeline`; inside of a task, add its jobs to the task's own run,
        which takes no labels."""
        work = self._here().submit_pipeline(graph, labels=labels)
        return self._run_handle(self._call(work).id, graph)

    def get_result(self, run: object, job: Any, timeout: float | None = None) -> Any:
        """The result of a node, or by a job's id what the job put out, once it is there."""
        return self._call(self._here().get_result(run, job, timeout))

    def get_results(
        self, run: object, nodes: Sequence[Any], timeout: float | None = None
    ) -> dict[str, Any]:
        """The results of several nodes or jobs by job id, once all are there."""
        return self._call(self._here().get_results(run, nodes, timeout))
