"""Orders about budgets: setting limits, and spending units from inside a task."""

from __future__ import annotations

from typing import Any

import msgspec

from titan.fsm import budgets
from titan.fsm.batch import Draft, batchable
from titan.fsm.commands import SetBudget, Spend
from titan.fsm.handling import Stamp, Turn, handles
from titan.fsm.outcomes import Outcome, Rejected
from titan.fsm.outputs import asking
from titan.fsm.records.budgets import RunBudget
from titan.fsm.state import Run, State
from titan.limits import BUDGET_AMOUNT_MAX, BUDGET_UNITS_MAX, NAME_CHARS_MAX
from titan.spec.budgets import BudgetSpec, changed, problem_of


@handles(SetBudget)
def set_budget(state: State, cmd: SetBudget, at: Stamp) -> Outcome:
    """Change limits, or give an agent run a budget: what its runs have used so far counts."""
    why = problem_of(cmd.limit, is_change=True)
    if why:
        return Rejected("invalid", f"budget: {why}")
    known = state.budgets.get(cmd.budget)
    if known is None:
        return _make(state, cmd, at)
    if cmd.limit.units and len({**known.limit.units, **cmd.limit.units}) > BUDGET_UNITS_MAX:
        return Rejected("invalid", f"budget: at most {BUDGET_UNITS_MAX} kinds of units")
    turn = Turn(state, at)
    before = known.limit
    known.limit = changed(before, cmd.limit)
    if known.limit.wall_ms != before.wall_ms:
        budgets.set_wall(state, known)
    budgets.look_at_all(state, known, now_ms=state.now_ms)
    return turn.done("changed")


def _make(state: State, cmd: SetBudget, at: Stamp) -> Outcome:
    agent = cmd.budget.removeprefix(budgets.AGENT)
    if agent == cmd.budget:
        why = (
            f"run {cmd.budget[:200]} has no budget of its own: one is given when a run is submitted"
        )
        return Rejected("unknown_budget", why)
    if not 1 <= len(agent) <= NAME_CHARS_MAX:
        return Rejected("invalid", f"an agent run id has 1 to {NAME_CHARS_MAX} characters")
    _make_room(state)
    refusal = budgets.why_full(state)
    if refusal is not None:
        return refusal
    turn = Turn(state, at)
    budget = budgets.open_budget(state, cmd.budget, changed(BudgetSpec(), cmd.limit))
    budget.runs.update(state.agents.get(agent, {}))
    budgets.add_all(budget.spent, map(state.runs.__getitem__, budget.runs))
    return turn.done("made")


def _make_room(state: State) -> None:
    """One that was set long ago and that no run has come for gives way."""
    if budgets.why_full(state) is None:
        return
    for name, budget in state.budgets.items():
        if not budget.runs:
            del state.budgets[name]
            return


# --- units ----------------------------------------------------------------------------------------


class Pad(msgspec.Struct):
    """What the batch spends so far."""

    units: dict[str, int] = msgspec.field(default_factory=dict)


@handles(Spend)
def spend(state: State, cmd: Spend, at: Stamp) -> Outcome:
    """Use some units, or give them back."""
    refusal = check_spend(Draft(state, at), cmd)
    if refusal is not None:
        return refusal
    turn = Turn(state, at)
    return turn.done(apply_spend(turn, cmd, None))


def check_spend(draft: Draft, cmd: Spend) -> Rejected | None:
    """Why the task cannot spend that."""
    attempt = asking(draft.state, draft.at)
    if isinstance(attempt, Rejected):
        return attempt
    refusal = _why_not(cmd)
    if refusal is not None:
        return refusal
    run, beside = draft.state.runs[attempt.run], draft.pad(Pad).units
    before = beside.get(cmd.unit, 0)
    refusal = _why_not_units(draft.state, run, cmd, before=before, kinds={**run.units, **beside})
    if refusal is None:
        beside[cmd.unit] = before + cmd.amount
    return refusal


def _why_not(cmd: Spend) -> Rejected | None:
    if not 1 <= len(cmd.unit) <= NAME_CHARS_MAX:
        return Rejected("invalid", f"the name of a unit has 1 to {NAME_CHARS_MAX} characters")
    if abs(cmd.amount) > BUDGET_AMOUNT_MAX:
        return Rejected("invalid", f"an amount is at most {BUDGET_AMOUNT_MAX}")
    return None


def _why_not_units(
    state: State, run: Run, cmd: Spend, *, before: int, kinds: dict[str, int]
) -> Rejected | None:
    mine = run.units.get(cmd.unit, 0) + before + cmd.amount
    if mine < 0:
        return Rejected("invalid", f"run {run.id} has not spent so many {cmd.unit}")
    if mine > BUDGET_AMOUNT_MAX:
        return Rejected("invalid", f"a run spends at most {BUDGET_AMOUNT_MAX} {cmd.unit}")
    if cmd.unit not in kinds and len(kinds) >= BUDGET_UNITS_MAX:
        return Rejected("too_large", f"a run spends at most {BUDGET_UNITS_MAX} kinds of units")
    for budget in budgets.covering(state, run):
        spent = budget.spent.units.get(cmd.unit, 0) + before
        most = budget.limit.units.get(cmd.unit)
        if most is not None and cmd.amount > 0 and spent + cmd.amount > most:
            why = f"{spent} of {most} {cmd.unit} are spent, {cmd.amount} more were asked for"
            return Rejected(budgets.EXHAUSTED, f"budget {budget.id}: {why}")
    return None


def apply_spend(turn: Turn, cmd: Spend, _ticket: None) -> Any:
    """Debit it; answers what is left in the tightest budget, None when nothing limits it."""
    run = turn.state.runs[turn.state.attempts[turn.at.attempt].run]
    _count(run.units, cmd)
    left: int | None = None
    for budget in budgets.covering(turn.state, run):
        _count(budget.spent.units, cmd)
        rest = _rest(budget, cmd.unit)
        left = rest if left is None or (rest is not None and rest < left) else left
    return left


def _rest(budget: RunBudget, unit: str) -> int | None:
    most = budget.limit.units.get(unit)
    return None if most is None else max(0, most - budget.spent.units.get(unit, 0))


def _count(units: dict[str, int], cmd: Spend) -> None:
    units[cmd.unit] = units.get(cmd.unit, 0) + cmd.amount


batchable(Spend, check=check_spend, apply=apply_spend)
