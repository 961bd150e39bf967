"""Why a job waits, or how it ended, in words for people. A PENDING job always has a reason."""

from __future__ import annotations

from datetime import UTC, datetime

from titan.fsm import budgets, settling
from titan.fsm.kin import subrun_of
from titan.fsm.policy import asks_first, decode_spec, policy_of
from titan.fsm.ports import refusal_everywhere
from titan.fsm.records.gates import APPROVE
from titan.fsm.service_life import shown_health
from titan.fsm.state import Demand, Job, JobState, Run, State, Worker
from titan.fsm.triggers import as_parent
from titan.fsm.unattended import asks_for_worker

_NAMES_SHOWN = 5


class Reasons:
    """The reasons of many jobs at one moment; asks about each demand once, however many jobs share it."""

    def __init__(self, state: State) -> None:
        self.state = state
        self._by_demand: dict[Demand, str] = {}

    def of(self, run: Run, job: Job) -> str:
        """Why this one waits or how it ended; "" when it needs no words."""
        if job.state.is_over:
            return job.reason
        if job.state is JobState.WAITING:
            return _people(run, job)
        if run.services and job.id in run.services:
            words = service_reason(self.state, run, job)
            if words:
                return words
        if job.state is not JobState.PENDING:
            below = subrun_of(run, job)
            return f"runs as {below}" if below else ""
        under_way = settling.why_waits(self.state, run, job)
        if under_way:
            return f"waits until {under_way} is carried out"
        if job.waiting_for:
            return _parents(run, job)
        if job.unpaid:
            return budgets.why_unpaid(self.state, run)
        if job.not_before_ms:
            return _held(job, now_ms=self.state.now_ms)
        if job.demand not in self._by_demand:
            self._by_demand[job.demand] = _missing(self.state, job.demand)
        return self._by_demand[job.demand]


def _parents(run: Run, job: Job) -> str:
    names = [name for name in job.parents if not as_parent(run, run.jobs[name]).is_over]
    shown = ", ".join(names[:_NAMES_SHOWN])
    more = len(names) - _NAMES_SHOWN
    return f"waits for {shown} and {more} more" if more > 0 else f"waits for {shown}"


def _people(run: Run, job: Job) -> str:
    spec, gate = decode_spec(job), run.gates[job.id]
    given = sum(one.decision == APPROVE for one in gate.decisions)
    asked = f": {spec.hitl_message}" if spec.hitl_message else ""
    if spec.approvers.count == 1:
        return f"waits for approval{asked}"
    return f"waits for approval, has {given} of {spec.approvers.count}{asked}"


def clock(at_ms: int) -> str:
    """A committed time for people."""
    when = datetime.fromtimestamp(at_ms / 1000, UTC)
    return when.isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


def _held(job: Job, *, now_ms: int) -> str:
    if asks_first(job) and job.not_before_ms <= now_ms:
        return "is about to begin"
    until = clock(job.not_before_ms)
    if not job.retries_used:
        is_due = not asks_for_worker(job) and not policy_of(job).delay_ms
        return "is about to begin" if is_due else f"delayed until {until}"
    return f"retry {job.retries_used} of {policy_of(job).retries} at {until}, after: {job.reason}"


def _missing(state: State, demand: Demand) -> str:
    """What keeps every worker from taking a job that asks for this."""
    tags = " and ".join(demand.requirement)
    capable = [
        worker
        for worker in state.workers.values()
        if worker.online
        and worker.mode == "open"
        and all(tag in worker.capabilities for tag in demand.requirement)
    ]
    if not capable:
        return f"waits for a worker with {tags}"
    amounts = [f"{amount} {name}" for name, amount in demand.resources if amount]
    if not any(_could_ever_fit(worker, demand) for worker in capable):
        return f"waits for a worker with {tags} and {', '.join(amounts)}"
    if amounts not in ([], ["1 slots"]):
        return f"waits for {', '.join(amounts)} to be free"
    return "waits for a slot"


def _could_ever_fit(worker: Worker, demand: Demand) -> bool:
    return all(
        amount <= (worker.slots if name == "slots" else worker.resources.get(name, 0))
        for name, amount in demand.resources
    )


# --- services -------------------------------------------------------------------------------------


def service_reason(state: State, run: Run, job: Job) -> str:
    """How a service stands while it runs, or why it has to wait; "" when it waits as any job does."""
    service = run.services[job.id]
    if job.live:
        words = f"{shown_health(service)} at {service.address}"
        return f"{words}: {service.detail}" if service.detail else words
    if job.waiting_for:
        return ""
    if job.not_before_ms and not service.restarts and not job.attempts:
        return ""  # its declared delay
    if job.not_before_ms:
        words = f"{job.reason or 'restarts'}; starts again at {clock(job.not_before_ms)}"
        return f"{shown_health(service)}: {words}" if service.quick_failures else words
    return refusal_everywhere(state, service, job.demand, name=job.id) if service.port else ""
