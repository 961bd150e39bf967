"""Budgets and agent runs: the client's side."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from titan.errors import InvalidSpec
from titan.fsm.commands import SetBudget
from titan.fsm.queries.budgets import (
    AgentRunView,
    BudgetView,
    GetAgentRun,
    GetBudget,
    ListAgentRuns,
    ListBudgets,
)
from titan.limits import DURATION_MS_MAX, LIST_PAGE_MAX
from titan.sdk.core import Core
from titan.spec.budgets import BudgetSpec, given

Budget = BudgetSpec | Mapping[str, Any]


def budget_of(budget: Budget | None) -> BudgetSpec | None:
    """A budget as it travels. Raises `InvalidSpec`."""
    try:
        return given(budget)
    except ValueError as why:
        raise InvalidSpec(problems=(f"budget {why}",)) from None


class BudgetsApi(Core):
    """What a client may ask and change about budgets."""

    async def set_budget(
        self,
        budget: object = None,
        *,
        agent_run_id: str | None = None,
        jobs: int | None = None,
        depth: int | None = None,
        wall_s: float | None = None,
        cpu_s: float | None = None,
        units: Mapping[str, int] | None = None,
        on_limit: str | None = None,
    ) -> BudgetView:
        """Change the limits of a run's budget, or make or change that of an agent run; answers it.

        `budget`: a run that has one, or the id of a budget. What is not given stays; -1 takes a limit away.
        Raises `NotFound` for a run without a budget.
        """
        if (budget is None) == (agent_run_id is None):
            raise ValueError("give a run or an agent_run_id, one of both")
        name = f"agent:{agent_run_id}" if agent_run_id is not None else str(budget)
        limit = BudgetSpec(
            jobs=jobs,
            depth=depth,
            wall_ms=_ms(wall_s),
            cpu_ms=_ms(cpu_s),
            units=dict(units or {}),
            on_limit=on_limit or "",
        )
        await self._write(SetBudget(budget=name, limit=limit))
        return await self.get_budget(name)

    async def get_budget(self, budget: object) -> BudgetView:
        """A budget, by its run or by "agent:" and the agent run. Raises `NotFound`."""
        return await self._read(GetBudget(budget=str(budget)), BudgetView)

    async def list_budgets(self) -> list[BudgetView]:
        """Every budget, by id."""
        found: list[BudgetView] = []
        while True:
            query = ListBudgets(limit=LIST_PAGE_MAX, after=found[-1].id if found else "")
            page = await self._read(query, list[BudgetView])
            found += page
            if len(page) < LIST_PAGE_MAX:
                return found

    async def agent_runs(self, limit: int = 100) -> list[AgentRunView]:
        """Agent runs with their totals, the one that began last first."""
        found: list[AgentRunView] = []
        while len(found) < limit:
            size = min(LIST_PAGE_MAX, limit - len(found))
            query = ListAgentRuns(limit=size, after=found[-1].id if found else "")
            page = await self._read(query, list[AgentRunView])
            found += page
            if len(page) < size:
                break
        return found

    async def agent_run(self, agent_run_id: str) -> AgentRunView:
        """One agent run with its stages, oldest first. Raises `NotFound`."""
        return await self._read(GetAgentRun(agent_run_id=agent_run_id), AgentRunView)


def _ms(seconds: float | None) -> int | None:
    if seconds is None:
        return None
    return -1 if seconds == -1 else int(min(seconds * 1000, DURATION_MS_MAX))
