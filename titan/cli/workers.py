"""`titan workers`: who runs jobs, and whether they may take more."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import click

from titan.cli import ask, output
from titan.cli.options import json_option, masters_option, seconds_option
from titan.errors import NotFound, UserError
from titan.fsm.queries import PoolView, WorkerView
from titan.limits import LAUNCHES_PER_COMMAND_MAX

if TYPE_CHECKING:
    from titan.sdk import AsyncClient

SHUTDOWN_TIMEOUT_S: Final = 60.0


@click.group(invoke_without_command=True)
@masters_option()
@json_option()
@click.pass_context
def workers(ctx: click.Context, masters: ask.Masters, as_json: bool) -> None:
    """List workers; drain, cordon, open, shut down or launch them."""
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
        (
            "worker",
            "name",
            "state",
            "pool",
            "capabilities",
            "resources",
            "#running",
            "#slots",
            "jobs",
        ),
        [
            (
                worker.id,
                output.plain(worker.name),
                output.styled(worker.state),
                worker.pool or ("ephemeral" if worker.ephemeral else "-"),
                ", ".join(worker.capabilities),
                " ".join(f"{name}={amount}" for name, amount in sorted(worker.resources.items())),
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
        "resources": worker.resources,
        "used": worker.used,
        "ephemeral": worker.ephemeral,
        "pool": worker.pool or None,
    }


def _by_id_or_name(found: list[WorkerView], wanted: str) -> WorkerView:
    by_id = [worker for worker in found if worker.id == wanted]
    matching = by_id or [worker for worker in found if worker.name == wanted]
    if len(matching) > 1:  # one that was started anew under another id: the dead ones are not meant
        matching = [worker for worker in matching if worker.state != "lost"] or matching
    if not matching:
        raise NotFound(f"no worker {wanted}", hint="titan workers lists them")
    if len(matching) > 1:
        raise UserError(f"{len(matching)} workers are called {wanted}", hint="give the id instead")
    return matching[0]


def _set_mode(
    masters: ask.Masters, wanted: str, mode: str, *, timeout_s: float | None = None
) -> WorkerView:
    async def work(client: AsyncClient) -> WorkerView:
        found = _by_id_or_name(await client.list_workers(), wanted)
        await client.set_worker_mode(found.id, mode, timeout_s=timeout_s)
        return found

    return ask.run(masters, work)


@workers.command()
@click.argument("worker", metavar="ID")
@click.option("--timeout", "timeout_s", type=click.FloatRange(min=0), metavar="SECONDS",
              help="Then what still runs is killed and runs elsewhere.  [default: no limit]")  # fmt: skip
@masters_option()
@click.pass_obj
def drain(
    outer: ask.Masters, *, worker: str, timeout_s: float | None, masters: ask.Masters
) -> None:
    """Take no more work, end what runs, then leave."""
    found = _set_mode(masters or outer, worker, "draining", timeout_s=timeout_s)
    limit = "" if timeout_s is None else f", for {timeout_s:g} s at most"
    click.echo(f"worker {found.id} is draining now{limit}; {found.running} jobs are on it")


@workers.command()
@click.argument("worker", metavar="ID")
@click.option("--now", is_flag=True, help="Kill what runs; it runs elsewhere and spends no retry.")
@seconds_option("--timeout", "timeout_s", default=SHUTDOWN_TIMEOUT_S,
                about="How long jobs may take to end.")  # fmt: skip
@masters_option()
@click.pass_obj
def shutdown(
    outer: ask.Masters, *, worker: str, now: bool, timeout_s: float, masters: ask.Masters
) -> None:
    """Let a worker leave soon: a drain with a time limit, or with --now at once."""
    found = _set_mode(masters or outer, worker, "draining", timeout_s=0 if now else timeout_s)
    click.echo(f"worker {found.id} leaves" + (" now" if now else f" within {timeout_s:g} s"))


@workers.command()
@click.argument("worker", metavar="ID")
@masters_option()
@click.pass_obj
def cordon(outer: ask.Masters, *, worker: str, masters: ask.Masters) -> None:
    """Take no more work, but stay."""
    click.echo(f"worker {_set_mode(masters or outer, worker, 'cordoned').id} is cordoned now")


@workers.command("open")
@click.argument("worker", metavar="ID")
@masters_option()
@click.pass_obj
def open_worker(outer: ask.Masters, *, worker: str, masters: ask.Masters) -> None:
    """Take work again. `uncordon` is the same."""
    click.echo(f"worker {_set_mode(masters or outer, worker, 'open').id} is open now")


workers.add_command(open_worker, name="uncordon")


@workers.command()
@click.option("--pool", default="", metavar="POOL", help="Of which pool.  [default: the only one]")
@click.option("-n", "count", type=click.IntRange(1, LAUNCHES_PER_COMMAND_MAX), default=1,
              show_default=True, help="How many.")  # fmt: skip
@masters_option()
@json_option()
@click.pass_obj
def launch(
    outer: ask.Masters, *, pool: str, count: int, masters: ask.Masters, as_json: bool
) -> None:
    """Start workers of a pool now, whatever the autoscaler thinks."""

    async def work(client: AsyncClient) -> tuple[str, list[str]]:
        chosen = pool or _only_pool(await client.list_pools())
        return chosen, await client.launch_workers(chosen, count)

    chosen, launches = ask.run(masters or outer, work)
    if as_json:
        output.print_json({"pool": chosen, "launches": launches})
    else:
        click.echo(f"pool {chosen} starts {len(launches)} workers: {', '.join(launches)}")


def _only_pool(found: list[PoolView]) -> str:
    active = [pool.name for pool in found if pool.state == "active"]
    if not active:
        raise NotFound(
            "there is no pool", hint="make one, e.g.: titan pools set here --max 4 --slots 2"
        )
    if len(active) > 1:
        raise UserError(f"there are {len(active)} pools", hint=f"--pool {' or '.join(active)}")
    return active[0]
