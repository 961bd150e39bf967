"""Workers, pools, and why a job waits for them: the client's side."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from titan.fsm.commands import RecordLaunch, RemovePool, SetPool, SetRetention, SetWorkerMode
from titan.fsm.queries import GetRetention, ListPools, ListWorkers, PoolView, WorkerView
from titan.fsm.records.retention import Retention
from titan.ids import RunId, WorkerId, new_launch_id
from titan.limits import DURATION_MS_MAX
from titan.sched.verdicts import Why
from titan.sdk.core import Core
from titan.spec.values import resources as resources_of
from titan.wire.messages import ExplainJob, JobExplained


class FleetApi(Core):
    """The part of the client about those who run jobs."""

    async def list_workers(self) -> list[WorkerView]:
        """The workers that the cluster knows."""
        return await self._read(ListWorkers(), list[WorkerView])

    async def set_worker_mode(
        self, worker: str, mode: str, *, timeout_s: float | None = None
    ) -> None:
        """Let a worker take work (`open`), take none (`cordoned`), or finish and leave (`draining`).

        `timeout_s`, for draining: what still runs then is killed and runs elsewhere; 0 kills at once.
        """
        timeout_ms = None if timeout_s is None else int(timeout_s * 1000)
        await self._write(SetWorkerMode(worker=WorkerId(worker), mode=mode, timeout_ms=timeout_ms))

    async def list_pools(self) -> list[PoolView]:
        """The pools that the autoscaler grows and shrinks."""
        return await self._read(ListPools(), list[PoolView])

    async def set_pool(
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
        answer = await self._write(
            SetPool(
                name=name,
                provider=provider,
                capabilities=tuple(capabilities),
                slots=slots,
                resources=resources_of(dict(resources or {})),
                workers_min=min,
                workers_max=max,
                idle_ms=int(idle_s * 1000),
                cooldown_ms=int(cooldown_s * 1000),
                register_ms=int(register_s * 1000),
                url=url,
                secret=secret,
                permanent=permanent,
            )
        )
        return str(answer)

    async def remove_pool(self, name: str) -> None:
        """Start nothing more for a pool; its ephemeral workers finish and leave."""
        await self._write(RemovePool(name=name))

    async def launch_workers(self, pool: str, count: int = 1) -> list[str]:
        """Start workers of a pool now; answers the ids of the launches."""
        launches = tuple(new_launch_id() for _ in range(count))
        await self._write(RecordLaunch(pool=pool, launches=launches))
        return list(launches)

    async def get_retention(self) -> Retention:
        """How long what has ended is kept."""
        return await self._read(GetRetention(), Retention)

    async def set_retention(
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
        order = SetRetention(
            runs_max=runs, jobs_max=jobs, keep_ms=_ms(keep_s), lease_ms=_ms(files_s)
        )
        await self._write(order)
        return await self.get_retention()

    async def why(self, job: object, run_id: object | None = None) -> Why:
        """Why a job does not run, and the smallest change that would start it. `run_id`: also a handle."""
        in_run = RunId("" if run_id is None else str(run_id))
        answer = await self._ask(ExplainJob(job=str(job), run=in_run), JobExplained)
        return msgspec.msgpack.decode(answer.why, type=Why)


def _ms(seconds: float | None) -> int | None:
    return None if seconds is None else int(min(seconds * 1000, DURATION_MS_MAX + 1))
