"""A Dagster resource that runs work on Titan, and lets Dagster see how it went."""

from typing import Any

from dagster import ConfigurableResource, Failure, MetadataValue

from titan.sdk import RunHandle, TitanClient, TitanJob


class TitanResource(ConfigurableResource):  # type: ignore[type-arg]
    """A Titan cluster. `masters` as `TITAN_MASTERS` has them; empty means to look there."""

    masters: str = ""
    timeout_s: float = 300.0

    def run(self, name: str, jobs: list[TitanJob], log: Any) -> dict[str, Any]:
        """Run a graph to its end; the outputs of its jobs. Raises `Failure` with what went wrong."""
        with TitanClient(self.masters or None) as client:
            run = client.submit_dag(name, jobs)
            log.info(f"Titan run {run}")
            for change in run.watch():
                for job in change.jobs:
                    log.info(f"{job.id}: {job.state}")
            if run.status() != "COMPLETED":
                raise self._failure(run)
            return {job.id: run.get_output(job.id) for job in run.jobs()}

    def _failure(self, run: RunHandle) -> Failure:
        failed = [job for job in run.jobs() if job.state in ("FAILED", "DEAD")]
        return Failure(
            f"Titan run {run}: {run.status()}",
            metadata={
                job.id: MetadataValue.text(f"{job.reason}\n{run.logs(job.id)}") for job in failed
            },
            allow_retries=False,  # Titan has retried already
        )
