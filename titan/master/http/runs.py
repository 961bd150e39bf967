"""Runs and their jobs over HTTP."""

from __future__ import annotations

from typing import Final

import msgspec

from titan.fsm.commands import CancelJob, CancelRun, RetryJob
from titan.fsm.queries import (
    GetJob,
    GetJobSpec,
    GetRun,
    JobView,
    ListJobs,
    ListRuns,
    RunView,
)
from titan.ids import JobId, RunId, strip_v1_prefix
from titan.limits import LIST_PAGE_MAX
from titan.master.http.api import Api
from titan.master.http.table import Call, Endpoint, Page
from titan.spec.model import JobSpec


class RunsQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which runs: by exact name, state, agent run or labels; `before` is the cursor.

    `label`: `key=value`, or `key` for any value; may be repeated, and all of them must hold.
    """

    limit: int = 100
    before: str = ""
    name: str = ""
    state: str = ""
    agent_run_id: str = ""
    label: tuple[str, ...] = ()
    consistent: bool = False


class JobsQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which jobs of the run; `after` is the cursor."""

    limit: int = 1000
    after: str = ""
    state: str = ""
    consistent: bool = False


class ReadQuery(msgspec.Struct, frozen=True, kw_only=True):
    """`consistent`: first catch up with everything that was committed before."""

    consistent: bool = False


class Changed(msgspec.Struct, frozen=True):
    """The write is committed at this index of the log."""

    index: int


def _page_size(asked: int) -> int:
    return max(1, min(asked, LIST_PAGE_MAX))


async def list_runs(api: Api, call: Call) -> Page[RunView]:
    """Newest first."""
    query: RunsQuery = call.query
    limit = _page_size(query.limit)
    items = api.read(
        ListRuns(
            limit=limit,
            before=query.before,
            name=query.name,
            state=query.state,
            agent_run_id=query.agent_run_id,
            labels=query.label,
        )
    )
    return Page(items, items[-1].id if len(items) == limit else None)


async def get_run(api: Api, call: Call) -> RunView:
    """One run."""
    view: RunView = api.read(GetRun(run=RunId(call.path["run"])))
    return view


async def cancel_run(api: Api, call: Call) -> Changed:
    """Every job that has not ended."""
    return await _write(api, call, CancelRun(run=RunId(call.path["run"])))


async def list_jobs(api: Api, call: Call) -> Page[JobView]:
    """In the order of submission."""
    query: JobsQuery = call.query
    limit = _page_size(query.limit)
    run = RunId(call.path["run"])
    items = api.read(ListJobs(run=run, limit=limit, after=query.after, state=query.state))
    return Page(items, items[-1].id if len(items) == limit else None)


async def get_job(api: Api, call: Call) -> JobView:
    """One job; without a run, of the newest run that has it."""
    view: JobView = api.read(GetJob(run=call.path.get("run", ""), job=call.path["job"]))
    return view


async def get_spec(api: Api, call: Call) -> JobSpec:
    """What the job was declared to be."""
    run, job = _named(call)
    spec: JobSpec = api.read(GetJobSpec(run=run, job=job))
    return spec


async def cancel_job(api: Api, call: Call) -> Changed:
    """The job and its descendants."""
    run, job = _named(call)
    return await _write(api, call, CancelJob(run=run, job=job))


async def retry_job(api: Api, call: Call) -> Changed:
    """Run a job that ended again, and what ended because of it."""
    run, job = _named(call)
    return await _write(api, call, RetryJob(run=run, job=job))


def _named(call: Call) -> tuple[RunId, JobId]:
    return RunId(call.path["run"]), JobId(strip_v1_prefix(call.path["job"]))


async def _write(api: Api, call: Call, command: CancelRun | CancelJob | RetryJob) -> Changed:
    return Changed((await api.write(command, key=call.idempotency_key)).index)


_RUN: Final = "/api/v1/runs/{run}"
_JOB: Final = "/api/v1/runs/{run}/jobs/{job}"
ENDPOINTS: Final = (
    Endpoint("GET", "/api/v1/runs", list_runs, "Runs, newest first", Page[RunView], RunsQuery),
    Endpoint("GET", _RUN, get_run, "One run", RunView, ReadQuery),
    Endpoint("POST", f"{_RUN}/cancel", cancel_run, "Cancel a run", Changed),
    Endpoint("GET", f"{_RUN}/jobs", list_jobs, "Jobs of a run", Page[JobView], JobsQuery),
    Endpoint("GET", _JOB, get_job, "One job", JobView, ReadQuery),
    Endpoint("GET", f"{_JOB}/spec", get_spec, "A job's declaration", JobSpec, ReadQuery),
    Endpoint("POST", f"{_JOB}/cancel", cancel_job, "Cancel a job and its descendants", Changed),
    Endpoint("POST", f"{_JOB}/retry", retry_job, "Run an ended job again", Changed),
    Endpoint(
        "GET",
        "/api/v1/jobs/{job}",
        get_job,
        "A job of the newest run that has it",
        JobView,
        ReadQuery,
    ),
)
