"""`titan why`: what keeps a job from running, and what would start it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
import msgspec

from titan.cli import ask, output
from titan.cli.options import json_option, masters_option

if TYPE_CHECKING:
    from titan.sched.verdicts import Why
    from titan.sdk import AsyncClient


@click.command()
@click.argument("job")
@click.option("--run", "in_run", default="", metavar="RUN", help="The run the job belongs to.")
@masters_option()
@json_option()
def why(*, job: str, in_run: str, masters: ask.Masters, as_json: bool) -> None:
    """Say why JOB does not run, and the smallest change that would start it."""

    async def work(client: AsyncClient) -> tuple[Why, dict[str, str]]:
        return await client.why(job, in_run or None), await ask.worker_names(client)

    answer, names = ask.run(masters, work)
    if as_json:
        output.print_json(msgspec.to_builtins(answer))
        return
    _print(answer, names)


def _print(answer: Why, names: dict[str, str]) -> None:
    say = output.console().print
    say(f"{answer.run} {answer.job}: {output.styled(answer.state)}, {answer.code}")
    say(f"  {output.plain(answer.text)}")
    if answer.ahead:
        say(f"  {answer.ahead} ready jobs are more urgent")
    if answer.change.text:
        say(f"[bold]would start it:[/] {output.plain(answer.change.text)}")
    for one in answer.workers:
        name = f" ({output.plain(names[one.worker])})" if one.worker in names else ""
        say(f"  worker {one.worker}{name} {output.plain(one.text)}")
    for pool in answer.pools:
        verb = "could serve it" if pool.serves else "cannot serve it"
        say(f"  pool {pool.pool} {verb}: {output.plain(pool.text)}")
