"""Workers and pools, for code without asyncio: the twin of `fleet.py`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from titan.sdk.face import Face

if TYPE_CHECKING:
    from titan.fsm.queries import PoolView, WorkerView
    from titan.fsm.records.retention import Retention
    from titan.sched.verdicts import Why


class FleetFace(Face):
    """Workers and pools of a client."""

    def list_workers(self) -> Sequence[WorkerView]:
        """The workers that the cluster knows."""
        return self._call(self._here().list_workers())

    def set_worker_mode(self, worker: str, mode: str, *, timeout_s: float | None = None) -> None:
        """Let a worker take work (`open`), take none (`cordoned`), or finish and leave (`draining`).

        `timeout_s`, for draining: what still runs then is killed and runs elsewhere; 0 kills at once.
        """
        self._call(self._here().set_worker_mode(worker, mode, timeout_s=timeout_s))

    def list_pools(self) -> Sequence[PoolView]:
        """The pools that the autoscaler grows and shrinks."""
        return self._call(self._here().list_pools())

    def set_pool(
        self,
        name: str,
        *,
        provider: str = "local",
        capabilities: Iterable[str] = (),
        slots: int = 1,
        resources: Mapping[str, float] | None = None,
        min: int = 0,  # noqa: A002
        max: int = 1,  # noqa: A002
        idle_s: float = 300,
        cooldown_s: float = 5,
        register_s: float = 60,
        url: str = "",
        secret: str = "",
        permanent: bool = False,
    ) -> str:
        """Make a pool, or change one; answers "made" or "changed". See `docs/workers.md`."""
        work = self._here().set_pool(
            name,
            provider=provider,
            capabilities=capabilities,
            slots=slots,
            resources=resources,
            min=min,
            max=max,
            idle_s=idle_s,
            cooldown_s=cooldown_s,
            register_s=register_s,
            url=url,
            secret=secret,
            permanent=permanent,
        )
        return self._call(work)

    def remove_pool(self, name: str) -> None:
        """Start nothing more for a pool; its ephemeral workers finish and leave."""
        self._call(self._here().remove_pool(name))

    def launch_workers(self, pool: str, count: int = 1) -> list[str]:
        """Start workers of a pool now; answers the ids of the launches."""
        return self._call(self._here().launch_workers(pool, count))

    def get_retention(self) -> Retention:
        """How long what has ended is kept."""
        return self._call(self._here().get_retention())

    def set_retention(
        self,
        *,
        runs: int | None = None,
        jobs: int | None = None,
        keep_s: float | None = None,
        files_s: float | None = None,
    ) -> Retention:
        """Change how long what has ended is kept; what is not given stays. Answers the whole policy.

        `runs`, `jobs`: of the newest finished runs; `keep_s`: after a run's end; `files_s`: a file that
        nothing refers to, after its upload. What is no longer kept goes by and by.
        """
        work = self._here().set_retention(runs=runs, jobs=jobs, keep_s=keep_s, files_s=files_s)
        return self._call(work)

    def why(self, job: object, run_id: object | None = None) -> Why:
        """Why a job does not run, and the smallest change that would start it. `run_id`: also a handle."""
        return self._call(self._here().why(job, run_id))
