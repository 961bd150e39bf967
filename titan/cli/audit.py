"""`titan audit`: who did what."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from titan.cli import ask, output
from titan.cli.dlq import since_ms
from titan.cli.options import json_option, masters_option

if TYPE_CHECKING:
    from titan.fsm.queries.audit import OrderView
    from titan.sdk import AsyncClient


@click.command()
@click.option("--who", default="", metavar="TEXT", help="Only of people or programs with TEXT.")
@click.option("--object", "about", default="", metavar="TEXT",
              help="Only about objects with TEXT in their name.")  # fmt: skip
@click.option("--kind", default="", metavar="KIND", help="Only about runs, jobs, workers, keys, …")
@click.option("--action", default="", metavar="ACTION", help="Only run.cancel, worker.mode, …")
@click.option("--since", default="", metavar="WHEN",
              help="Only since then: 90s, 15m, 2h, 7d, or an ISO time.")  # fmt: skip
@click.option("--limit", type=click.IntRange(min=1), default=50, show_default=True)
@masters_option()
@json_option()
def audit(
    *,
    who: str,
    about: str,
    kind: str,
    action: str,
    since: str,
    limit: int,
    masters: ask.Masters,
    as_json: bool,
) -> None:
    """Who did what: orders that people and their programs gave, the newest first.

    What a client says of itself is a claim: without TLS or tokens nobody has proved it.
    """
    moment = since_ms(since)

    async def work(client: AsyncClient) -> list[OrderView]:
        kinds = kind.removesuffix("s")  # "runs" as well as "run"
        return await client.audit(
            limit, who=who, about=about, kind=kinds, action=action, since_ms=moment
        )

    found = ask.run(masters, work)
    if as_json:
        output.print_json(found)
        return
    output.print_table(
        ("when", "who", "action", "object", "detail"),
        [
            (
                output.ago(one.at_ms),
                output.plain(one.who),
                one.action,
                output.plain(one.object),
                output.plain(one.detail),
            )
            for one in found
        ],
        empty="nobody has ordered anything yet",
    )
