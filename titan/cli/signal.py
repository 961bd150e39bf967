"""`titan signal`: telling a run or a job something."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from titan.cli import ask
from titan.cli.options import masters_option
from titan.errors import UserError

if TYPE_CHECKING:
    from titan.sdk import AsyncClient


@click.command()
@click.argument("whom", metavar="RUN[/JOB]")
@click.argument("name")
@click.argument("payload", required=False, metavar="[JSON]")
@masters_option()
def signal(*, whom: str, name: str, payload: str | None, masters: ask.Masters) -> None:
    """Tell RUN, or one of its jobs, NAME with a JSON payload.

    It waits until a task takes it by `titan.sdk.current().wait_signal(NAME)`; the first task of the run
    that asks when no job is named.
    """
    run, _, job = whom.partition("/")
    value = _payload(payload)

    async def work(client: AsyncClient) -> int:
        return await client.signal(run, name, value, job=job or None)

    click.echo(ask.run(masters, work))


def _payload(text: str | None) -> Any:
    if text is None:
        return None
    try:
        return json.loads(text)
    except ValueError as error:
        raise UserError(
            f"the payload is not JSON: {error}", hint="text is quoted twice: '\"like this\"'"
        ) from None
