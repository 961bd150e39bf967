"""Records of budgets. What they mean and how they change: `titan.fsm.budgets`."""

from __future__ import annotations

import msgspec

from titan.ids import JobId, RunId
from titan.spec.budgets import BudgetSpec


class Spent(msgspec.Struct, array_like=True):
    """What was used. An array on disk: new fields go to the end, with a default."""

    jobs: int = 0
    cpu_us: int = 0
    units: dict[str, int] = msgspec.field(default_factory=dict)


class RunBudget(msgspec.Struct, kw_only=True):
    """What all the runs below one run, or of one agent run, may use together."""

    id: str  # the run that it was declared for, or "agent:" and the agent run
    limit: BudgetSpec
    began_ms: int
    spent: Spent = msgspec.field(default_factory=Spent)
    gone: Spent = msgspec.field(default_factory=Spent)  # the part of runs that were forgotten
    due_ms: int = 0  # when its wall time ends; 0: never, or it has
    gate_run: RunId = RunId("")  # where people were asked last
    gate_job: JobId = JobId("")
    # index
    runs: dict[RunId, None] = msgspec.field(default_factory=dict)  # under it, oldest first

    @property
    def mode(self) -> str:
        """What happens at the limit."""
        return self.limit.on_limit or "fail"
