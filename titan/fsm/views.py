"""Reading the state: the answer to every query, in the shapes of `queries/`.

Changes nothing. Times are as committed; what a view says is true at `State.index`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any, Final

from titan.errors import NotFound, UserError
from titan.fsm import mutation_views
from titan.fsm import views_coordination as coordination
from titan.fsm.artifacts import large_output
from titan.fsm.audit import list_orders
from titan.fsm.budget_views import get_agent_run, get_budget, list_agent_runs, list_budgets
from titan.fsm.file_views import get_artifact, get_outputs, list_artifacts
from titan.fsm.gate_views import decision_views, get_gate, list_gates
from titan.fsm.kin import subrun_of
from titan.fsm.mutation_views import page
from titan.fsm.pipeline_views import get_pipeline, list_pipelines
from titan.fsm.policy import decode_spec
from titan.fsm.queries import (
    BlobView,
    GetArtifact,
    GetBlob,
    GetClaim,
    GetGate,
    GetJob,
    GetJobSpec,
    GetOutput,
    GetOutputs,
    GetPipeline,
    GetResults,
    GetRetention,
    GetRun,
    GetSchedule,
    GetService,
    JobView,
    KvGet,
    KvList,
    KvView,
    ListArtifacts,
    ListGates,
    ListJobs,
    ListLocks,
    ListPipelines,
    ListPools,
    ListRuns,
    ListSchedules,
    ListServices,
    ListWorkers,
    PeekSignal,
    PoolView,
    ResultView,
    RunView,
    WorkerView,
)
from titan.fsm.queries.audit import ListOrders
from titan.fsm.queries.base import Query
from titan.fsm.queries.budgets import GetAgentRun, GetBudget, ListAgentRuns, ListBudgets
from titan.fsm.queries.graph import CountDead, GetGraph, ListDead, ListRevisions
from titan.fsm.reasons import Reasons
from titan.fsm.records.pools import AWAITED, JOINED, Pool
from titan.fsm.schedule_views import get_schedule, list_schedules
from titan.fsm.service_views import get_service, list_services, service_words
from titan.fsm.state import Job, JobState, KvItem, Run, State, Worker
from titan.ids import JobId, RunId, strip_v1_prefix
from titan.limits import LIST_PAGE_MAX, RESULTS_PAGE_BYTES
from titan.spec.labels import Wanted, has_labels, read_filters
from titan.spec.model import JobSpec


def read(state: State, query: Query) -> Any:
    """Answer a query as its docstring says. Raises `NotFound`, `UserError`."""
    return _READERS[type(query)](state, query)


def reason(state: State, job: Job, *, run: Run) -> str:
    """Why a job waits or how it ended, in words for people; "" when it needs none."""
    return Reasons(state).of(run, job)


def run_view(run: Run) -> RunView:
    """A run as people see it."""
    return RunView(
        id=run.id,
        name=run.name,
        state=run.state.value,
        over=run.ended_ms != 0,
        created_ms=run.created_ms,
        ended_ms=run.ended_ms,
        # In the order of the states: that of the counts tells how this master came to them.
        jobs={state.value: run.counts[state] for state in JobState if state in run.counts},
        agent_run_id=run.agent_run_id,
        owner=run.owner,
        pipeline=run.pipeline,
        pipeline_version=run.pipeline_version,
        schedule=run.schedule,
        parent_run=run.parent_run,
        parent_job=run.parent_job,
        revision=run.revision,
        caller_run=run.caller_run,
        caller_job=run.caller_job,
        budgets=tuple(run.budgets),
        labels=run.labels,
    )


def job_view(run: Run, job: Job, *, reasons: Reasons) -> JobView:
    """A job as people see it. Views made together share `reasons`."""
    attempt = reasons.state.attempts.get(job.live)
    says = attempt if attempt is not None and attempt.progress_ppm >= 0 else None
    return JobView(
        run=run.id,
        id=job.id,
        state=job.state.value,
        reason=reasons.of(run, job),
        worker=job.worker,
        attempts=job.attempts,
        retries_used=job.retries_used,
        exit_code=job.exit_code,
        parents=job.parents,
        started_ms=job.started_ms,
        ended_ms=job.ended_ms,
        live=job.live,
        history=job.history,
        progress=None if says is None else says.progress_ppm / 1_000_000,
        note="" if says is None else says.note,
        decisions=decision_views(run, job.id) if run.gates else (),
        subrun=subrun_of(run, job),
        **service_words(run, job),
    )


def worker_view(state: State, worker: Worker) -> WorkerView:
    """A worker as people see it."""
    mode = "online" if worker.mode == "open" else worker.mode
    held = (state.attempts[number] for number in islice(worker.live, LIST_PAGE_MAX))
    return WorkerView(
        id=worker.id,
        name=worker.name,
        state=mode if worker.online else "lost",
        capabilities=worker.capabilities,
        slots=worker.slots,
        resources=dict(worker.resources),
        running=len(worker.live),
        jobs=[f"{attempt.run}/{attempt.job}" for attempt in held],
        ephemeral=worker.ephemeral,
        pool=worker.pool,
        used=dict(sorted(worker.used.items())),
        host=worker.host,
    )


def _without_query(url: str) -> str:
    """What follows the question mark of a webhook is often what lets one call it."""
    place, mark, _ = url.partition("?")
    return f"{place}?…" if mark else place


def pool_view(state: State, pool: Pool) -> PoolView:
    """A pool as people see it."""
    mine = [launch.state for launch in state.launches.values() if launch.pool == pool.name]
    return PoolView(
        name=pool.name,
        provider=pool.provider,
        capabilities=pool.capabilities,
        slots=pool.slots,
        resources=dict(pool.resources),
        workers_min=pool.workers_min,
        workers_max=pool.workers_max,
        idle_ms=pool.idle_ms,
        cooldown_ms=pool.cooldown_ms,
        register_ms=pool.register_ms,
        url=_without_query(pool.url),
        permanent=pool.permanent,
        state="removed" if pool.is_removed else "active",
        workers=mine.count(JOINED),
        starting=sum(one in AWAITED for one in mine),
        failures=pool.failures,
        last_error=pool.last_error,
    )


def kv_view(key: str, item: KvItem) -> KvView:
    """A key as people see it. What is not text after all is shown as bytes."""
    value: str | bytes | None = item.value
    members = None
    if item.members is not None:
        value, members = None, list(item.members)
    elif not item.binary:
        try:
            value = item.value.decode()
        except UnicodeDecodeError:
            value = item.value
    return KvView(
        key=key, value=value, members=members, version=item.version, expires_ms=item.expires_ms
    )


# --- one reader per query -------------------------------------------------------------------------


def _run(state: State, run_id: str) -> Run:
    run = state.runs.get(RunId(run_id))
    if run is None:
        raise NotFound(f"there is no run {run_id}")
    return run


def _job(run: Run, job_id: str) -> Job:
    job = run.jobs.get(JobId(job_id)) or run.jobs.get(JobId(strip_v1_prefix(job_id)))
    if job is None:
        raise NotFound(f"run {run.id} has no job '{job_id}'")
    return job


def _get_run(state: State, query: GetRun) -> RunView:
    return run_view(_run(state, query.run))


def _list_runs(state: State, query: ListRuns) -> list[RunView]:
    newest_first: Iterator[Run] = reversed(state.runs.values())
    if query.agent_run_id:
        stages = reversed(state.agents.get(query.agent_run_id, {}))
        newest_first = map(state.runs.__getitem__, stages)
    if query.before:
        _run(state, query.before)
        newest_first = iter(_after(newest_first, query.before))
    labels = _wanted(query.labels) if query.labels else ()
    wanted = (
        run_view(run)
        for run in newest_first
        if (not query.name or run.name == query.name)
        and (not query.state or run.state == query.state)
        and (not labels or has_labels(run.labels, labels))
    )
    return list(islice(wanted, page(query.limit)))


def _wanted(filters: tuple[str, ...]) -> Wanted:
    try:
        return read_filters(filters)
    except ValueError as why:
        raise UserError(f"label: {why}") from None


def _after(runs: Iterable[Run], last: str) -> Iterator[Run]:
    has_passed = False
    for run in runs:
        if has_passed:
            yield run
        has_passed = has_passed or run.id == last


def _list_jobs(state: State, query: ListJobs) -> list[JobView]:
    run = _run(state, query.run)
    last_seq = _job(run, query.after).seq if query.after else 0
    wanted = (
        job
        for job in run.jobs.values()
        if job.seq > last_seq and (not query.state or job.state == query.state)
    )
    reasons = Reasons(state)
    return [job_view(run, job, reasons=reasons) for job in islice(wanted, page(query.limit))]


def _get_job(state: State, query: GetJob) -> JobView:
    return job_view(*_newest(state, query.run, query.job), reasons=Reasons(state))


def _newest(state: State, run_id: str, job_id: str) -> tuple[Run, Job]:
    """The job of that run; without one, of the newest run that has it."""
    if run_id:
        run = _run(state, run_id)
        return run, _job(run, job_id)
    for name in dict.fromkeys((job_id, strip_v1_prefix(job_id))):
        for run in reversed(state.runs.values()):
            job = run.jobs.get(JobId(name))
            if job is not None:
                return run, job
    raise NotFound(f"no run has a job '{job_id}'")


def _get_job_spec(state: State, query: GetJobSpec) -> JobSpec:
    return decode_spec(_job(_run(state, query.run), query.job))


def _get_output(state: State, query: GetOutput) -> bytes | None:
    _, job = _newest(state, query.run, query.job)
    attempt = state.attempts.get(job.live)
    return (job.output if attempt is None else attempt.output) or None


def _get_results(state: State, query: GetResults) -> list[ResultView]:
    run = _run(state, query.run)
    found: list[ResultView] = []
    room = RESULTS_PAGE_BYTES
    for name in query.jobs[:LIST_PAGE_MAX]:
        job = _job(run, name)
        found.append(
            ResultView(
                id=job.id,
                state=job.state.value,
                over=job.state.is_over,
                reason=job.reason,
                output=job.output,
                blob=large_output(state, run, job),
            )
        )
        room -= len(job.output)
        if room <= 0:
            break
    return found


def _list_workers(state: State, _query: ListWorkers) -> list[WorkerView]:
    return [worker_view(state, state.workers[worker]) for worker in sorted(state.workers)]


def _list_pools(state: State, _query: ListPools) -> list[PoolView]:
    return [pool_view(state, state.pools[name]) for name in sorted(state.pools)]


def _kv_get(state: State, query: KvGet) -> KvView | None:
    item = state.kv.get(query.key)
    return None if item is None else kv_view(query.key, item)


def _kv_list(state: State, query: KvList) -> list[KvView]:
    keys = sorted(key for key in state.kv if key.startswith(query.prefix) and key > query.after)
    return [kv_view(key, state.kv[key]) for key in keys[: page(query.limit)]]


def _get_blob(state: State, query: GetBlob) -> BlobView | None:
    blob = state.blobs.get(query.digest)
    if blob is None:
        return None
    return BlobView(digest=blob.digest, size=blob.size, holders=blob.holders)


_READERS: Final[dict[type[Query], Callable[[State, Any], Any]]] = {
    GetRun: _get_run,
    ListRuns: _list_runs,
    ListJobs: _list_jobs,
    GetJob: _get_job,
    GetJobSpec: _get_job_spec,
    GetOutput: _get_output,
    GetResults: _get_results,
    ListGates: list_gates,
    GetGate: get_gate,
    ListPipelines: list_pipelines,
    ListSchedules: list_schedules,
    GetSchedule: get_schedule,
    GetPipeline: get_pipeline,
    ListServices: list_services,
    GetService: get_service,
    ListWorkers: _list_workers,
    ListPools: _list_pools,
    KvGet: _kv_get,
    KvList: _kv_list,
    ListLocks: coordination.list_locks,
    GetClaim: coordination.get_claim,
    PeekSignal: coordination.peek_signal,
    GetBlob: _get_blob,
    GetArtifact: get_artifact,
    ListArtifacts: list_artifacts,
    GetOutputs: get_outputs,
    GetGraph: mutation_views.graph,
    ListRevisions: mutation_views.history,
    ListDead: mutation_views.dead_letters,
    ListOrders: list_orders,
    CountDead: mutation_views.count_dead,
    ListAgentRuns: list_agent_runs,
    GetAgentRun: get_agent_run,
    GetBudget: get_budget,
    GetRetention: lambda state, _query: state.retention,
    ListBudgets: list_budgets,
}
