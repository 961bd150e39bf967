"""Looking at runs and jobs, for code without asyncio: the twin of `views.py`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from titan.sdk.face import Face

if TYPE_CHECKING:
    from titan.fsm.queries import JobView, RunView
    from titan.sdk.views import RunChange


class ViewsFace(Face):
    """Runs and jobs of a client, to look at."""

    def get_run(self, run: object) -> RunView:
        """A run. Raises `NotFound`."""
        return self._call(self._here().get_run(run))

    def list_runs(
        self,
        limit: int = 100,
        *,
        name: str = "",
        state: str = "",
        agent_run_id: str = "",
        labels: Mapping[str, str | None] | Iterable[str] = (),
    ) -> list[RunView]:
        """Runs, newest first. `labels` that they all have: `{"team": "data"}`, None for any value; or
        `["team=data", "nightly"]`."""
        work = self._here().list_runs(
            limit, name=name, state=state, agent_run_id=agent_run_id, labels=labels
        )
        return self._call(work)

    def watch_run(self, run: object, *, jobs: bool = True) -> Iterator[RunChange]:
        """The run and its jobs now, then every change until the run has ended."""
        return self._iterate(self._here().watch_run(run, jobs=jobs))

    def wait(self, run: object, timeout: float | None = None) -> str:
        """Wait until every job of the run has ended; answers the run's state. Raises `TimedOut`."""
        return self._call(self._here().wait(run, timeout))

    def get_job(self, job_id: str, run: object | None = None) -> JobView:
        """A job of `run`, else of the newest run that has it. `DAG-` is ignored. Raises `NotFound`."""
        return self._call(self._here().get_job(job_id, run))

    def get_job_status(self, job_id: object, run: object | None = None) -> str:
        """The state of a job, e.g. "COMPLETED"; of a run when given a run's id."""
        return self._call(self._here().get_job_status(job_id, run))

    def list_jobs(self, run: object, *, state: str = "") -> list[JobView]:
        """All jobs of a run, in the order of submission."""
        return self._call(self._here().list_jobs(run, state=state))
