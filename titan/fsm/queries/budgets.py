"""Questions about budgets and agent runs, and the shapes of their answers; `budget_views.py` answers."""

from __future__ import annotations

import msgspec

from titan.fsm.queries.base import Query
from titan.ids import RunId


class ListAgentRuns(Query, frozen=True, kw_only=True, tag="agents"):
    """Agent runs, the one that began last first → list[AgentRunView] without stages. `after` is the id of
    the last one of the page before."""

    limit: int = 100
    after: str = ""


class GetAgentRun(Query, frozen=True, kw_only=True, tag="agent"):
    """One agent run → AgentRunView with its stages, oldest first; of a long one the newest."""

    agent_run_id: str


class GetBudget(Query, frozen=True, kw_only=True, tag="budget"):
    """One budget, by its run or by "agent:" and the agent run → BudgetView."""

    budget: str


class ListBudgets(Query, frozen=True, kw_only=True, tag="budgets"):
    """Budgets by id → list[BudgetView]. `after` is the last id of the page before."""

    limit: int = 1000
    after: str = ""


class BudgetView(msgspec.Struct, frozen=True, kw_only=True):
    """A budget: what was used, and the limits, None where there is none."""

    id: str
    on_limit: str  # fail | queue | gate
    jobs: int
    jobs_max: int | None
    depth_max: int | None
    began_ms: int  # wall time is counted from here
    wall_ms_max: int | None
    cpu_us: int
    cpu_ms_max: int | None
    units: dict[str, int]
    units_max: dict[str, int]
    runs: int  # under it
    waiting: int  # jobs that it has yet to pay
    exhausted: str  # what is used up, in words; "" when nothing is
    gate_run: str = ""  # where a person is asked now
    gate: str = ""


class StageView(msgspec.Struct, frozen=True, kw_only=True):
    """One run of an agent run."""

    run: RunId
    name: str
    state: str
    over: bool
    created_ms: int
    started_ms: int
    ended_ms: int
    jobs: dict[str, int]  # state → how many, no zeroes
    cpu_us: int
    units: dict[str, int]
    parent_run: str = ""  # the run and the job that started it, if one did
    parent_job: str = ""


class AgentRunView(msgspec.Struct, frozen=True, kw_only=True):
    """Runs that share an `agent_run_id`, with their totals. FAILED counts most, also before the end."""

    id: str
    state: str
    over: bool
    created_ms: int  # of the first stage
    ended_ms: int  # of the last one; 0 while any is live
    runs: int
    jobs: dict[str, int]
    cpu_us: int
    units: dict[str, int]
    budget: BudgetView | None = None  # of the agent run itself
    stages: tuple[StageView, ...] = ()
