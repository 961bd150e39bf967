"""What people see of budgets and of agent runs: the runs that share an `agent_run_id`, as stages."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Final

from titan.errors import NotFound
from titan.fsm import budgets
from titan.fsm.queries.budgets import (
    AgentRunView,
    BudgetView,
    GetAgentRun,
    GetBudget,
    ListAgentRuns,
    ListBudgets,
    StageView,
)
from titan.fsm.records.budgets import RunBudget, Spent
from titan.fsm.state import JobState, Run, RunState, State
from titan.limits import LIST_PAGE_MAX

_PRECEDENCE: Final = (
    RunState.FAILED,
    RunState.RUNNING,
    RunState.WAITING,
    RunState.CANCELLED,
    RunState.COMPLETED,
    RunState.PENDING,
)


def budget_view(state: State, budget: RunBudget) -> BudgetView:
    """A budget as people see it."""
    limit, spent = budget.limit, budget.spent
    waiting = sum(len(state.runs[name].unpaid) for name in budget.runs)
    gate = state.job(budget.gate_run, budget.gate_job)
    is_asking = gate is not None and not gate.state.is_over
    return BudgetView(
        id=budget.id,
        on_limit=budget.mode,
        jobs=spent.jobs,
        jobs_max=limit.jobs,
        depth_max=limit.depth,
        began_ms=budget.began_ms,
        wall_ms_max=limit.wall_ms,
        cpu_us=spent.cpu_us,
        cpu_ms_max=limit.cpu_ms,
        units=dict(sorted(spent.units.items())),
        units_max=dict(sorted(limit.units.items())),
        runs=len(budget.runs),
        waiting=waiting,
        exhausted=budgets.why_empty(state, budget),
        gate_run=str(budget.gate_run) if is_asking else "",
        gate=str(budget.gate_job) if is_asking else "",
    )


def get_budget(state: State, query: GetBudget) -> BudgetView:
    """Answers `GetBudget`."""
    budget = state.budgets.get(query.budget)
    if budget is None:
        raise NotFound(f"there is no budget '{query.budget}'")
    return budget_view(state, budget)


def list_budgets(state: State, query: ListBudgets) -> list[BudgetView]:
    """Answers `ListBudgets`."""
    names = sorted(name for name in state.budgets if name > query.after)
    return [budget_view(state, state.budgets[name]) for name in names[: _page(query.limit)]]


# --- agent runs -----------------------------------------------------------------------------------


def list_agent_runs(state: State, query: ListAgentRuns) -> list[AgentRunView]:
    """Answers `ListAgentRuns`."""
    began = {name: state.runs[next(iter(runs))].created_ms for name, runs in state.agents.items()}
    newest_first = sorted(began, key=lambda name: (-began[name], name))
    if query.after in began:
        newest_first = newest_first[newest_first.index(query.after) + 1 :]
    page = islice(newest_first, _page(query.limit))
    return [_agent_run(state, name, _runs(state, name)) for name in page]


def get_agent_run(state: State, query: GetAgentRun) -> AgentRunView:
    """Answers `GetAgentRun`."""
    runs = _runs(state, query.agent_run_id)
    if not runs and f"{budgets.AGENT}{query.agent_run_id}" not in state.budgets:
        raise NotFound(f"there is no agent run '{query.agent_run_id}'")
    stages = tuple([_stage(run) for run in runs[-LIST_PAGE_MAX:]])
    return _agent_run(state, query.agent_run_id, runs, stages=stages)


def _runs(state: State, agent: str) -> list[Run]:
    return [state.runs[name] for name in state.agents.get(agent, ())]


def _stage(run: Run) -> StageView:
    return StageView(
        run=run.id,
        name=run.name,
        state=run.state.value,
        over=run.ended_ms != 0,
        created_ms=run.created_ms,
        started_ms=run.started_ms,
        ended_ms=run.ended_ms,
        jobs=_counts([run]),
        cpu_us=run.cpu_us,
        units=dict(sorted(run.units.items())),
        parent_run=str(run.parent_run or run.caller_run),
        parent_job=str(run.parent_job or run.caller_job),
    )


def _agent_run(
    state: State, name: str, runs: Sequence[Run], *, stages: tuple[StageView, ...] = ()
) -> AgentRunView:
    total = Spent()
    budgets.add_all(total, runs)
    states = [run.state for run in runs]
    is_over = bool(runs) and all(run.ended_ms for run in runs)
    budget = state.budgets.get(f"{budgets.AGENT}{name}")
    found = next((each for each in _PRECEDENCE if each in states), RunState.PENDING)
    return AgentRunView(
        id=name,
        state=found.value,
        over=is_over,
        created_ms=runs[0].created_ms if runs else 0,
        ended_ms=max([run.ended_ms for run in runs], default=0) if is_over else 0,
        runs=len(runs),
        jobs=_counts(runs),
        cpu_us=total.cpu_us,
        units=dict(sorted(total.units.items())),
        budget=None if budget is None else budget_view(state, budget),
        stages=stages,
    )


def _counts(runs: Iterable[Run]) -> dict[str, int]:
    """How many jobs are in which state, in the order of the states, no zeroes."""
    counts = dict.fromkeys(JobState, 0)
    for run in runs:
        for state, count in run.counts.items():
            counts[state] += count
    return {state.value: count for state, count in counts.items() if count}


def _page(limit: int) -> int:
    return max(1, min(limit, LIST_PAGE_MAX))
