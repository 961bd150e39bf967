"""Budgets and agent runs over HTTP."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from titan.errors import UserError
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
from titan.master.http.api import Api
from titan.master.http.runs import ReadQuery
from titan.master.http.table import Call, Endpoint, Page
from titan.spec.budgets import BudgetSpec, problem_of


class PageQuery(msgspec.Struct, frozen=True, kw_only=True):
    """A page; `after` is the cursor."""

    limit: int = 100
    after: str = ""
    consistent: bool = False


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is to change: what is missing stays as it is, -1 takes a limit away."""

    jobs: int | None = None
    depth: int | None = None
    wall_s: float | None = None
    cpu_s: float | None = None
    units: dict[str, int] = {}
    on_limit: str = ""


class BudgetSet(msgspec.Struct, frozen=True):
    """The limits hold from this index of the log on. `done`: made or changed."""

    index: int
    done: str


def _limit(query: PageQuery) -> int:
    return max(1, min(query.limit, LIST_PAGE_MAX))


async def list_agents(api: Api, call: Call) -> Page[AgentRunView]:
    """With their totals, without their stages."""
    limit = _limit(call.query)
    items = api.read(ListAgentRuns(limit=limit, after=call.query.after))
    return Page(items, items[-1].id if len(items) == limit else None)


async def get_agent(api: Api, call: Call) -> AgentRunView:
    """Stages in order, states, times, totals, budget."""
    view: AgentRunView = api.read(GetAgentRun(agent_run_id=call.path["id"]))
    return view


async def list_budgets(api: Api, call: Call) -> Page[BudgetView]:
    """By id."""
    limit = _limit(call.query)
    items = api.read(ListBudgets(limit=limit, after=call.query.after))
    return Page(items, items[-1].id if len(items) == limit else None)


async def get_budget(api: Api, call: Call) -> BudgetView:
    """`id` is that of a run, or `agent:` and that of an agent run."""
    view: BudgetView = api.read(GetBudget(budget=call.path["id"]))
    return view


async def set_budget(api: Api, call: Call) -> BudgetSet:
    """Change limits, or give an agent run a budget."""
    asked: Limits = call.body
    limit = BudgetSpec(
        jobs=asked.jobs,
        depth=asked.depth,
        wall_ms=_ms(asked.wall_s),
        cpu_ms=_ms(asked.cpu_s),
        units=dict(_small(asked.units)),
        on_limit=asked.on_limit,
    )
    why = problem_of(limit, is_change=True)
    if why:
        raise UserError(why)
    command = SetBudget(budget=call.path["id"], limit=limit)
    done = await api.write(command, key=call.idempotency_key)
    return BudgetSet(done.index, done.value)


def _ms(seconds: float | None) -> int | None:
    if seconds is None:
        return None
    return -1 if seconds == -1 else int(min(seconds * 1000, DURATION_MS_MAX))


def _small(units: Mapping[str, int]) -> Mapping[str, int]:
    """Amounts beyond 64 bits could not be encoded at all."""
    for name, amount in units.items():
        if abs(amount) >= 1 << 63:
            raise UserError(f"units.{name[:100]} is too large")
    return units


_BUDGET: Final = "/api/v1/budgets/{id}"
_AGENTS: Final = "/api/v1/agents"
ENDPOINTS: Final = (
    Endpoint(
        "GET", _AGENTS, list_agents, "Agent runs, newest first", Page[AgentRunView], PageQuery
    ),
    Endpoint("GET", f"{_AGENTS}/{{id}}", get_agent, "One agent run", AgentRunView, ReadQuery),
    Endpoint("GET", "/api/v1/budgets", list_budgets, "Budgets", Page[BudgetView], PageQuery),
    Endpoint("GET", _BUDGET, get_budget, "One budget", BudgetView, ReadQuery),
    Endpoint("PUT", _BUDGET, set_budget, "Set limits", BudgetSet, body=Limits),
)
