"""Looking at runs and jobs: questions, and changes as they are pushed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Mapping, Sequence
from contextlib import aclosing
from typing import NamedTuple

import msgspec

from titan.errors import TimedOut, Unavailable, UserError
from titan.fsm.queries import (
    GetJob,
    GetRun,
    JobView,
    ListJobs,
    ListRuns,
    ResultView,
    RunView,
)
from titan.ids import JobId, RunId, is_run_id, strip_v1_prefix
from titan.limits import LIST_PAGE_MAX
from titan.sdk.core import Core
from titan.spec.labels import has_labels, read_filters
from titan.wire.messages import RunUpdate, WatchRun, decode


class RunChange(NamedTuple):
    """The run now, and the jobs that changed (all of them the first time)."""

    run: RunView
    jobs: tuple[JobView, ...]


class ViewsApi(Core):
    """What a client may ask about runs. Arguments named `run` take a run id or a handle."""

    async def get_run(self, run: object) -> RunView:
        """A run. Raises `NotFound`."""
        return await self._read(GetRun(run=RunId(str(run))), RunView)

    async def get_job(self, job_id: str, run: object | None = None) -> JobView:
        """A job of `run`, else of the newest run that has it. `DAG-` is ignored. Raises `NotFound`."""
        query = GetJob(job=strip_v1_prefix(job_id), run="" if run is None else str(run))
        return await self._read(query, JobView)

    async def get_job_status(self, job_id: object, run: object | None = None) -> str:
        """The state of a job, e.g. "COMPLETED"; of a run when given a run's id."""
        text = str(job_id)
        if is_run_id(text):
            return (await self.get_run(text)).state
        return (await self.get_job(text, run)).state

    async def list_runs(
        self,
        limit: int = 100,
        *,
        name: str = "",
        state: str = "",
        agent_run_id: str = "",
        labels: Mapping[str, str | None] | Iterable[str] = (),
    ) -> list[RunView]:
        """Runs, newest first. `labels` that they all have: `{"team": "data"}`, None for any value; or
        `["team=data", "nightly"]`. Raises `UserError` for what cannot be one, and `Unavailable` when a
        master that is older than labels has answered."""
        wanted = _filters(labels)
        found: list[RunView] = []
        while len(found) < limit:
            size = min(LIST_PAGE_MAX, limit - len(found))
            query = ListRuns(
                limit=size,
                before=found[-1].id if found else "",
                name=name,
                state=state,
                agent_run_id=agent_run_id,
                labels=wanted,
            )
            page = await self._read(query, list[RunView])
            _check_filtered(page, wanted)
            found += page
            if len(page) < size:
                break
        return found

    async def list_jobs(self, run: object, *, state: str = "") -> list[JobView]:
        """All jobs of a run, in the order of submission."""
        found: list[JobView] = []
        while True:
            after = found[-1].id if found else ""
            query = ListJobs(run=RunId(str(run)), limit=LIST_PAGE_MAX, after=after, state=state)
            page = await self._read(query, list[JobView])
            found += page
            if len(page) < LIST_PAGE_MAX:
                return found

    async def watch_run(self, run: object, *, jobs: bool = True) -> AsyncIterator[RunChange]:
        """The run and its jobs now, then every change until the run has ended; through failovers."""
        async with aclosing(self._watch_run(run, jobs=jobs)) as updates:
            async for change, _ in updates:
                yield change

    async def _watch_run(
        self, run: object, *, jobs: bool, results: tuple[JobId, ...] = ()
    ) -> AsyncGenerator[tuple[RunChange, list[ResultView]], None]:
        """The same, with how these few jobs stand as far as the master tells."""
        told: dict[JobId, JobView] = {}
        last: tuple[RunView, bytes] | None = None
        request = WatchRun(run=RunId(str(run)), jobs=jobs, results=results)
        async for piece in self._transport.stream(lambda: request):
            update = decode(piece) if isinstance(piece, bytes) else None
            if not isinstance(update, RunUpdate):
                return
            view = msgspec.msgpack.decode(update.run, type=RunView)
            listed = msgspec.msgpack.decode(update.jobs, type=list[JobView]) if update.jobs else []
            fresh = tuple(job for job in listed if told.get(job.id) != job)
            told.update((job.id, job) for job in fresh)
            if fresh or (view, update.results) != last:
                last = view, update.results
                yield RunChange(view, fresh), _decode_results(update.results)

    async def wait(self, run: object, timeout: float | None = None) -> str:
        """Wait until every job of the run has ended; answers the run's state.

        Raises `TimedOut` after `timeout` seconds; the run goes on.
        """
        try:
            async with asyncio.timeout(timeout):
                async for change in self.watch_run(run, jobs=False):
                    if change.run.over:
                        return change.run.state
                return (await self.get_run(run)).state
        except TimeoutError:
            raise TimedOut(f"run {run} has not ended after {timeout} s; it goes on") from None


def _filters(labels: Mapping[str, str | None] | Iterable[str]) -> tuple[str, ...]:
    if isinstance(labels, Mapping):
        given = labels.items()
        return tuple(key if value is None else f"{key}={value}" for key, value in given)
    return (labels,) if isinstance(labels, str) else tuple(labels)


def _check_filtered(runs: Sequence[RunView], filters: tuple[str, ...]) -> None:
    """A master that does not know labels passes them over, and answers all runs."""
    if filters and runs:
        try:
            wanted = read_filters(filters)
        except ValueError as error:
            raise UserError(str(error)) from None
        if not all(has_labels(run.labels, wanted) for run in runs):
            raise Unavailable(
                "a master that does not know labels yet has answered with other runs too",
                hint="finish the upgrade of the masters",
            )


def _decode_results(data: bytes) -> list[ResultView]:
    return msgspec.msgpack.decode(data, type=list[ResultView]) if data else []
