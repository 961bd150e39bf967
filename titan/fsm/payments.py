"""Paying for jobs that wait, asking people for more, and the end of a budget's time.

Nothing here happens within somebody's command: a run that waits is looked at by a timer of its own
(`budgets.look_soon`), so that raising a limit reaches no further than one run and a bounded number of
its jobs in one entry.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice

from titan.fsm import budgets, jobs, kin, revisions
from titan.fsm.declare import make_job
from titan.fsm.events import JobChanged
from titan.fsm.growth import connect
from titan.fsm.handling import Turn
from titan.fsm.outcomes import Rejected
from titan.fsm.records.budgets import RunBudget
from titan.fsm.records.revisions import Revision
from titan.fsm.state import Job, JobState, Run, State
from titan.fsm.telling import tell_changed
from titan.ids import JobId, RunId, is_job_id
from titan.limits import BUDGET_AMOUNT_MAX, DURATION_MS_MAX, PAID_PER_ENTRY
from titan.spec.budgets import BudgetSpec, changed
from titan.spec.model import Input, JobSpec, Scalar

# --- paying ---------------------------------------------------------------------------------------


def pay(turn: Turn, key: tuple[str, ...]) -> None:
    """Let as many jobs of the run go on as its budgets have room for, in the order in which they came."""
    state = turn.state
    run = state.runs[RunId(key[0])]
    run.pay_due_ms = 0
    if run.refused:
        _refuse(turn, run)
        return
    covering = budgets.covering(state, run)
    room = budgets.room(state, covering)
    paid = [run.jobs[name] for name in islice(run.unpaid, min(room, PAID_PER_ENTRY))]
    for job in paid:
        job.unpaid = False
        del run.unpaid[job.id]
    run.unbilled -= len(paid)
    for budget in covering:
        budget.spent.jobs += len(paid)
    jobs.unblock_all(turn, run, [job for job in paid if not job.waiting_for])
    tell_changed(turn, run, [job.id for job in paid], to=JobState.PENDING)
    turn.at.budget.left -= len(paid)
    if run.unpaid and room > len(paid):
        budgets.look_soon(state, run, now_ms=turn.at.now_ms)
    elif run.unpaid:
        _ask(turn, run, covering)
    jobs.refresh_run(turn, run)


def _refuse(turn: Turn, run: Run) -> None:
    """Somebody said no: what waits fails."""
    waiting = [run.jobs[name] for name in islice(run.unpaid, PAID_PER_ENTRY)]
    for job in waiting:
        jobs.end(turn, run, job, to=JobState.FAILED, reason=run.refused)
    jobs.settle(turn, run, waiting)
    turn.at.budget.left -= len(waiting)
    if run.unpaid:
        budgets.look_soon(turn.state, run, now_ms=turn.at.now_ms)
    else:
        run.refused = ""
    jobs.refresh_run(turn, run)


# --- asking ---------------------------------------------------------------------------------------


def _ask(turn: Turn, run: Run, covering: list[RunBudget]) -> None:
    """Open a gate for each budget that is to ask, unless one is open."""
    for budget in covering:
        why = budgets.why_empty(turn.state, budget)
        is_timeless = budgets.is_out_of_time(turn.state, budget)  # then its runs are cancelled
        if budget.mode == "gate" and why and not is_timeless and not _is_open(turn.state, budget):
            _put_gate(turn, run, budget, why=why)


def _is_open(state: State, budget: RunBudget) -> bool:
    gate = state.job(budget.gate_run, budget.gate_job)
    return gate is not None and not gate.state.is_over


def _put_gate(turn: Turn, run: Run, budget: RunBudget, *, why: str) -> None:
    field = "cpu_s" if budgets.is_out_of_cpu(budget) else "jobs"
    spec = JobSpec(
        id=_gate_id(run),
        type="gate",
        hitl_message=f"budget {budget.id}: {why} are spent, and {len(run.unpaid)} jobs of run "
        f"{run.id} wait; how many more?",
        form={field: Input("int", required=True, help="how many more")},
    )
    made = make_job(spec)
    assert not isinstance(made, Rejected), made
    revision = Revision(
        number=revisions.next_number(turn.state, run, turn.at),
        before=run.revision,
        at_ms=turn.at.now_ms,
        by=f"budget {budget.id}",
        note="",
        first_added=turn.state.next_job_seq,
        added=1,
    )
    revisions.note(turn.state, run, revision)
    connect(turn.state, run, [made])
    run.unbilled += 1
    run.budget_gates[made.id] = budget.id
    budget.gate_run, budget.gate_job = run.id, made.id
    turn.events.append(JobChanged(run.id, made.id, made.state))
    jobs.place(turn, run, [made])


def _gate_id(run: Run) -> JobId:
    """`budget-gate-<run>`, with a number when it is not the first of the run."""
    base = f"budget-gate-{run.id}"
    if not is_job_id(f"{base}-999999"):
        base = "budget-gate"
    name, number = base, 1
    while name in run.jobs:
        number += 1
        name = f"{base}-{number}"
    return JobId(name)


def gate_closed(turn: Turn, run: Run, gate: Job, answers: Mapping[str, Scalar]) -> None:
    """People have decided at a gate of a budget, or were too slow: raise the limit, or fail what waits."""
    state = turn.state
    budget = state.budgets.get(run.budget_gates[gate.id])
    if budget is None:
        return
    if gate.state is JobState.COMPLETED:
        _raise(budget, answers)
    else:
        for name in budget.runs:
            if state.runs[name].unpaid:
                state.runs[name].refused = f"budget {budget.id}: {gate.reason}"
    budgets.look_at_all(state, budget, now_ms=turn.at.now_ms)


def _raise(budget: RunBudget, answers: Mapping[str, Scalar]) -> None:
    more_jobs, more_cpu_s = (max(0, _whole(answers.get(name))) for name in ("jobs", "cpu_s"))
    limit, change = budget.limit, BudgetSpec()
    if limit.jobs is not None and more_jobs:
        change = BudgetSpec(jobs=min(BUDGET_AMOUNT_MAX, limit.jobs + more_jobs))
    if limit.cpu_ms is not None and more_cpu_s:
        change = BudgetSpec(cpu_ms=min(DURATION_MS_MAX, limit.cpu_ms + more_cpu_s * 1000))
    budget.limit = changed(limit, change)


def _whole(answer: Scalar) -> int:
    return answer if isinstance(answer, int) else 0


# --- the end --------------------------------------------------------------------------------------


def time_is_over(turn: Turn, key: tuple[str, ...]) -> None:
    """The wall time of a budget has passed."""
    budget = turn.state.budgets[key[0]]
    budget.due_ms = 0
    _cancel_all(turn, budget)


def charge_cpu(turn: Turn, run: Run, cpu_us: int) -> None:
    """An attempt of the run has ended. A budget that fails at its limit ends what is under it."""
    run.cpu_us += cpu_us
    for budget in budgets.covering(turn.state, run):
        had_some = not budgets.is_out_of_cpu(budget)
        budget.spent.cpu_us += cpu_us
        if budget.mode == "fail" and had_some and budgets.is_out_of_cpu(budget):
            _cancel_all(turn, budget)


def _cancel_all(turn: Turn, budget: RunBudget) -> None:
    """Let every live run under the budget be cancelled, each in its turn (`kin.py`)."""
    why = f"budget {budget.id}: {budgets.why_empty(turn.state, budget)}"
    for name in budget.runs:
        if not turn.state.runs[name].ended_ms:
            kin.call(turn, name, is_orphan=True, why=why)
