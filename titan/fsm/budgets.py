"""Budgets: what a tree of runs may use, and the debits. `payments.py` lets people and time change it.

A run is under its own budget, those of the run that started it (a sub-run, or one that a task has
submitted) and that of its agent run. Jobs are debited in the very apply that adds them, once: retries
cost nothing, and what was debited is never given back. A job that cannot be paid (`Job.unpaid`) waits,
PENDING and never ready, until `payments.pay` finds room for it.

Whoever adds jobs asks `why_not_more` first and refuses; `growth.grow` debits. Owns the bookkeeping of
`State.budgets` and `State.agents`; no handlers here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from titan.fsm import timers
from titan.fsm.outcomes import Rejected
from titan.fsm.records.budgets import RunBudget, Spent
from titan.fsm.state import Job, Run, State
from titan.ids import JobId, RunId
from titan.limits import BUDGETS_MAX, BUDGETS_PER_RUN_MAX
from titan.spec.budgets import BudgetSpec, problem_of

AGENT: Final = "agent:"
_ENDLESS: Final = 1 << 62
EXHAUSTED: Final = "budget_exhausted"

# --- who is under what ----------------------------------------------------------------------------


def covering(state: State, run: Run) -> list[RunBudget]:
    """The budgets that the run is under, its own first."""
    if not state.budgets:
        return []
    names = dict.fromkeys((*run.budgets, f"{AGENT}{run.agent_run_id}"))
    return [state.budgets[name] for name in names if name in state.budgets]


def inherited(state: State, *, agent: str, parent: Run | None) -> dict[str, int]:
    """What a new run would be under, by name: how many runs below the budget's own it would be."""
    found: dict[str, int] = {}
    if parent is not None:
        for budget in covering(state, parent):
            found[budget.id] = parent.budgets.get(budget.id, 0) + 1
    if agent and f"{AGENT}{agent}" in state.budgets:
        found.setdefault(f"{AGENT}{agent}", 0)
    return found


def why_not_run(
    state: State, above: Mapping[str, int], own: BudgetSpec | None, *, run: RunId, jobs: int
) -> Rejected | None:
    """Why a run with so many jobs cannot begin under these, with a budget of its own."""
    for name, depth in above.items():
        deepest = state.budgets[name].limit.depth
        if deepest is not None and depth > deepest:
            why = f"budget {name}: runs are nested {deepest} deep at most, this is one too many"
            return Rejected(EXHAUSTED, why)
    refusal = _why_not_add(state, [state.budgets[name] for name in above], jobs=jobs)
    if refusal is not None or own is None:
        return refusal
    why = problem_of(own)
    if why:
        return Rejected("invalid", f"budget: {why}")
    if run in state.budgets:
        return Rejected("run_exists", f"the budget of an earlier run {run} is still in use")
    if len(above) >= BUDGETS_PER_RUN_MAX:
        return Rejected("too_large", f"a run is under at most {BUDGETS_PER_RUN_MAX} budgets")
    if why_full(state):
        return why_full(state)
    return _why_not_add(state, [RunBudget(id=run, limit=own, began_ms=state.now_ms)], jobs=jobs)


def why_full(state: State) -> Rejected | None:
    """Why there cannot be one more budget."""
    if len(state.budgets) < BUDGETS_MAX:
        return None
    return Rejected(
        "too_large", f"there are {BUDGETS_MAX} budgets; runs that end make room in time"
    )


def join(state: State, run: Run, above: Mapping[str, int], own: BudgetSpec | None) -> None:
    """A checked run begins, with the jobs that it has. It is in the state."""
    run.budgets = {run.id: 0, **above} if own is not None else dict(above)
    if own is not None:
        open_budget(state, run.id, own)
    if run.agent_run_id:
        state.agents.setdefault(run.agent_run_id, {})[run.id] = None
    for budget in covering(state, run):
        budget.runs[run.id] = None
    debit(state, run, run.jobs.values())


def open_budget(state: State, name: str, limit: BudgetSpec) -> RunBudget:
    """A budget of which nothing is spent."""
    budget = RunBudget(id=name, limit=limit, began_ms=state.now_ms)
    state.budgets[name] = budget
    set_wall(state, budget)
    return budget


def set_wall(state: State, budget: RunBudget) -> None:
    """Its wall time is counted from its beginning."""
    budget.due_ms = 0
    if budget.limit.wall_ms is not None:
        budget.due_ms = max(budget.began_ms + budget.limit.wall_ms, state.now_ms)
        timers.set_timer(state, timers.BUDGET, budget.id, due_ms=budget.due_ms)


def forget(state: State, run: Run) -> None:
    """The run is forgotten: what it has spent stays spent, and a budget goes with the last of its runs."""
    for budget in covering(state, run):
        _add(budget.gone, used(run))
        del budget.runs[run.id]
        if not budget.runs:
            del state.budgets[budget.id]
    stages = state.agents.get(run.agent_run_id)
    if stages is not None:
        del stages[run.id]
        if not stages:
            del state.agents[run.agent_run_id]


# --- what is left ---------------------------------------------------------------------------------


def used(run: Run) -> Spent:
    """What the run itself has used: jobs that wait to be paid and gates of budgets do not count."""
    return Spent(len(run.jobs) - run.unbilled, run.cpu_us, run.units)


def _add(total: Spent, more: Spent) -> None:
    total.jobs += more.jobs
    total.cpu_us += more.cpu_us
    for unit, amount in more.units.items():
        total.units[unit] = total.units.get(unit, 0) + amount


def add_all(total: Spent, runs: Iterable[Run]) -> None:
    """Add what these runs have used."""
    for run in runs:
        _add(total, used(run))


def room(state: State, budgets: Sequence[RunBudget]) -> int:
    """How many more jobs all of these allow."""
    left = _ENDLESS
    for budget in budgets:
        if is_out_of_time(state, budget) or is_out_of_cpu(budget):
            return 0
        if budget.limit.jobs is not None:
            left = min(left, max(0, budget.limit.jobs - budget.spent.jobs))
    return left


def is_out_of_time(state: State, budget: RunBudget) -> bool:
    """Whether its wall time is over."""
    wall_ms = budget.limit.wall_ms
    return wall_ms is not None and state.now_ms >= budget.began_ms + wall_ms


def is_out_of_cpu(budget: RunBudget) -> bool:
    """Whether its processor time is used up."""
    cpu_ms = budget.limit.cpu_ms
    return cpu_ms is not None and budget.spent.cpu_us >= cpu_ms * 1000


def is_out_of_jobs(budget: RunBudget) -> bool:
    """Whether it pays for no job more."""
    return budget.limit.jobs is not None and budget.spent.jobs >= budget.limit.jobs


def why_empty(state: State, budget: RunBudget) -> str:
    """What of it is used up, in words; "" when nothing is."""
    if is_out_of_time(state, budget):
        return f"{_seconds(budget.limit.wall_ms)} s of wall time are over"
    if is_out_of_cpu(budget):
        spent_s = budget.spent.cpu_us // 1000 / 1000
        return f"{spent_s:g} of {_seconds(budget.limit.cpu_ms)} cpu seconds"
    if is_out_of_jobs(budget):
        return f"{budget.spent.jobs} of {budget.limit.jobs} jobs"
    return ""


def _seconds(ms: int | None) -> str:
    return f"{(ms or 0) / 1000:g}"


def why_unpaid(state: State, run: Run) -> str:
    """Why a job of the run waits, in words."""
    for budget in covering(state, run):
        why = why_empty(state, budget)
        if why:
            return f"budget: {why} ({budget.id})"
    return "budget: its turn to be paid comes next"


def why_not_more(state: State, run: Run, *, jobs: int) -> Rejected | None:
    """Why the run cannot have so many more jobs. None also when they would have to wait."""
    return _why_not_add(state, covering(state, run), jobs=jobs)


def _why_not_add(state: State, budgets: Iterable[RunBudget], *, jobs: int) -> Rejected | None:
    for budget in budgets if jobs else ():
        if is_out_of_time(state, budget):
            return Rejected(EXHAUSTED, f"budget {budget.id}: {why_empty(state, budget)}")
        if budget.mode != "fail":
            continue
        if is_out_of_cpu(budget):
            return Rejected(EXHAUSTED, f"budget {budget.id}: {why_empty(state, budget)} are spent")
        most = budget.limit.jobs
        if most is not None and budget.spent.jobs + jobs > most:
            spent = f"{budget.spent.jobs} of {most} jobs are spent"
            return Rejected(EXHAUSTED, f"budget {budget.id}: {spent}, {jobs} more were asked for")
    return None


# --- debits ---------------------------------------------------------------------------------------


def debit(state: State, run: Run, new: Iterable[Job]) -> None:
    """Jobs join a run that is in the state: those for which there is no room wait, the last ones."""
    budgets = covering(state, run)
    if not budgets:
        return
    left, paid = room(state, budgets), 0
    for job in new:
        if paid < left:
            paid += 1
        else:
            job.unpaid = True
            run.unpaid[job.id] = None
            run.unbilled += 1
    for budget in budgets:
        budget.spent.jobs += paid
    if run.unpaid:
        look_soon(state, run, now_ms=state.now_ms)


def look_soon(state: State, run: Run, *, now_ms: int) -> None:
    """Let `payments.pay` look at the run in an entry of its own."""
    if not run.pay_due_ms:
        run.pay_due_ms = now_ms
        timers.set_timer(state, timers.PAY, run.id, due_ms=run.pay_due_ms)


def look_at_all(state: State, budget: RunBudget, *, now_ms: int) -> None:
    """The same for every run that waits for this budget, oldest first."""
    for name in budget.runs:
        if state.runs[name].unpaid:
            look_soon(state, state.runs[name], now_ms=now_ms)


def job_ended(run: Run, job: Job) -> None:
    """It waits no longer; should it be reopened, it has still to be paid."""
    run.unpaid.pop(job.id, None)


def job_reopened(state: State, run: Run, job: Job, *, now_ms: int) -> None:
    """It waits again."""
    run.unpaid[job.id] = None
    look_soon(state, run, now_ms=now_ms)


def gate_is_gone(state: State, run: Run, gate: JobId, *, now_ms: int) -> None:
    """Nobody will decide at this gate: people are asked elsewhere, if somebody still waits."""
    budget = state.budgets.get(run.budget_gates[gate])
    if budget is not None:
        look_at_all(state, budget, now_ms=now_ms)
