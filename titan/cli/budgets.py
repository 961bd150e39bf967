"""`titan budgets` and `titan agents`: what trees of runs may use, and agent runs with their stages."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
import msgspec

from titan.cli import ask, output
from titan.cli.options import json_option, masters_option
from titan.errors import UserError
from titan.fsm.queries.budgets import AgentRunView, BudgetView

if TYPE_CHECKING:
    from titan.sdk import AsyncClient

_COLUMNS = ("budget", "jobs", "cpu s", "wall s", "units", "#waiting", "on limit", "used up")


@click.group()
def budgets() -> None:
    """Say what a run and all below it, or an agent run, may use; see what was used."""


@budgets.command("list")
@masters_option()
@json_option()
def list_budgets(*, masters: ask.Masters, as_json: bool) -> None:
    """List the budgets."""

    async def work(client: AsyncClient) -> list[BudgetView]:
        return await client.list_budgets()

    _print_budgets(ask.run(masters, work), as_json=as_json)


@budgets.command()
@click.argument("budget")
@masters_option()
@json_option()
def show(*, budget: str, masters: ask.Masters, as_json: bool) -> None:
    """Show BUDGET: that of a run, or `agent:` and an agent run."""

    async def work(client: AsyncClient) -> BudgetView:
        return await client.get_budget(budget)

    one = ask.run(masters, work)
    if as_json:
        output.print_json(msgspec.to_builtins(one))
    else:
        _print_budgets([one], as_json=False)
        if one.gate:
            click.echo(f"asks for more: titan approve {one.gate} --run {one.gate_run}")


@budgets.command("set")
@click.argument("budget")
@click.option("--jobs", type=click.IntRange(min=-1), help="Jobs in all.")
@click.option("--depth", type=click.IntRange(min=-1), help="Runs below runs; 0 allows none.")
@click.option("--wall", "wall_s", type=click.FloatRange(min=-1), metavar="SECONDS",
              help="From its beginning; then its runs are cancelled.")  # fmt: skip
@click.option("--cpu", "cpu_s", type=click.FloatRange(min=-1), metavar="SECONDS",
              help="Processor time of attempts that have ended.")  # fmt: skip
@click.option("--unit", "pairs", multiple=True, metavar="NAME=N",
              help="Units that tasks spend; may be repeated.")  # fmt: skip
@click.option("--on-limit", type=click.Choice(["fail", "queue", "gate"]),
              help="Refuse, let wait, or ask a person.")  # fmt: skip
@masters_option()
@json_option()
def set_budget(
    *, budget: str, jobs: int | None, depth: int | None, wall_s: float | None, cpu_s: float | None,
    pairs: tuple[str, ...], on_limit: str | None, masters: ask.Masters, as_json: bool,
) -> None:  # fmt: skip
    """Change the limits of BUDGET: that of a run, or `agent:` and an agent run, which is made if need be.

    What is not named stays as it is; -1 takes a limit away.

    \b
    titan budgets set r-0123456789abcdef0123 --jobs 200
    titan budgets set agent:nightly --jobs 1000 --unit tokens=50000 --on-limit gate
    """
    units = dict(map(_unit, pairs))

    async def work(client: AsyncClient) -> BudgetView:
        return await client.set_budget(
            budget, jobs=jobs, depth=depth, wall_s=wall_s, cpu_s=cpu_s, units=units,
            on_limit=on_limit,
        )  # fmt: skip

    one = ask.run(masters, work)
    if as_json:
        output.print_json(msgspec.to_builtins(one))
    else:
        _print_budgets([one], as_json=False)


def _unit(pair: str) -> tuple[str, int]:
    name, _, amount = pair.partition("=")
    try:
        return name, int(amount)
    except ValueError:
        raise UserError(f"--unit {pair!r} is not NAME=N", hint="e.g. tokens=50000") from None


def _print_budgets(found: list[BudgetView], *, as_json: bool) -> None:
    if as_json:
        output.print_json([msgspec.to_builtins(one) for one in found])
        return
    output.print_table(
        _COLUMNS,
        [
            (
                output.plain(one.id),
                _of(one.jobs, one.jobs_max),
                _of(f"{one.cpu_us / 1e6:.1f}", _s(one.cpu_ms_max)),
                _s(one.wall_ms_max) or "-",
                output.plain(_units(one)) or "-",
                str(one.waiting),
                one.on_limit,
                output.plain(one.exhausted) or "-",
            )
            for one in found
        ],
        empty="no budgets; give one in a pipeline's file, or: titan budgets set agent:NAME --jobs N",
    )


def _of(spent: object, most: object) -> str:
    return str(spent) if most is None else f"{spent} of {most}"


def _s(ms: int | None) -> str | None:
    return None if ms is None else f"{ms / 1000:g}"


def _units(one: BudgetView) -> str:
    names = dict.fromkeys((*one.units_max, *one.units))
    return ", ".join(
        f"{name} {_of(one.units.get(name, 0), one.units_max.get(name))}" for name in names
    )


# --- agent runs -----------------------------------------------------------------------------------


@click.group()
def agents() -> None:
    """Look at agent runs: the runs that share an agent run id, as its stages."""


@agents.command("list")
@click.option("--limit", type=click.IntRange(min=1), default=100, show_default=True, metavar="N")
@masters_option()
@json_option()
def list_agents(*, limit: int, masters: ask.Masters, as_json: bool) -> None:
    """List agent runs, the one that began last first."""

    async def work(client: AsyncClient) -> list[AgentRunView]:
        return await client.agent_runs(limit)

    found = ask.run(masters, work)
    if as_json:
        output.print_json([msgspec.to_builtins(one) for one in found])
        return
    output.print_table(
        ("agent run", "state", "#stages", "jobs", "began", "took", "cpu s", "budget"),
        [
            (
                output.plain(one.id),
                output.styled(one.state),
                str(one.runs),
                output.count_words(one.jobs),
                output.ago(one.created_ms) if one.created_ms else "-",
                output.took(one.created_ms, one.ended_ms),
                f"{one.cpu_us / 1e6:.1f}",
                _of(one.budget.jobs, one.budget.jobs_max) + " jobs" if one.budget else "-",
            )
            for one in found
        ],
        empty="no agent runs; a run joins one by agent_run_id",
    )


@agents.command("show")
@click.argument("agent_run_id")
@masters_option()
@json_option()
def show_agent(*, agent_run_id: str, masters: ask.Masters, as_json: bool) -> None:
    """Show an agent run with its stages, oldest first."""

    async def work(client: AsyncClient) -> AgentRunView:
        return await client.agent_run(agent_run_id)

    one = ask.run(masters, work)
    if as_json:
        output.print_json(msgspec.to_builtins(one))
        return
    click.echo(f"{output.plain(one.id)}: {one.state}, {output.count_words(one.jobs)}")
    if one.budget is not None:
        _print_budgets([one.budget], as_json=False)
    output.print_table(
        ("stage", "run", "state", "jobs", "began", "took", "cpu s", "by"),
        [
            (
                output.plain(stage.name),
                stage.run,
                output.styled(stage.state),
                output.count_words(stage.jobs),
                output.ago(stage.created_ms),
                output.took(stage.created_ms, stage.ended_ms),
                f"{stage.cpu_us / 1e6:.1f}",
                f"{stage.parent_run}/{stage.parent_job}" if stage.parent_run else "-",
            )
            for stage in one.stages
        ],
        empty="no runs yet",
    )
