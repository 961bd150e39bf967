"""Orders about runs and their jobs. Handlers: `runs.py`, `stages.py`, `cancels.py`, `reruns.py`."""

from __future__ import annotations

from titan.fsm.commands.base import ClientCommand
from titan.ids import Digest, JobId, RunId
from titan.spec.budgets import BudgetSpec
from titan.spec.model import JobSpec, version_of


class StageJobs(ClientCommand, frozen=True, kw_only=True, tag="run.stage"):
    """One part of a submission too large for one entry; invisible until `SubmitRun` completes it."""

    run: RunId
    part: int  # 0, 1, 2, …
    jobs: tuple[JobSpec, ...]

    def needs_version(self) -> int:
        """As much as the youngest field of its jobs."""
        return max([self.since, *map(version_of, self.jobs)])


class SubmitRun(ClientCommand, frozen=True, kw_only=True, tag="run.submit"):
    """Create a run from the staged parts followed by `jobs`. The same run id again has no effect."""

    run: RunId
    name: str
    jobs: tuple[JobSpec, ...]
    parts: int = 0  # how many parts were staged before
    bundle: Digest = Digest("")
    parameters: dict[str, str | int | float | bool | None] = {}
    agent_run_id: str = ""
    owner: str = ""  # who asked, for people to read
    budget: BudgetSpec | None = None  # of the run and all below it
    labels: dict[str, str] = {}

    def needs_version(self) -> int:
        """As much as the youngest field of its jobs, or its budget and labels."""
        own = 2 if self.budget is not None or self.labels else self.since
        return max([own, *map(version_of, self.jobs)])


class AddJobs(ClientCommand, frozen=True, kw_only=True, tag="run.add_jobs"):
    """Add jobs to a live run. Parents may be finished, running or new."""

    run: RunId
    jobs: tuple[JobSpec, ...]
    by: str = ""  # who asked, for people to read

    def needs_version(self) -> int:
        """As much as the youngest field of its jobs."""
        return max([self.since, *map(version_of, self.jobs)])


class CancelRun(ClientCommand, frozen=True, kw_only=True, tag="run.cancel"):
    """Cancel every job of the run that has not ended."""

    run: RunId


class CancelJob(ClientCommand, frozen=True, kw_only=True, tag="job.cancel"):
    """Cancel a job and its descendants."""

    run: RunId
    job: JobId


class RetryJob(ClientCommand, frozen=True, kw_only=True, tag="job.retry"):
    """Run a job that ended again, and with it every descendant that ended because of it."""

    run: RunId
    job: JobId
