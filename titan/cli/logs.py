"""`titan logs`: what a job has written."""

from __future__ import annotations

import sys
import time
from datetime import datetime
from typing import TYPE_CHECKING, Final

import click

from titan.cli import ask
from titan.cli.options import masters_option
from titan.errors import UserError
from titan.ids import is_run_id

if TYPE_CHECKING:
    from titan.sdk import AsyncClient

_UNITS_S: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


@click.command()
@click.argument("job")
@click.option("-f", "--follow", is_flag=True, help="Go on until the job has ended.")
@click.option("--run", "in_run", default="", metavar="RUN",
              help="The run the job belongs to.  [default: the newest that has it]")  # fmt: skip
@click.option("--grep", default="", metavar="TEXT", help="Only lines that hold this text.")
@click.option("--since", default="", metavar="WHEN",
              help="Only what was written later: 10m, 2h, 1d ago, or 2026-11-25T10:00.")  # fmt: skip
@click.option("--until", default="", metavar="WHEN", help="Only what was written before.")
@masters_option()
def logs(
    *, job: str, follow: bool, in_run: str, grep: str, since: str, until: str, masters: ask.Masters
) -> None:
    """Print what JOB's newest attempt has written, stdout and stderr in the order they came.

    JOB may be the id of a run: then lines of all its jobs are printed, each behind its job's name.
    """
    start, end = _moment(since, "since"), _moment(until, "until")
    if follow and (grep or since or until or is_run_id(job)):
        raise UserError("--follow shows everything of one job", hint="pipe it through grep")

    async def work(client: AsyncClient) -> None:
        if is_run_id(job):
            for line in await client.search_logs(job, grep, since=start, until=end):
                click.echo(f"{line.job}: {line.text}")
        elif follow:
            async for text in client.follow_logs(job, in_run or None):
                sys.stdout.write(text)
                sys.stdout.flush()
        else:
            run = in_run or None
            sys.stdout.write(
                await client.fetch_logs(job, run, grep=grep or None, since=start, until=end)
            )

    ask.run(masters, work)


def _moment(text: str, option: str) -> float | None:
    """Seconds since 1970: so long ago, or a date and time (of this machine's zone unless it says so)."""
    if not text:
        return None
    if text[-1:] in _UNITS_S and text[:-1].isdecimal():
        return time.time() - int(text[:-1]) * _UNITS_S[text[-1]]
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        raise UserError(
            f"--{option} {text!r} is not a time", hint="e.g. 30s, 10m, 2h, 1d or 2026-11-25T10:00"
        ) from None
