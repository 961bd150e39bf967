"""`titan workers`: who runs jobs, and whether they may take more."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from titan.cli import ask, output
from titan.cli.options import json_option, masters_option
from titan.errors import NotFound, UserError
from titan.fsm.queries import WorkerView
from titan.ids import WorkerId

if TYPE_CHECKING:
    from titan.sdk import AsyncClient


@click.group(invoke_without_command=True)
@masters_option()
@json_option()
@click.pass_context
def workers(ctx: click.Context, masters: ask.Masters, as_json: bool) -> None:
    """List workers; drain, cordon or open one."""
    ctx.obj = masters
    if ctx.invoked_subcommand is None:
        show(masters, as_json=as_json)


@workers.command("list")
@masters_option()
@json_option()
@click.pass_obj
def list_workers(outer: ask.Masters, masters: ask.Masters, as_json: bool) -> None:
    """List workers."""
    show(masters or outer, as_json=as_json)


def show(masters: ask.Masters, *, as_json: bool) -> None:
    """Print the workers."""

    async def work(client: AsyncClient) -> list[WorkerView]:
        return await client.list_workers()

    found = ask.run(masters, work)
    if as_json:
        output.print_json([worker_json(worker) for worker in found])
        return
    output.print_table(
        ("worker", "name", "state", "capabilities", "#running", "#slots", "jobs"),
        [
            (
                worker.id,
                output.plain(worker.name),
                output.styled(worker.state),
                ", ".join(worker.capabilities),
                str(worker.running),
                str(worker.slots),
                " ".join(worker.jobs[:3]) + (" …" if len(worker.jobs) > 3 else ""),
            )
            for worker in found
        ],
        empty="no workers; start one with: titan worker --data DIR",
    )


def worker_json(worker: WorkerView) -> dict[str, object]:
    """The published shape of a worker."""
    return {
        "id": worker.id,
        "name": worker.name,
        "state": worker.state,
        "capabilities": worker.capabilities,
        "slots": worker.slots,
        "running": worker.running,
    }


def _mode_command(name: str, mode: str, help_text: str) -> None:
    @workers.command(name, help=help_text)
    @click.argument("worker", metavar="ID")
    @masters_option()
    @click.pass_obj
    def set_mode(outer: ask.Masters, worker: str, masters: ask.Masters) -> None:
        async def work(client: AsyncClient) -> WorkerId:
            found = _by_id_or_name(await client.list_workers(), worker)
            await client.set_worker_mode(found, mode)
            return found

        click.echo(f"worker {ask.run(masters or outer, work)} is {mode} now")


def _by_id_or_name(found: list[WorkerView], wanted: str) -> WorkerId:
    matching = [worker.id for worker in found if wanted in (worker.id, worker.name)]
    if not matching:
        raise NotFound(f"no worker {wanted}", hint="titan workers lists them")
    if len(matching) > 1:
        raise UserError(f"{len(matching)} workers are called {wanted}", hint="give the id instead")
    return matching[0]


_mode_command("drain", "draining", "Take no more work, end what runs, then leave.")
_mode_command("cordon", "cordoned", "Take no more work, but stay.")
_mode_command("open", "open", "Take work again.")
