"""Starting runs and changing them, for code without asyncio: the twin of `runs.py`."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from titan.sdk.face import Face, Parameter

if TYPE_CHECKING:
    from titan.sdk.handles_face import RunHandle
    from titan.sdk.jobs import TitanJob


class RunsFace(Face):
    """Runs of a client. Arguments named `run` take a run id or a handle."""

    def submit_dag(
        self,
        name: str,
        jobs: Iterable[TitanJob],
        agent_run_id: str | None = None,
        *,
        parameters: Mapping[str, Parameter] | None = None,
        budget: Mapping[str, Any] | None = None,
        labels: Mapping[str, str] | None = None,
    ) -> RunHandle:
        """Start a run of `jobs`, whose files travel along. Raises `InvalidSpec` with every problem.

        `budget`: what the run and all below it may use, `{jobs, depth, wall_s, cpu_s, units, on_limit}`.
        `labels`: texts by key, which `list_runs` filters by.
        """
        work = self._here().submit_dag(
            name, jobs, agent_run_id, parameters=parameters, budget=budget, labels=labels
        )
        return self._handle(work)

    def submit_job(self, job: TitanJob, *, labels: Mapping[str, str] | None = None) -> RunHandle:
        """Start a run of one job, named after it."""
        return self._handle(self._here().submit_job(job, labels=labels))

    def submit_yaml(
        self,
        path: str | os.PathLike[str],
        agent_run_id: str | None = None,
        wait: bool = False,
        poll_interval: float = 2,
        timeout: float = 300,
        *,
        parameters: Mapping[str, Parameter] | None = None,
        budget: Mapping[str, Any] | None = None,
        labels: Mapping[str, str] | None = None,
    ) -> RunHandle:
        """Start a run of a pipeline's YAML file; with `wait`, come back when it has ended.

        `labels` go over those of the file.
        `poll_interval` has no effect: the end is pushed. Raises `TimedOut` when the run has not ended
        after `timeout` seconds; it goes on.
        """
        work = self._here().submit_yaml(
            path,
            agent_run_id,
            wait,
            poll_interval,
            timeout,
            parameters=parameters,
            budget=budget,
            labels=labels,
        )
        return self._handle(work)

    def deploy_script(
        self, path: str | os.PathLike[str], args: str | list[object] | None = None
    ) -> RunHandle:
        """Start a run of one script; the job is named after the file."""
        return self._handle(self._here().deploy_script(path, args))

    def add_jobs(self, run: object, jobs: Iterable[TitanJob]) -> None:
        """Add jobs to a live run, all or none; parents may be new, running or finished."""
        self._call(self._here().add_jobs(run, jobs))

    def get_output(self, job_id: object, run: object | None = None) -> Any:
        """What a job has put out, as it was set; None when nothing was. While it runs, what it has
        set so far. What is no JSON comes as text or bytes."""
        return self._call(self._here().get_output(job_id, run))

    def cancel(self, target: object, run: object | None = None) -> None:
        """Cancel a run (by its id or handle), or a job and its descendants. Raises `NotFound`."""
        self._call(self._here().cancel(target, run))

    def retry(self, job_id: str, run: object | None = None) -> None:
        """Run a job that has ended again, with the descendants that ended because of it."""
        self._call(self._here().retry(job_id, run))
