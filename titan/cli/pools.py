"""`titan pools`: which workers the cluster may start by itself, and how many."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
import msgspec

from titan.cli import ask, output
from titan.cli.options import amounts, json_option, masters_option, seconds_option
from titan.errors import UserError
from titan.fsm.queries import PoolView
from titan.limits import POOL_WORKERS_MAX, SLOTS_PER_WORKER_MAX

if TYPE_CHECKING:
    from titan.sdk import AsyncClient

SECRET_VARIABLE = "TITAN_WEBHOOK_SECRET"  # noqa: S105


@click.group(invoke_without_command=True)
@masters_option()
@json_option()
@click.pass_context
def pools(ctx: click.Context, masters: ask.Masters, as_json: bool) -> None:
    """List pools of workers; make, change or remove one."""
    ctx.obj = masters
    if ctx.invoked_subcommand is None:
        show(masters, as_json=as_json)


@pools.command("list")
@masters_option()
@json_option()
@click.pass_obj
def list_pools(outer: ask.Masters, masters: ask.Masters, as_json: bool) -> None:
    """List pools."""
    show(masters or outer, as_json=as_json)


def show(masters: ask.Masters, *, as_json: bool) -> None:
    """Print the pools."""

    async def work(client: AsyncClient) -> list[PoolView]:
        return await client.list_pools()

    found = ask.run(masters, work)
    if as_json:
        output.print_json([msgspec.structs.asdict(pool) for pool in found])
        return
    output.print_table(
        ("pool", "state", "provider", "capabilities", "#slots", "#workers", "#starting", "range",
         "last error"),
        [
            (
                pool.name,
                pool.state,
                pool.provider,
                ", ".join(pool.capabilities) or "-",
                str(pool.slots),
                str(pool.workers),
                str(pool.starting),
                f"{pool.workers_min}–{pool.workers_max}",
                output.plain(pool.last_error) or "-",
            )
            for pool in found
        ],
        empty="no pools; make one with: titan pools set NAME --max N",
    )  # fmt: skip


@pools.command("set")
@click.argument("name")
@click.option(
    "--provider",
    type=click.Choice(["local", "webhook"]),
    default="local",
    show_default=True,
    help="local: processes beside the leader; webhook: --url is called.",
)
@click.option(
    "--capability",
    "capabilities",
    multiple=True,
    metavar="TAG",
    help="What its workers offer besides GENERAL; may be repeated.",
)
@click.option(
    "--slots",
    type=click.IntRange(1, SLOTS_PER_WORKER_MAX),
    default=1,
    show_default=True,
    help="Jobs at once on each worker.",
)
@click.option(
    "--resource",
    "resources",
    multiple=True,
    metavar="NAME=N",
    callback=amounts,
    help="What each worker has: cpus, memory_mb, gpus, …; may be repeated.",
)
@click.option(
    "--min",
    "workers_min",
    type=click.IntRange(0, POOL_WORKERS_MAX),
    default=0,
    show_default=True,
    help="Workers that are always there.",
)
@click.option(
    "--max",
    "workers_max",
    type=click.IntRange(0, POOL_WORKERS_MAX),
    default=1,
    show_default=True,
    help="Workers at most.",
)
@seconds_option("--idle", "idle_s", default=300, about="Without work for so long, a worker leaves.")
@seconds_option("--cooldown", "cooldown_s", default=5, about="Between two launches.")
@seconds_option(
    "--register-timeout",
    "register_s",
    default=60,
    least=1,
    about="A launched worker that has not come by then has failed.",
)
@click.option("--url", default="", help="Of the webhook.")
@click.option(
    "--secret",
    default="",
    envvar=SECRET_VARIABLE,
    metavar="TEXT",
    help=f"Signs calls of the webhook; better given as ${SECRET_VARIABLE}.",
)
@click.option("--permanent", is_flag=True, help="Its workers stay when they idle.")
@masters_option()
@click.pass_obj
def set_pool(
    outer: ask.Masters,
    *,
    name: str,
    provider: str,
    capabilities: tuple[str, ...],
    slots: int,
    resources: dict[str, int],
    workers_min: int,
    workers_max: int,
    idle_s: float,
    cooldown_s: float,
    register_s: float,
    url: str,
    secret: str,
    permanent: bool,
    masters: ask.Masters,
) -> None:
    """Make the pool NAME, or change it: what is not given becomes the default.

    \b
    titan pools set here --slots 2 --max 4
    titan pools set cards --capability GPU --resource gpus=1 --max 8 \\
                --provider webhook --url https://fleet.example/titan
    """
    if workers_min > workers_max:
        raise UserError(f"--min {workers_min} is above --max {workers_max}")
    if provider == "webhook" and not url:
        raise UserError("a webhook needs --url", hint=f"and a secret, in ${SECRET_VARIABLE}")

    async def work(client: AsyncClient) -> str:
        return await client.set_pool(
            name,
            provider=provider,
            capabilities=capabilities,
            slots=slots,
            resources=resources,
            min=workers_min,
            max=workers_max,
            idle_s=idle_s,
            cooldown_s=cooldown_s,
            register_s=register_s,
            url=url,
            secret=secret if provider == "webhook" else "",
            permanent=permanent,
        )

    click.echo(f"pool {name} {ask.run(masters or outer, work)}")


@pools.command()
@click.argument("name")
@masters_option()
@click.pass_obj
def remove(outer: ask.Masters, *, name: str, masters: ask.Masters) -> None:
    """Start nothing more for the pool NAME; its workers finish what they run and leave."""

    async def work(client: AsyncClient) -> None:
        await client.remove_pool(name)

    ask.run(masters or outer, work)
    click.echo(f"pool {name} is removed; its workers leave when they have finished")
