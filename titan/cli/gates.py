"""`titan gates`, `approve` and `reject`: what waits for people, and deciding it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import click
import msgspec

from titan.cli import ask, output
from titan.cli.options import Decorator, json_option, masters_option
from titan.cli.run import read_pairs
from titan.fsm.queries import GateView

if TYPE_CHECKING:
    from titan.sdk import AsyncClient
    from titan.sdk.gates import Decided


@click.command()
@click.option("--run", "in_run", default="", metavar="RUN", help="Only gates of this run.")
@masters_option()
@json_option()
def gates(*, in_run: str, masters: ask.Masters, as_json: bool) -> None:
    """List the gates that wait for people, those of the newest runs first."""

    async def work(client: AsyncClient) -> list[GateView]:
        return await client.pending_gates(in_run or None)

    found = ask.run(masters, work)
    if as_json:
        output.print_json([gate_json(gate) for gate in found])
        return
    output.print_table(
        ("run", "pipeline", "gate", "waits", "left", "approvals", "who", "asks", "form"),
        [gate_row(gate) for gate in found],
        empty="no gate waits for anybody",
    )


def gate_json(gate: GateView) -> dict[str, Any]:
    """The published shape of a gate."""
    return {
        "run": gate.run,
        "name": gate.run_name,
        "id": gate.id,
        "after": gate.after or None,
        "state": gate.state,
        "message": gate.message,
        "opened_ms": gate.opened_ms,
        "due_ms": gate.due_ms,
        "wanted": gate.wanted,
        "users": gate.users,
        "roles": gate.roles,
        "form": {name: msgspec.structs.asdict(one) for name, one in gate.form.items()},
        "decisions": [msgspec.structs.asdict(one) for one in gate.decisions],
    }


def gate_row(gate: GateView) -> tuple[str, ...]:
    """A gate as a row of the table."""
    given = sum(one.decision == "approve" for one in gate.decisions if one.round == _round(gate))
    fields = [f"{name}{'*' if one.required else ''}" for name, one in gate.form.items()]
    return (
        gate.run,
        output.plain(gate.run_name),
        gate.id,
        output.ago(gate.opened_ms),
        output.took(time.time_ns() // 1_000_000, gate.due_ms),
        f"{given} of {gate.wanted}",
        output.plain(", ".join((*gate.users, *(f"role {role}" for role in gate.roles))))
        or "anybody",
        output.plain(gate.message),
        output.plain(", ".join(fields)) or "-",
    )


def _round(gate: GateView) -> int:
    """The newest round anybody decided in, unless it was before the gate opened last."""
    newest = [one.round for one in gate.decisions if one.at_ms >= gate.opened_ms]
    return max(newest, default=0)


def _who_options() -> Decorator:
    def add(command: Any) -> Any:
        for option in (
            click.option("--role", default="", metavar="ROLE", help="In which role."),
            click.option("--by", default="", metavar="NAME", help="Who decides.  [default: you]"),
            click.option("--comment", default="", metavar="TEXT", help="Why; kept with the decision."),
            click.option("--run", "in_run", default="", metavar="RUN",
                         help="The run of the gate.  [default: the newest where it waits]"),
        ):  # fmt: skip
            command = option(command)
        return command

    return add


@click.command()
@click.argument("gate")
@click.option("--answer", "pairs", multiple=True, metavar="NAME=VALUE",
              help="Fill in a field of the gate's form; may be repeated.")  # fmt: skip
@_who_options()
@masters_option()
@json_option()
def approve(
    *, gate: str, pairs: tuple[str, ...], in_run: str, comment: str, by: str, role: str,
    masters: ask.Masters, as_json: bool,
) -> None:  # fmt: skip
    """Approve GATE: its id, or the id of the job it comes after."""
    answers = read_pairs(pairs, option="--answer")

    async def work(client: AsyncClient) -> Decided:
        return await client.approve(
            gate, in_run or None, comment=comment, answers=answers, by=by or None, role=role
        )

    _tell(ask.run(masters, work), as_json=as_json)


@click.command()
@click.argument("gate")
@_who_options()
@masters_option()
@json_option()
def reject(
    *, gate: str, in_run: str, comment: str, by: str, role: str, masters: ask.Masters, as_json: bool
) -> None:
    """Reject GATE: its id, or the id of the job it comes after. It fails and is not tried again."""

    async def work(client: AsyncClient) -> Decided:
        return await client.reject(gate, in_run or None, comment=comment, by=by or None, role=role)

    _tell(ask.run(masters, work), as_json=as_json)


def _tell(done: Decided, *, as_json: bool) -> None:
    if as_json:
        output.print_json(done._asdict())
    elif done.state == "WAITING":
        click.echo(f"{done.gate} of run {done.run}: {done.approvals} of {done.wanted} approvals")
    else:
        click.echo(f"{done.gate} of run {done.run} is {done.state}")
