"""What people see of gates: those that wait, one by its name, and every decision on record."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from titan.errors import NotFound
from titan.fsm.gates import find_gate
from titan.fsm.policy import decode_spec
from titan.fsm.queries import DecisionView, GateView, GetGate, ListGates
from titan.fsm.reasons import Reasons
from titan.fsm.records.gates import Decision
from titan.fsm.state import Job, JobState, Run, State
from titan.ids import JobId, RunId
from titan.limits import LIST_PAGE_MAX


def decision_views(run: Run, job_id: JobId) -> tuple[DecisionView, ...]:
    """Every decision that is remembered of a gate, in order."""
    gate = run.gates.get(job_id)
    if gate is None:
        return ()
    return tuple([_decision(one) for one in (*gate.earlier, *gate.decisions)])


def _decision(one: Decision) -> DecisionView:
    return DecisionView(
        decision=one.decision,
        by=one.by,
        role=one.role,
        at_ms=one.at_ms,
        comment=one.comment,
        answers=one.answers,
        round=one.round,
    )


def gate_view(run: Run, job: Job, *, reasons: Reasons) -> GateView:
    """A gate as people see it."""
    spec, gate = decode_spec(job), run.gates.get(job.id)
    return GateView(
        run=run.id,
        run_name=run.name,
        id=job.id,
        after=spec.gate_of,
        state=job.state.value,
        reason=reasons.of(run, job),
        message=spec.hitl_message or f"approve '{job.id}'?",
        opened_ms=gate.opened_ms if gate else 0,
        due_ms=gate.due_ms if gate else 0,
        wanted=spec.approvers.count,
        users=spec.approvers.users,
        roles=spec.approvers.roles,
        form=spec.form,
        decisions=decision_views(run, job.id),
    )


def list_gates(state: State, query: ListGates) -> list[GateView]:
    """Answers `ListGates`."""
    if query.run:
        run = state.runs.get(RunId(query.run))
        if run is None:
            raise NotFound(f"there is no run {query.run}")
        runs: Iterator[Run] = iter([run])
    else:
        runs = reversed(state.runs.values())
    reasons = Reasons(state)
    found = (gate_view(run, job, reasons=reasons) for run in runs for job in _waiting(run))
    return list(islice(found, max(1, min(query.limit, LIST_PAGE_MAX))))


def _waiting(run: Run) -> Iterator[Job]:
    if JobState.WAITING not in run.counts:
        return iter(())
    jobs = (run.jobs[name] for name in run.gates)
    return (job for job in jobs if job.state is JobState.WAITING)


def get_gate(state: State, query: GetGate) -> GateView:
    """Answers `GetGate`."""
    if query.run:
        run = state.runs.get(RunId(query.run))
        if run is None:
            raise NotFound(f"there is no run {query.run}")
        job = find_gate(run, query.gate)
        if job is None:
            raise NotFound(f"run {query.run} has no gate '{query.gate}'")
        return gate_view(run, job, reasons=Reasons(state))
    newest: tuple[Run, Job] | None = None
    for run in reversed(state.runs.values()):
        job = find_gate(run, query.gate)
        if job is None:
            continue
        if job.state is JobState.WAITING:
            return gate_view(run, job, reasons=Reasons(state))
        newest = newest or (run, job)
    if newest is None:
        raise NotFound(f"no run has a gate '{query.gate}'")
    return gate_view(*newest, reasons=Reasons(state))
