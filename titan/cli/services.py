"""`titan services`: what is kept alive, where it is, and how to replace or stop it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from titan.cli import ask, output
from titan.cli.options import json_option, masters_option
from titan.fsm.queries import ServiceView

if TYPE_CHECKING:
    from titan.sdk import AsyncClient

DEPLOY_TIMEOUT_S = 60.0


@click.group(invoke_without_command=True)
@masters_option()
@json_option()
@click.pass_context
def services(ctx: click.Context, masters: ask.Masters, as_json: bool) -> None:
    """List services; deploy a new version of one, or stop one."""
    ctx.obj = masters
    if ctx.invoked_subcommand is None:
        show(masters, "", as_json=as_json)


@services.command("list")
@click.argument("name", default="")
@masters_option()
@json_option()
@click.pass_obj
def list_services(outer: ask.Masters, name: str, masters: ask.Masters, as_json: bool) -> None:
    """List the services that have not ended, or those called NAME."""
    show(masters or outer, name, as_json=as_json)


def show(masters: ask.Masters, name: str, *, as_json: bool) -> None:
    """Print the services."""

    async def work(client: AsyncClient) -> list[ServiceView]:
        return await client.list_services(name)

    found = ask.run(masters, work)
    if as_json:
        output.print_json([service_json(view) for view in found])
        return
    output.print_table(
        (
            "service",
            "health",
            "address",
            "version",
            "run",
            "worker",
            "#restarts",
            "since",
            "reason",
        ),
        [
            (
                view.name,
                output.styled(view.health),
                view.address or "-",
                view.version or "-",
                view.run,
                view.worker or "-",
                str(view.restarts),
                output.ago(view.since_ms) if view.since_ms else "-",
                output.plain(view.reason),
            )
            for view in found
        ],
        empty="no services; deploy one with: titan services deploy FILE",
    )


def service_json(view: ServiceView) -> dict[str, object]:
    """The published shape of a service."""
    return {
        "name": view.name,
        "run": view.run,
        "state": view.state,
        "health": view.health,
        "address": view.address or None,
        "worker": view.worker or None,
        "version": view.version or None,
        "restarts": view.restarts,
        "reason": view.reason,
    }


@services.command()
@click.argument(
    "file", type=click.Path(exists=True, dir_okay=False, path_type=Path), metavar="FILE"
)
@click.option("--timeout", type=click.FloatRange(min=0.001), default=DEPLOY_TIMEOUT_S,
              show_default=True, metavar="SECONDS",
              help="A new version that is not healthy by then is ended.")  # fmt: skip
@click.option("--param", "pairs", multiple=True, metavar="NAME=VALUE",
              help="Set a parameter of the pipeline; may be repeated.")  # fmt: skip
@masters_option()
@json_option()
@click.pass_obj
def deploy(
    outer: ask.Masters,
    *,
    file: Path,
    timeout: float,
    pairs: tuple[str, ...],
    masters: ask.Masters,
    as_json: bool,
) -> None:
    """Start the services in FILE in place of those of the same names, and wait until they are healthy.

    A service that is not healthy in time is ended, the version before it stays, and the exit code is 1.
    """
    from titan.cli.run import read_parameters

    parameters = read_parameters(file, pairs)

    async def work(client: AsyncClient) -> list[ServiceView]:
        run = await client.deploy_services(file, timeout, parameters=parameters)
        return await client.list_services(run=run)

    found = ask.run(masters or outer, work)
    if as_json:
        output.print_json([service_json(view) for view in found])
        return
    for view in found:
        click.echo(f"{view.name} is {view.health} at {view.address} (run {view.run})")


@services.command()
@click.argument("name")
@click.option("--run", "in_run", default="", metavar="RUN", help="The run the service belongs to.")
@masters_option()
@click.pass_obj
def stop(outer: ask.Masters, name: str, in_run: str, masters: ask.Masters) -> None:
    """End service NAME with everything it has started. It is not started again."""

    async def work(client: AsyncClient) -> str:
        return await client.stop_service(name, in_run or None)

    click.echo(ask.run(masters or outer, work))
