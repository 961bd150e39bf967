"""What must be true of budgets: what is spent is what a recount finds. Part of `invariants.py`."""

from __future__ import annotations

from copy import deepcopy

from titan import limits
from titan.fsm import budgets, timers
from titan.fsm.state import JobState, Run, State
from titan.ids import RunId

Counted = dict[tuple[str, tuple[str, ...]], int]


def validate_budgets(state: State, counted: Counted) -> None:
    """Recount every budget and every index about them."""
    agents: dict[str, dict[RunId, None]] = {}
    runs: dict[str, dict[RunId, None]] = {}
    for run in state.runs.values():
        _validate_run(run, counted)
        if run.agent_run_id:
            agents.setdefault(run.agent_run_id, {})[run.id] = None
        for budget in budgets.covering(state, run):
            runs.setdefault(budget.id, {})[run.id] = None
        if run.unpaid:
            assert budgets.covering(state, run), f"run {run.id} waits for no budget"
    assert state.agents == agents, f"agent runs are {agents}, not {state.agents}"
    assert len(state.budgets) <= limits.BUDGETS_MAX, "too many budgets"
    for name, budget in state.budgets.items():
        about = f"budget {name}"
        assert name == budget.id, f"{about} is filed as {budget.id}"
        assert list(budget.runs) == list(runs.get(name, {})), f"{about} has runs {budget.runs}"
        assert budget.runs or name.startswith(budgets.AGENT), f"{about} has no run left"
        total = deepcopy(budget.gone)
        budgets.add_all(total, map(state.runs.__getitem__, budget.runs))
        assert budget.spent == total, f"{about} says {budget.spent}, a recount {total}"
        if budget.due_ms:
            due_ms = counted.get((timers.BUDGET, (name,)))
            assert due_ms == budget.due_ms, f"{about} ends at {due_ms}"
        else:
            is_over = budgets.is_out_of_time(state, budget)
            assert is_over or budget.limit.wall_ms is None, f"{about} never ends"


def _validate_run(run: Run, counted: Counted) -> None:
    about = f"run {run.id}"
    flagged = [job.id for job in run.jobs.values() if job.unpaid]
    waiting = [name for name in flagged if not run.jobs[name].state.is_over]
    assert sorted(run.unpaid) == sorted(waiting), f"{about}: {waiting} wait, not {run.unpaid}"
    for name in waiting:
        assert run.jobs[name].state is JobState.PENDING, f"{about}: {name} started unpaid"
        assert not run.jobs[name].not_before_ms, f"{about}: {name} is held unpaid"
    for name in flagged:
        assert not run.jobs[name].attempts, f"{about}: {name} ran unpaid"
    unbilled = len(flagged) + len(run.budget_gates)
    assert run.unbilled == unbilled, f"{about}: {unbilled} jobs are not billed, not {run.unbilled}"
    assert min(run.units.values(), default=0) >= 0, f"{about} spent {run.units}"
    if run.pay_due_ms:
        due_ms = counted.get((timers.PAY, (run.id,)))
        assert due_ms == run.pay_due_ms, f"{about} is paid at {due_ms}"
