"""Questions about runs, and the shapes of their answers."""

from __future__ import annotations

import msgspec

from titan.fsm.queries.base import Query
from titan.ids import JobId, RunId


class GetRun(Query, frozen=True, kw_only=True, tag="run"):
    """One run → RunView, or not_found."""

    run: RunId


class ListRuns(Query, frozen=True, kw_only=True, tag="runs"):
    """Runs, newest first → list[RunView]. `before` is the id of the last run of the page before."""

    limit: int = 100
    before: str = ""
    name: str = ""  # exact
    state: str = ""
    agent_run_id: str = ""
    labels: tuple[str, ...] = ()  # each `key=value`, or `key` for any value; all of them must hold


class RunView(msgspec.Struct, frozen=True, kw_only=True):
    """A run as people see it. `over` is true once every job has ended; `state` may be FAILED before."""

    id: RunId
    name: str
    state: str
    over: bool
    created_ms: int
    ended_ms: int
    jobs: dict[str, int]  # state → how many, no zeroes
    agent_run_id: str = ""
    owner: str = ""
    pipeline: str = ""  # the saved pipeline that it was made of, and its version
    pipeline_version: int = 0
    schedule: str = ""  # the schedule that started it
    parent_run: RunId = RunId("")  # a sub-run: the run and the job that it runs for
    parent_job: JobId = JobId("")
    revision: int = 0  # grows whenever the graph changes
    caller_run: RunId = RunId("")  # the task that submitted it, if one did
    caller_job: JobId = JobId("")
    budgets: tuple[str, ...] = ()  # that it is under, its own first
    labels: dict[str, str] = {}
