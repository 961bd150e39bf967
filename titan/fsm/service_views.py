"""Reading what the state knows of services; part of `views.py`, which lists the readers."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

from titan.errors import NotFound
from titan.fsm.queries import GetService, ListServices, ServiceView
from titan.fsm.reasons import Reasons
from titan.fsm.service_life import shown_health
from titan.fsm.state import Job, Run, State
from titan.ids import JobId, RunId, strip_v1_prefix
from titan.limits import LIST_PAGE_MAX


def service_words(run: Run, job: Job) -> dict[str, Any]:
    """What a job's view says beyond other jobs when it is a service."""
    service = run.services.get(job.id) if run.services else None
    if service is None:
        return {}
    health = "" if job.state.is_over else shown_health(service)
    return {"health": health, "address": service.address}


def service_view(state: State, run: Run, job: Job) -> ServiceView:
    """A service as people see it."""
    service = run.services[job.id]
    known = state.services.get(job.id)
    version = ""
    if known is not None and run.id in (known.current, known.candidate):
        version = "candidate" if run.id == known.candidate else "current"
    return ServiceView(
        name=job.id,
        run=run.id,
        run_name=run.name,
        state=job.state.value,
        health=shown_health(service),
        address=service.address,
        worker=job.worker,
        reason=Reasons(state).of(run, job),
        restarts=service.restarts,
        since_ms=service.health_ms,
        version=version,
        attempt=job.live,
        deadline_ms=known.deadline_ms if known and version == "candidate" else 0,
    )


def find_service(state: State, name: JobId) -> tuple[Run, Job] | None:
    """The version of a service that others are to use."""
    known = state.services.get(name)
    if known is not None and known.current:
        run = state.runs[known.current]
        return run, run.jobs[name]
    for run in reversed(state.runs.values()):
        is_untried = known is not None and known.candidate == run.id
        if name in run.services and not run.jobs[name].state.is_over and not is_untried:
            return run, run.jobs[name]
    return None


def address_for(state: State, run: Run, name: JobId) -> str:
    """Where a job of the run is to look for its service `name`: its own while that has not ended, else
    the version that replaced it; "" when it was never started."""
    own = run.services[name]
    if not run.jobs[name].state.is_over:
        return own.address
    known = state.services.get(name)
    if known is None or not known.current:
        return own.address
    return state.runs[known.current].services[name].address


# --- readers --------------------------------------------------------------------------------------


def list_services(state: State, query: ListServices) -> list[ServiceView]:
    """Services that have not ended."""
    found = (
        service_view(state, run, job)
        for run, job in _live(state, query.run)
        if not query.name or job.id == query.name
    )
    return list(islice(found, LIST_PAGE_MAX))


def _live(state: State, run_id: str) -> Iterator[tuple[Run, Job]]:
    if run_id and RunId(run_id) not in state.runs:
        raise NotFound(f"there is no run {run_id}")
    for run in [state.runs[RunId(run_id)]] if run_id else state.runs.values():
        for name in run.services:
            if not run.jobs[name].state.is_over:
                yield run, run.jobs[name]


def get_service(state: State, query: GetService) -> ServiceView:
    """The service of a name."""
    for name in dict.fromkeys((query.name, strip_v1_prefix(query.name))):
        found = find_service(state, JobId(name))
        if found is not None:
            return service_view(state, *found)
    raise NotFound(f"no service '{query.name}' runs")
