"""Deriving every index of the state from the records, after a snapshot was read.

Values that a running state shares between jobs (ids, demands, times) are shared again here, so that a
restored master needs no more memory than the one that froze.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from titan.fsm import budgets, dead, jobs, logs, ports, references
from titan.fsm.declare import PLAIN
from titan.fsm.occupancy import occupy
from titan.fsm.stages import note_roots
from titan.fsm.standing import run_state
from titan.fsm.state import AttemptRecord, Run, State
from titan.fsm.unattended import NOBODY
from titan.ids import JobId


def rebuild(state: State) -> None:
    """Make all index fields of `state` what they are in the state that was frozen."""
    memo: dict[Any, Any] = {PLAIN: PLAIN, NOBODY: NOBODY}

    def share(value: Any) -> Any:
        return memo.setdefault(value, value)

    for worker in state.workers.values():
        share(worker.id)
        worker.live, worker.used = {}, {}
    for run in state.runs.values():
        _rebuild_run(run, share=share, is_settled=run.id not in state.unsettled)
    for stage in state.stages.values():
        _rebuild_run(stage.run, share=share, is_settled=True)
        stage.roots, stage.timed = [], []
        note_roots(stage, list(stage.run.jobs.values()))
        for job in (job for part in stage.ahead.values() for job in part):
            job.children = ()
            job.demand = share(job.demand)
    state.staged_bytes = sum(stage.size for stage in state.stages.values())
    _rebuild_families(state)
    _rebuild_budgets(state)
    state.over_jobs = sum(state.over.values()) + sum(state.under.values())
    state.claims = sum(len(lock.holders) + len(lock.waiters) for lock in state.locks.values())
    state.mail_bytes = sum(
        len(signal.payload)
        for boxes in state.mail.values()
        for box in boxes.values()
        for signal in box
    )
    state.pipelines_bytes = sum(
        version.size for saved in state.pipelines.values() for version in saved.versions.values()
    )
    state.history_bytes = sum(history.size for history in state.histories.values())
    dead.rebuild(state)
    logs.rebuild(state)
    state.blob_refs = references.all_references(state)
    for attempt in state.attempts.values():
        worker = state.workers[attempt.worker]
        worker.live[attempt.id] = None
        ports.occupy(state, attempt)
        occupy(worker.used, state.runs[attempt.run].jobs[attempt.job])


def _rebuild_families(state: State) -> None:
    state.families, state.under = {}, {}
    for run in state.runs.values():
        if run.root in state.runs:
            state.families.setdefault(run.root, {})[run.id] = None
            if run.ended_ms:
                state.under[run.id] = len(run.jobs)


def _rebuild_budgets(state: State) -> None:
    state.agents = {}
    for budget in state.budgets.values():
        budget.runs = {}
    for run in state.runs.values():
        run.unbilled = len(run.budget_gates) + sum(job.unpaid for job in run.jobs.values())
        if run.agent_run_id:
            state.agents.setdefault(run.agent_run_id, {})[run.id] = None
        for budget in budgets.covering(state, run):
            budget.runs[run.id] = None


def _rebuild_run(run: Run, *, share: Callable[[Any], Any], is_settled: bool) -> None:
    run.jobs = {job.id: job for job in run.jobs.values()}  # one string for key and id
    run.counts = {}
    run.services = {run.jobs[name].id: service for name, service in run.services.items()}
    for job in run.jobs.values():
        job.demand = share(job.demand)
        job.children = ()
        job.worker = share(job.worker)
        job.trigger = share(job.trigger)
        job.started_ms = share(job.started_ms)
        job.ended_ms = share(job.ended_ms)
        job.history = tuple([_share_record(record, share=share) for record in job.history])
        run.counts[job.state] = run.counts.get(job.state, 0) + 1
    for job in run.jobs.values():
        parents: list[JobId] = []
        for name in job.parents:
            parent = run.jobs[name]
            parents.append(parent.id)
            jobs.link(parent, child=job.id)
        job.parents = tuple(parents)
        if is_settled:  # otherwise states do not tell who has heard of what
            job.waiting_for = jobs.waiting_for(run, job)
    run.state = run_state(run)


def _share_record(record: AttemptRecord, *, share: Callable[[Any], Any]) -> AttemptRecord:
    return AttemptRecord(
        record.attempt,
        share(record.worker),
        share(record.assigned_ms),
        share(record.ended_ms),
        record.exit_code,
        share(record.cause),
        record.detail,
        record.log_bytes,
    )
