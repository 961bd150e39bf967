"""`titan logs`: what a job has written."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from titan.cli import ask
from titan.cli.options import masters_option

if TYPE_CHECKING:
    from titan.sdk import AsyncClient


@click.command()
@click.argument("job")
@click.option("-f", "--follow", is_flag=True, help="Go on until the job has ended.")
@click.option("--run", "in_run", default="", metavar="RUN",
              help="The run the job belongs to.  [default: the newest that has it]")  # fmt: skip
@masters_option()
def logs(*, job: str, follow: bool, in_run: str, masters: ask.Masters) -> None:
    """Print what JOB's newest attempt has written, stdout and stderr in the order they came."""

    async def work(client: AsyncClient) -> None:
        if not follow:
            sys.stdout.write(await client.fetch_logs(job, in_run or None))
            return
        async for text in client.follow_logs(job, in_run or None):
            sys.stdout.write(text)
            sys.stdout.flush()

    ask.run(masters, work)
