"""Budgets and agent runs, for code without asyncio: the twin of `budgets.py`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from titan.sdk.face import Face

if TYPE_CHECKING:
    from titan.fsm.queries.budgets import AgentRunView, BudgetView


class BudgetsFace(Face):
    """Budgets of a client."""

    def set_budget(
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
        work = self._here().set_budget(
            budget,
            agent_run_id=agent_run_id,
            jobs=jobs,
            depth=depth,
            wall_s=wall_s,
            cpu_s=cpu_s,
            units=units,
            on_limit=on_limit,
        )
        return self._call(work)

    def get_budget(self, budget: object) -> BudgetView:
        """A budget, by its run or by "agent:" and the agent run. Raises `NotFound`."""
        return self._call(self._here().get_budget(budget))

    def list_budgets(self) -> list[BudgetView]:
        """Every budget, by id."""
        return self._call(self._here().list_budgets())

    def agent_runs(self, limit: int = 100) -> list[AgentRunView]:
        """Agent runs with their totals, the one that began last first."""
        return self._call(self._here().agent_runs(limit))

    def agent_run(self, agent_run_id: str) -> AgentRunView:
        """One agent run with its stages, oldest first. Raises `NotFound`."""
        return self._call(self._here().agent_run(agent_run_id))
