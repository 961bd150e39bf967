"""Functions as jobs: starting graphs of calls, and getting results as values."""

from __future__ import annotations

import asyncio
import functools
import io
import os
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, ParamSpec, TypeVar

import msgspec

from titan.errors import ConnectionLost, TimedOut, UserError
from titan.fsm.queries import GetResults, ResultView
from titan.fsm.submission import addition
from titan.ids import Digest, JobId, RunId
from titan.limits import CALL_UPLOADS_AT_ONCE, LIST_PAGE_MAX, RESULTS_WATCHED_MAX
from titan.sdk.context import attempt_id
from titan.sdk.functions import Task
from titan.sdk.given import labels_of
from titan.sdk.graphs import Pipeline, call_graph
from titan.sdk.handles import AsyncRunHandle
from titan.sdk.nodes import Node
from titan.sdk.projects import bundle_here, packed
from titan.sdk.runs import RunsApi, checked
from titan.spec.call_types import IMPORTING
from titan.wire.messages import Read, ReadDone

if TYPE_CHECKING:
    from titan.sdk.projects import Home

P = ParamSpec("P")
R = TypeVar("R")


_ENDED: Final = ("COMPLETED", "FAILED", "DEAD", "CANCELLED", "SKIPPED")


class CallFailed(UserError):
    """A function's job ended without a result. `state` is how, `reason` why."""

    code = "call_failed"

    def __init__(self, job: str, state: str, reason: str) -> None:
        super().__init__(f"{job} is {state}: {reason}" if reason else f"{job} is {state}")
        self.job, self.state, self.reason = job, state, reason


class AsyncCallHandle(AsyncRunHandle):
    """The run of one call. It prints as its run id."""

    def __init__(self, client: CallsApi, run_id: RunId, node: Node[Any]) -> None:
        super().__init__(client, run_id)
        self.node = node

    async def result(self, node: Any = None, timeout: float | None = None) -> Any:
        """Its result once it is there. Raises `CallFailed`, `TimedOut`."""
        return await super().result(self.node if node is None else node, timeout)


class CallsApi(RunsApi):
    """Calls of a client."""

    async def submit(
        self, task: Task[P, R], /, *args: P.args, **kwargs: P.kwargs
    ) -> AsyncCallHandle:
        """Start a run of one call; inside of a task, a child of its own run."""
        graph, node = call_graph(task, args, kwargs)
        handle = await self.submit_pipeline(graph)
        return AsyncCallHandle(self, handle.id, node)

    async def map(
        self, task: Task[..., R], *iterables: Iterable[Any], timeout: float | None = None
    ) -> list[R]:
        """Call the task with the first of each iterable, with the second, and so on, as one run; the
        results in that order. Raises `CallFailed` for the first that has none, `TimedOut`."""
        graph = Pipeline(task.job_name)
        nodes = [graph.add(task, args, {}) for args in zip(*iterables, strict=False)]
        if not nodes:
            return []
        handle = await self.submit_pipeline(graph)
        found = await self._results(handle.id, nodes, timeout=timeout)
        return [found[node.id] for node in nodes]

    async def submit_pipeline(
        self, graph: Pipeline, *, labels: Mapping[str, str] | None = None
    ) -> AsyncRunHandle:
        """Start a run of a graph of calls; inside of a task, add its jobs to the task's own run, which
        takes no labels."""
        tags = labels_of(labels)
        if module := os.environ.get(IMPORTING):
            raise UserError(
                f"module {module} submits work while a worker imports it for one of its functions",
                hint='put what submits under `if __name__ == "__main__":`',
            )
        if tags and attempt_id(os.environ):
            raise UserError(
                "labels: the jobs would join this task's own run, whose labels do not change",
                hint="label the run when it is submitted",
            )
        specs = checked(graph.name, graph.specs(), open_world=bool(attempt_id(os.environ)))
        bundle = await self._bundle_of(graph)
        await self._store_blobs(graph.blobs())
        if attempt_id(os.environ):
            run = RunId(os.environ.get("TITAN_RUN_ID", ""))
            own = tuple(msgspec.structs.replace(spec, bundle=bundle) for spec in specs)
            await self._write(addition(run, own))
            return AsyncRunHandle(self, run, graph)
        started = await self._submit(
            graph.name,
            specs,
            bundle=bundle,
            parameters=None,
            agent_run_id=None,
            budget=None,
            labels=tags,
        )
        return AsyncRunHandle(self, started.id, graph)

    async def _bundle_of(self, graph: Pipeline) -> Digest:
        """The digest of what travels, which the cluster has by then; "" when nothing does."""
        root = _root(graph.roots(), graph.project)
        if root is None:
            return Digest("")
        if here := bundle_here(root):
            return Digest(here)
        place = (root, os.getpid())
        if (known := self._travelled.get(place)) is not None:
            return known
        bundle = await asyncio.to_thread(packed, *place)
        if bundle.digest not in self._stored:
            await self._put_bundle(bundle)
            self._stored.add(bundle.digest)
        self._travelled[place] = bundle.digest
        return bundle.digest

    async def _store_blobs(self, blobs: Mapping[Digest, bytes]) -> None:
        """Large arguments, before anything refers to them. What the cluster has is not sent."""
        if not blobs:
            return
        left = iter(blobs.items())

        async def store() -> None:
            for digest, data in left:
                await self._put(digest, len(data), functools.partial(io.BytesIO, data))

        tasks = [
            asyncio.create_task(store(), name=f"store arguments {n}")
            for n in range(min(len(blobs), CALL_UPLOADS_AT_ONCE))
        ]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    # --- results --------------------------------------------------------------------------------

    async def get_result(self, run: object, job: Any, timeout: float | None = None) -> Any:
        """The result of a job once it is there: of a node as its task is annotated, of a job's id as
        plain data. Raises `CallFailed` when there will be none, `TimedOut`, `NotFound`."""
        found = await self._results(str(run), [job], timeout=timeout)
        return next(iter(found.values()))

    async def get_results(
        self, run: object, nodes: Sequence[Any], timeout: float | None = None
    ) -> dict[str, Any]:
        """The results of several jobs by id, once all are there; as `get_result`."""
        return await self._results(str(run), nodes, timeout=timeout)

    async def _results(
        self, run: str, jobs: Sequence[Any], *, timeout: float | None
    ) -> dict[str, Any]:
        wanted = {_job_id(job): job for job in jobs}
        found: dict[str, Any] = {}
        try:
            moments = self._moments(run, wanted)
            async with asyncio.timeout(timeout), aclosing(moments):
                async for told, stale in moments:
                    await self._take_over(told, wanted, found)
                    if wanted and (not told or told[-1].over):
                        await self._collect(run, wanted, found, stale=stale)
                    if not wanted:
                        return found
        except TimeoutError:
            some = next(iter(wanted))
            raise TimedOut(f"{some} has no result after {timeout} s; the run goes on") from None
        raise TimedOut(f"run {run} has ended, and {next(iter(wanted))} of it has not")

    async def _moments(
        self, run: str, wanted: Iterable[str]
    ) -> AsyncGenerator[tuple[list[ResultView], bool]]:
        """When to look: whenever something has ended. What is told may be read from who told it; of a
        few jobs it comes with the news."""
        few = tuple(map(JobId, wanted))
        results = few if len(few) <= RESULTS_WATCHED_MAX else ()
        async with aclosing(self._watch_run(run, jobs=False, results=results)) as updates:
            async for change, told in updates:
                if any(state in change.run.jobs for state in _ENDED):
                    yield told, True
        yield [], False

    async def _collect(
        self, run: str, wanted: dict[str, Any], found: dict[str, Any], *, stale: bool
    ) -> None:
        """Take over the results that are there. Those not there yet stay wanted."""
        asked = list(wanted)
        while asked:
            page = await self._ask_results(run, asked[:LIST_PAGE_MAX], stale=stale)
            await self._take_over(page, wanted, found)
            asked = asked[len(page) :]
            if page and not page[-1].over:
                return  # a run goes roughly in order: the rest is asked when more has happened

    async def _take_over(
        self, views: Iterable[ResultView], wanted: dict[str, Any], found: dict[str, Any]
    ) -> None:
        for view in views:
            if view.over and view.id in wanted:
                found[view.id] = await self._value(view, wanted.pop(view.id))

    async def _ask_results(self, run: str, jobs: list[str], *, stale: bool) -> list[ResultView]:
        query = GetResults(run=RunId(run), jobs=tuple(map(JobId, jobs)))
        reply = await self._transport.call(Read(query=msgspec.msgpack.encode(query), stale=stale))
        if not isinstance(reply, ReadDone):
            raise ConnectionLost(f"expected ReadDone, got {type(reply).__name__}")
        return msgspec.msgpack.decode(reply.value, type=list[ResultView])

    async def _value(self, view: ResultView, job: Any) -> Any:
        """What a job that is over has put out."""
        from titan.spec.call_values import decode_result

        if view.state != "COMPLETED":
            raise CallFailed(view.id, view.state, view.reason)
        data = view.output if view.blob is None else await self._fetched(view.blob.digest)
        return job.task.typed_result(data) if isinstance(job, Node) else decode_result(data)


def _job_id(job: Any) -> str:
    return job.id if isinstance(job, Node) else str(job)


def _root(homes: Iterable[Home], project: str | os.PathLike[str] | None) -> Path | None:
    """The one folder that holds every function. Raises `UserError` when there is none."""
    roots = {home.root for home in homes if home.root is not None}
    if project is not None:
        root = Path(project).resolve()
        outside = [one for one in roots if one != root]
        if outside:
            raise UserError(
                f"the functions are imported from {outside[0]}, which is not the project {root}",
                hint="start Python so that the project is what modules are imported from",
            )
        return root
    if len(roots) > 1:
        shown = ", ".join(sorted(map(str, roots)))
        raise UserError(
            f"the functions of one pipeline are imported from several folders: {shown}",
            hint="keep them in one project, or install what they share on the workers",
        )
    return next(iter(roots), None)
