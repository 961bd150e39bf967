"""Orders about budgets. Handlers: `spending.py`."""

from __future__ import annotations

from typing import ClassVar

from titan.fsm.commands.base import ClientCommand
from titan.spec.budgets import BudgetSpec


class SetBudget(ClientCommand, frozen=True, kw_only=True, tag="budget.set"):
    """Change the limits of a budget, or make that of an agent run. Answers "made" or "changed"."""

    since: ClassVar[int] = 2

    budget: str  # a run, or "agent:" and an agent run
    limit: BudgetSpec  # None: as before; -1: no limit


class Spend(ClientCommand, frozen=True, kw_only=True, tag="budget.spend"):
    """A task has used, or gives back, some units. Answers what is left, None without a limit."""

    since: ClassVar[int] = 2

    unit: str
    amount: int
