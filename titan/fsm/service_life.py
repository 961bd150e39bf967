"""What becomes of a service when an attempt begins or ends. No handlers: `attempts.py` decides, this
module carries out.

An attempt that ends without an order to stop is followed by another one after a back-off: attempts are
fenced, and the planner may move the service. The back-off grows only while ends come soon after starts.
"""

from __future__ import annotations

from titan.fsm import deployments, jobs, ports
from titan.fsm.handling import Turn
from titan.fsm.outcomes import Rejected
from titan.fsm.policy import backoff_ms, service_policy_of
from titan.fsm.records.services import CRASH_LOOP, STARTING, Service
from titan.fsm.state import Attempt, Job, JobState, Run, State, Worker
from titan.limits import CRASH_LOOP_FAILURES, SERVICE_STABLE_MS
from titan.spec.service import DEFAULT_RESTART, NO_LIMIT

MOVED = "moved"  # the worker ended it because it leaves
_HOPELESS = ("start_failed", "port_in_use")  # unless it was healthy before: then something changed


def service_of(run: Run, job: Job) -> Service | None:
    """The job's record as a service; None for all other jobs."""
    return run.services.get(job.id) if run.services else None


def gives_up_on_port(state: State, run: Run, job: Job) -> str:
    """Why a service that was never healthy must fail for its fixed port instead of waiting, or ""."""
    service = service_of(run, job)
    if service is None or not service.port or service.released:
        return ""
    return ports.refusal_everywhere(state, service, job.demand, name=job.id)


def fail_unplaced(turn: Turn, run: Run, job: Job, *, reason: str) -> None:
    """A ready service ends without having been assigned."""
    reason += deployments.who_stays(turn.state, run, job)
    jobs.withdraw(turn, run, job)
    jobs.end(turn, run, job, to=JobState.FAILED, reason=reason)
    jobs.settle(turn, run, [job])
    jobs.refresh_run(turn, run)


def place(state: State, run: Run, job: Job, worker: Worker) -> int | Rejected:
    """The port that the job would listen at on the worker; 0 for a job that is no service."""
    service = service_of(run, job)
    return 0 if service is None else ports.choose(state, worker, service)


def begin(turn: Turn, run: Run, job: Job, *, attempt: Attempt, worker: Worker) -> None:
    """A new attempt was assigned."""
    service = service_of(run, job)
    if service is None:
        return
    ports.occupy(turn.state, attempt)
    service.health, service.detail = STARTING, ""
    service.health_ms = turn.at.now_ms
    service.host, service.bound, service.machine = worker.host, attempt.port, worker.machine


def attempt_ended(turn: Turn, run: Run, job: Job, *, cause: str, reason: str, ran_ms: int) -> None:
    """Nobody ordered it: start again later, or give up."""
    service = run.services[job.id]
    down(turn, service, detail=reason)
    if cause == MOVED:
        jobs.give_back(turn, run, job)
        return
    if cause == "port_in_use":
        service.bound = 0  # a stranger has it: choose another one
    service.quick_failures = 1 + (0 if ran_ms >= SERVICE_STABLE_MS else service.quick_failures)
    why = _why_give_up(turn.state, run, job, service, cause=cause)
    if why is not None:
        reason += why + deployments.who_stays(turn.state, run, job)
        jobs.end(turn, run, job, to=JobState.FAILED, reason=reason)
        jobs.settle(turn, run, [job])
        return
    service.restarts += 1
    job.reason = reason
    restart = service_policy_of(job).restart or DEFAULT_RESTART
    delay_ms = backoff_ms(
        service.quick_failures, base_ms=restart.backoff_ms, cap_ms=restart.backoff_cap_ms
    )
    jobs.give_back(turn, run, job, delay_ms=delay_ms)


def _why_give_up(state: State, run: Run, job: Job, service: Service, *, cause: str) -> str | None:
    """What to add to the reason when it must not be started again; None when it is."""
    if cause == "port_in_use" and not service.port:
        return None
    if cause in _HOPELESS and not service.released:
        return ""
    limit = (service_policy_of(job).restart or DEFAULT_RESTART).limit
    if limit != NO_LIMIT and service.quick_failures > limit:
        return f"; its limit of {limit} restarts in a row is reached"
    if service.quick_failures >= CRASH_LOOP_FAILURES and deployments.is_candidate(state, run, job):
        return f"; it ended {service.quick_failures} times in a row and was never healthy"
    return None


def down(turn: Turn, service: Service, *, detail: str) -> None:
    """No attempt of it is live any more."""
    service.health, service.detail = STARTING, detail
    service.health_ms = turn.at.now_ms


def shown_health(service: Service) -> str:
    """The health in one word for people."""
    if service.health == STARTING and service.quick_failures >= CRASH_LOOP_FAILURES:
        return CRASH_LOOP
    return service.health
