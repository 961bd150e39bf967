"""`TitanClient`: the client for code without asyncio.

A face and nothing more: every method hands its call to one `AsyncClient` that lives in a background
thread (`portal.py`). What talks to the network is imported when the first client is made.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import AsyncIterator, Coroutine, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar, overload

from titan.limits import CLIENT_DEADLINE_S
from titan.sdk.absent import KnowsWhatIsAbsent
from titan.sdk.budgets_face import BudgetsFace
from titan.sdk.calls_face import CallsFace
from titan.sdk.mutations_face import MutationsFace
from titan.sdk.schedules_face import SchedulesFace
from titan.sdk.store_face import StoreFace

if TYPE_CHECKING:
    from pathlib import Path

    from titan.fsm.queries import (
        ArtifactView,
        GateView,
        JobView,
        PipelineView,
        PoolView,
        RunView,
        ServiceView,
        WorkerView,
    )
    from titan.sched.verdicts import Why
    from titan.sdk.aio import AsyncClient
    from titan.sdk.artifacts import JobFile
    from titan.sdk.edits import RunEdits
    from titan.sdk.gates import Decided
    from titan.sdk.handles import AsyncRunHandle
    from titan.sdk.jobs import TitanJob
    from titan.sdk.logs import LogLine, Moment
    from titan.sdk.nodes import Node
    from titan.sdk.portal import Portal
    from titan.sdk.views import RunChange
    from titan.wire.messages import ClusterInfo

T = TypeVar("T")
Parameter = str | int | float | bool | None


class RunHandle:
    """A run that was submitted. It prints as its run id."""

    def __init__(self, client: TitanClient, run_id: str, nodes: Iterable[Node[Any]] = ()) -> None:
        self.id = run_id
        self._client = client
        self._nodes = list(nodes)

    def __str__(self) -> str:
        return self.id

    def __repr__(self) -> str:
        return f"<run {self.id}>"

    def wait(self, timeout: float | None = None) -> str:
        """Wait until every job has ended; answers the run's state. Raises `TimedOut`."""
        return self._client.wait(self.id, timeout)

    def status(self) -> str:
        """The run's state now."""
        return self._client.get_job_status(self.id)

    def jobs(self) -> list[JobView]:
        """All its jobs, in the order of submission."""
        return self._client.list_jobs(self.id)

    def logs(self, job: str | None = None) -> str | dict[str, str]:
        """The output of one job; without a name, of every job: id to text."""
        if job is not None:
            return self._client.fetch_logs(job, self.id)
        return {one.id: self._client.fetch_logs(one.id, self.id) for one in self.jobs()}

    def artifacts(self, job: str | None = None) -> list[JobFile]:
        """The files that one job has left; without a name, all jobs."""
        if job is not None:
            return self._client.job_artifacts(job, self.id)
        return self._client.run_artifacts(self.id)

    def cancel(self) -> None:
        """Cancel every job that has not ended."""
        self._client.cancel(self.id)

    def add(self, jobs: Iterable[TitanJob]) -> None:
        """Add jobs while it is live, all or none."""
        self._client.add_jobs(self.id, jobs)

    def signal(self, name: str, payload: Any = None, *, job: str | None = None) -> int:
        """Tell it, or one of its jobs, something; see `TitanClient.signal`."""
        return self._client.signal(self.id, name, payload, job=job)

    def mutate(self, *, if_revision: int = 0, note: str = "") -> AbstractContextManager[RunEdits]:
        """Change it: what is collected in the block is committed when it ends, all or nothing."""
        return self._client.changing(self.id, if_revision=if_revision, note=note)

    def watch(self) -> Iterator[RunChange]:
        """The run and its jobs now, then every change until it has ended."""
        return self._client.watch_run(self.id)

    def approve(self, gate: object, **how: Any) -> Decided:
        """Approve a gate of it; takes what `TitanClient.approve` takes."""
        return self._client.approve(gate, self.id, **how)

    def reject(self, gate: object, **how: Any) -> Decided:
        """Reject a gate of it; takes what `TitanClient.reject` takes."""
        return self._client.reject(gate, self.id, **how)

    def pending_gates(self) -> list[GateView]:
        """Its gates that wait for people."""
        return self._client.pending_gates(self.id)

    def get_output(self, job: str) -> Any:
        """What one of its jobs put out; see `TitanClient.get_output`."""
        return self._client.get_output(job, self.id)

    @overload
    def result(self, node: Node[T], timeout: float | None = None) -> T: ...

    @overload
    def result(self, node: T, timeout: float | None = None) -> T: ...

    def result(self, node: Any, timeout: float | None = None) -> Any:
        """The result of a node of its graph once it is there, or by a job's id what the job put out.

        Raises `CallFailed` when there will be none, `TimedOut` after `timeout` seconds.
        """
        return self._client.get_result(self.id, node, timeout)

    def results(self, timeout: float | None = None) -> dict[str, Any]:
        """The results of all nodes of the graph that it was made of, by job id, once all are there."""
        return self._client.get_results(self.id, self._nodes, timeout)


class TitanClient(
    CallsFace, MutationsFace, StoreFace, SchedulesFace, BudgetsFace, KnowsWhatIsAbsent
):
    """A client of a Titan cluster. Safe to use from several threads.

    `masters`: "host:port,host:port" or a list; else `TITAN_MASTERS`, else `TITAN_HOST` and
    `TITAN_PORT`, else 127.0.0.1:9090. Any one master is enough; it learns the others.
    Every call is repeated through failovers until `deadline_s` has passed, and takes effect once.
    It connects with the first call. Closing is optional; a `with` block does it. After a fork the child
    gets a connection and an identity of its own.
    """

    def __init__(
        self, masters: str | Iterable[str] | None = None, *, deadline_s: float = CLIENT_DEADLINE_S
    ) -> None:
        from titan.sdk.discovery import first_masters

        self._masters = first_masters(masters)
        self._deadline_s = deadline_s
        self._open()

    def _open(self) -> None:
        from titan.sdk.aio import AsyncClient
        from titan.sdk.portal import Portal

        self._pid = os.getpid()
        self._portal = Portal()
        self._client = AsyncClient(self._masters, deadline_s=self._deadline_s)
        self._closer = weakref.finalize(self, _close, self._portal, self._client, self._pid)

    def _here(self) -> AsyncClient:
        """The client of this process: two processes must never number requests alike."""
        if os.getpid() != self._pid:
            self._closer.detach()
            self._open()
        return self._client

    def _call(self, work: Coroutine[Any, Any, T]) -> T:
        return self._portal.call(work)

    def _handle(self, work: Coroutine[Any, Any, AsyncRunHandle]) -> RunHandle:
        return RunHandle(self, self._call(work).id)

    def _run_handle(self, run_id: str, nodes: Iterable[Node[Any]]) -> RunHandle:
        return RunHandle(self, run_id, nodes)

    def _iterate(self, source: AsyncIterator[T]) -> Iterator[T]:
        return self._portal.iterate(source)

    def close(self) -> None:
        """End the connection and the thread; again does nothing."""
        self._closer()

    def __enter__(self) -> TitanClient:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.close()

    # --- runs -----------------------------------------------------------------------------------

    def submit_dag(
        self,
        name: str,
        jobs: Iterable[TitanJob],
        agent_run_id: str | None = None,
        *,
        parameters: Mapping[str, Parameter] | None = None,
        budget: Mapping[str, Any] | None = None,
    ) -> RunHandle:
        """Start a run of `jobs`, whose files travel along. Raises `InvalidSpec` with every problem.

        `budget`: what the run and all below it may use, `{jobs, depth, wall_s, cpu_s, units, on_limit}`.
        """
        work = self._here().submit_dag(
            name, jobs, agent_run_id, parameters=parameters, budget=budget
        )
        return self._handle(work)

    def submit_job(self, job: TitanJob) -> RunHandle:
        """Start a run of one job, named after it."""
        return self._handle(self._here().submit_job(job))

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
    ) -> RunHandle:
        """Start a run of a pipeline's YAML file; with `wait`, come back when it has ended.

        `poll_interval` has no effect: the end is pushed. Raises `TimedOut` when the run has not ended
        after `timeout` seconds; it goes on.
        """
        work = self._here().submit_yaml(
            path, agent_run_id, wait, poll_interval, timeout, parameters=parameters, budget=budget
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

    def get_run(self, run: object) -> RunView:
        """A run. Raises `NotFound`."""
        return self._call(self._here().get_run(run))

    def list_runs(
        self, limit: int = 100, *, name: str = "", state: str = "", agent_run_id: str = ""
    ) -> list[RunView]:
        """Runs, newest first."""
        work = self._here().list_runs(limit, name=name, state=state, agent_run_id=agent_run_id)
        return self._call(work)

    def watch_run(self, run: object, *, jobs: bool = True) -> Iterator[RunChange]:
        """The run and its jobs now, then every change until the run has ended."""
        return self._iterate(self._here().watch_run(run, jobs=jobs))

    def wait(self, run: object, timeout: float | None = None) -> str:
        """Wait until every job of the run has ended; answers the run's state. Raises `TimedOut`."""
        return self._call(self._here().wait(run, timeout))

    # --- jobs -----------------------------------------------------------------------------------

    def get_job(self, job_id: str, run: object | None = None) -> JobView:
        """A job of `run`, else of the newest run that has it. `DAG-` is ignored. Raises `NotFound`."""
        return self._call(self._here().get_job(job_id, run))

    def get_job_status(self, job_id: object, run: object | None = None) -> str:
        """The state of a job, e.g. "COMPLETED"; of a run when given a run's id."""
        return self._call(self._here().get_job_status(job_id, run))

    def list_jobs(self, run: object, *, state: str = "") -> list[JobView]:
        """All jobs of a run, in the order of submission."""
        return self._call(self._here().list_jobs(run, state=state))

    def fetch_logs(
        self,
        job_id: object,
        run: object | None = None,
        *,
        grep: str | None = None,
        since: Moment | None = None,
        until: Moment | None = None,
    ) -> str:
        """All that the newest attempt of a job has written; "" when it has not started yet.

        `grep`: only lines that hold this text. `since`, `until`: only what was written in between.
        """
        work = self._here().fetch_logs(job_id, run, grep=grep, since=since, until=until)
        return self._call(work)

    def search_logs(
        self,
        target: object,
        text: str = "",
        *,
        since: Moment | None = None,
        until: Moment | None = None,
    ) -> list[LogLine]:
        """Lines with `text` in the newest output of every job of a run, or of one job."""
        return self._call(self._here().search_logs(target, text, since=since, until=until))

    def follow_logs(self, job_id: object, run: object | None = None) -> Iterator[str]:
        """What a job writes, from the beginning of its newest attempt until the job has ended."""
        return self._iterate(self._here().follow_logs(job_id, run))

    def get_output(self, job_id: object, run: object | None = None) -> Any:
        """What a job has put out, as it was set; None when nothing was. While it runs, what it has
        set so far. What is no JSON comes as text or bytes."""
        return self._call(self._here().get_output(job_id, run))

    def signal(self, run: object, name: str, payload: Any = None, *, job: str | None = None) -> int:
        """Tell a live run, or one of its jobs, something; answers the number of the signal.

        It waits in a mailbox until a task takes it: one of the job, or the first of the run that asks.
        `payload` is anything JSON knows, at most 64 KiB. Raises `Conflict` when the run or job has
        ended or its mailbox is full.
        """
        return self._call(self._here().signal(run, name, payload, job=job))

    def cancel(self, target: object, run: object | None = None) -> None:
        """Cancel a run (by its id or handle), or a job and its descendants. Raises `NotFound`."""
        self._call(self._here().cancel(target, run))

    def retry(self, job_id: str, run: object | None = None) -> None:
        """Run a job that has ended again, with the descendants that ended because of it."""
        self._call(self._here().retry(job_id, run))

    # --- gates ----------------------------------------------------------------------------------

    def approve(
        self,
        gate: object,
        run: object | None = None,
        *,
        comment: str = "",
        answers: Mapping[str, Parameter] | None = None,
        by: str | None = None,
        role: str = "",
    ) -> Decided:
        """Approve a gate, named by its id or by the job it comes after, in the newest run where it waits.

        `answers` fill in its form; `by` is the user of this process by default. Saying the same again has
        no effect. Raises `NotFound`, `InvalidSpec` for wrong answers, `AccessDenied` for one who may not
        decide, `Conflict` with the reason `gate_decided`, naming who decided, or `not_ready`.
        """
        work = self._here().approve(gate, run, comment=comment, answers=answers, by=by, role=role)
        return self._call(work)

    def reject(
        self,
        gate: object,
        run: object | None = None,
        *,
        comment: str = "",
        by: str | None = None,
        role: str = "",
    ) -> Decided:
        """Reject a gate: it fails and is not tried again. Raises as `approve` does."""
        return self._call(self._here().reject(gate, run, comment=comment, by=by, role=role))

    def pending_gates(self, run: object | None = None) -> list[GateView]:
        """The gates that wait for people, those of the newest runs first; at most 1000."""
        return self._call(self._here().pending_gates(run))

    def get_gate(self, gate: str, run: object | None = None) -> GateView:
        """One gate, with everything that was decided. Raises `NotFound`."""
        return self._call(self._here().get_gate(gate, run))

    # --- saved pipelines ------------------------------------------------------------------------

    def save_dag(
        self,
        name: str,
        jobs: Iterable[TitanJob] | str | os.PathLike[str],
        *,
        parameters: Mapping[str, Any] | None = None,
        budget: Mapping[str, Any] | None = None,
    ) -> int:
        """Keep a pipeline: jobs, or the path of a YAML file. Answers its version.

        `parameters`: names with default values, or with `{type, default, required, choices, help}`.
        Raises `InvalidSpec` with every problem, `LimitExceeded`, `FileNotFoundError`.
        """
        return self._call(self._here().save_dag(name, jobs, parameters=parameters, budget=budget))

    def submit_saved_dag(
        self,
        name: str,
        version: int | None = None,
        parameters: Mapping[str, Parameter] | None = None,
        wait: bool = False,
        timeout: float = 300,
        *,
        agent_run_id: str | None = None,
        budget: Mapping[str, Any] | None = None,
    ) -> RunHandle:
        """Start a run of a saved pipeline, the latest version by default; with `wait`, come back when it
        has ended. Raises `NotFound`, `InvalidSpec` for wrong parameters, `TimedOut`."""
        work = self._here().submit_saved_dag(
            name, version, parameters, wait, timeout, agent_run_id=agent_run_id, budget=budget
        )
        return self._handle(work)

    def list_saved_dags(self) -> list[PipelineView]:
        """The latest version of every saved pipeline, by name."""
        return self._call(self._here().list_saved_dags())

    def get_saved_dag(self, name: str, version: int | None = None) -> PipelineView:
        """A version of a saved pipeline with its jobs. Raises `NotFound`."""
        return self._call(self._here().get_saved_dag(name, version))

    def delete_saved_dag(self, name: str, version: int | None = None) -> int:
        """Forget a saved pipeline, or one version; answers how many versions. Its runs go on."""
        return self._call(self._here().delete_saved_dag(name, version))

    # --- services -------------------------------------------------------------------------------

    def list_services(self, name: str = "", run: object | None = None) -> list[ServiceView]:
        """Services that have not ended, with health and address."""
        return self._call(self._here().list_services(name, run))

    def get_service(self, name: str) -> ServiceView:
        """The service that others are to use under this name. Raises `NotFound`."""
        return self._call(self._here().get_service(name))

    def stop_service(self, job_id: str, run: object | None = None) -> str:
        """End a service with everything it has started; it is not started again. Without `run`: the
        deployed one, else that of the newest run. Answers "STOPPED: DAG-<id>"."""
        return self._call(self._here().stop_service(job_id, run))

    def deploy_services(
        self,
        path: str | os.PathLike[str],
        timeout: float = 60.0,
        *,
        parameters: dict[str, Parameter] | None = None,
    ) -> RunHandle:
        """Start the services of a file in place of those of the same names; comes back when they are
        healthy. Raises `DeployFailed` when one is not in time: the version before it stays."""
        work = self._here().deploy_services(path, timeout, parameters=parameters)
        return self._handle(work)

    # --- files ----------------------------------------------------------------------------------

    def upload_file(self, path: str | os.PathLike[str]) -> str:
        """Store one file in the cluster; answers its digest. What is there already is not sent."""
        return self._call(self._here().upload_file(path))

    def upload_project_folder(self, folder: str | os.PathLike[str]) -> str:
        """Pack a folder and store it; answers its digest, for `TitanJob(..., bundle=digest)`."""
        return self._call(self._here().upload_project_folder(folder))

    def publish_artifact(self, key: str, file: str | os.PathLike[str]) -> str:
        """Store a file under a key, replacing what was there; answers its digest."""
        return self._call(self._here().publish_artifact(key, file))

    def get_artifact(
        self, key: str, save_path: str | os.PathLike[str] | None = None
    ) -> Path | None:
        """Bring the file of a key here; its path, or None when there is no such key."""
        return self._call(self._here().get_artifact(key, save_path))

    def fetch_artifact(
        self,
        name: str,
        save_path: str | os.PathLike[str] | None = None,
        run: object | None = None,
    ) -> Path | None:
        """Bring a file here by key, by the name it was uploaded with, by digest, or by `job:path`."""
        return self._call(self._here().fetch_artifact(name, save_path, run))

    def delete_artifact(self, key: str) -> bool:
        """Remove a key; answers whether it was there."""
        return self._call(self._here().delete_artifact(key))

    def list_artifacts(self, prefix: str = "") -> list[ArtifactView]:
        """Every key with the prefix, sorted."""
        return self._call(self._here().list_artifacts(prefix))

    def job_artifacts(self, job: object, run: object | None = None) -> list[JobFile]:
        """The files that a job has left, by path; [] when it leaves none."""
        return self._call(self._here().job_artifacts(job, run))

    def run_artifacts(self, run: object) -> list[JobFile]:
        """The files that all jobs of a run have left."""
        return self._call(self._here().run_artifacts(run))

    def download_artifacts(
        self,
        run: object,
        job: str | None = None,
        pattern: str = "**",
        to: str | os.PathLike[str] = ".",
    ) -> list[Path]:
        """Bring what a job has left, or all jobs of a run, into a folder; the files written."""
        return self._call(self._here().download_artifacts(run, job, pattern, to))

    def publish_checkpoint(self, folder: str | os.PathLike[str]) -> None:
        """Publish a folder as the checkpoint of the task that this code runs in, as a whole."""
        self._call(self._here().publish_checkpoint(folder))

    # --- the cluster ----------------------------------------------------------------------------

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

    def why(self, job: str, run_id: str | None = None) -> Why:
        """Why a job does not run, and the smallest change that would start it."""
        return self._call(self._here().why(job, run_id))

    def cluster_info(self) -> ClusterInfo:
        """The masters, and who leads."""
        return self._call(self._here().cluster_info())


def _close(portal: Portal, client: AsyncClient, pid: int) -> None:
    if os.getpid() != pid:
        return  # the thread belongs to the parent
    portal.close(client.close())
