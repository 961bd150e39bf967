"""`titan dlq`: jobs whose retries are used up: list them, see why, run them again in their runs."""

from __future__ import annotations

import re
import time
from datetime import datetime
from typing import TYPE_CHECKING, Final

import click

from titan.cli import ask, output
from titan.cli.jobs import show_job
from titan.cli.options import Decorator, json_option, masters_option
from titan.errors import UserError
from titan.fsm.queries.graph import DeadView

if TYPE_CHECKING:
    from titan.sdk import AsyncClient

_UNITS_S: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


@click.group()
def dlq() -> None:
    """Dead letters: jobs whose retries are used up."""


def _filters() -> Decorator:
    def add(command):  # type: ignore[no-untyped-def]
        for option in (
            click.option("--reason", default="", metavar="TEXT", help="Only with TEXT in the reason."),
            click.option("--since", default="", metavar="WHEN",
                         help="Only dead since then: 90s, 15m, 2h, 7d, or an ISO time."),
            click.option("--text", default="", metavar="TEXT",
                         help="Only with TEXT in the name of the run, its pipeline or the job."),
            click.option("--name", default="", help="Only of runs of this pipeline."),
            click.option("--run", "in_run", default="", metavar="RUN", help="Only of this run."),
        ):  # fmt: skip
            command = option(command)
        return command

    return add


def since_ms(text: str) -> int:
    """A moment, in milliseconds: so long ago, or an ISO time; 0 for none. Raises `UserError`."""
    if not text:
        return 0
    ago = re.fullmatch(r"(\d+)([smhd])", text)
    if ago:
        return time.time_ns() // 1_000_000 - int(ago[1]) * _UNITS_S[ago[2]] * 1000
    try:
        return int(datetime.fromisoformat(text).timestamp() * 1000)
    except ValueError:
        raise UserError(f"--since {text!r}: write 90s, 15m, 2h, 7d or an ISO time") from None


@dlq.command(name="list")
@_filters()
@click.option("--limit", type=click.IntRange(min=1), default=50, show_default=True,
              help="How many at most.")  # fmt: skip
@masters_option()
@json_option()
def list_letters(
    *,
    in_run: str,
    name: str,
    since: str,
    reason: str,
    text: str,
    limit: int,
    masters: ask.Masters,
    as_json: bool,
) -> None:
    """List dead letters, the latest first."""
    moment = since_ms(since)

    async def work(client: AsyncClient) -> list[DeadView]:
        return await client.dead_letters(
            limit, run=in_run, name=name, since_ms=moment, reason=reason, text=text
        )

    found = ask.run(masters, work)
    if as_json:
        output.print_json(found)
        return
    output.print_table(
        ("run", "name", "job", "died", "#attempts", "#exit", "reason"),
        [
            (
                one.run,
                output.plain(one.name),
                one.job,
                output.ago(one.died_ms),
                str(one.attempts),
                "-" if one.exit_code is None else str(one.exit_code),
                output.plain(one.reason),
            )
            for one in found
        ],
        empty="no dead letters",
    )


@dlq.command()
@click.argument("job")
@click.option("--run", "in_run", default="", metavar="RUN", help="The run the job belongs to.")
@masters_option()
@json_option()
def show(*, job: str, in_run: str, masters: ask.Masters, as_json: bool) -> None:
    """Show why JOB died: its reason and all its attempts."""
    show_job(masters, job, in_run, as_json=as_json)


@dlq.command()
@click.argument("job", required=False)
@click.option(
    "--all", "everything", is_flag=True, help="Every dead letter, or those of the filters."
)
@_filters()
@masters_option()
@json_option()
def replay(
    *,
    job: str | None,
    everything: bool,
    in_run: str,
    name: str,
    since: str,
    reason: str,
    text: str,
    masters: ask.Masters,
    as_json: bool,
) -> None:
    """Run JOB again in its run, with what ended because of it; or many, by --all or a filter."""
    moment = since_ms(since)
    if job is None and not (everything or in_run or name or since or reason or text):
        raise UserError("say what to replay", hint="a job, --all, or a filter such as --name")
    if job is not None and (everything or name or since or reason or text):
        raise UserError("a job and --all or a filter exclude one another", hint="leave one out")

    async def work(client: AsyncClient) -> int:
        if job is not None:
            await client.replay(job, in_run or None)
            return 1
        return await client.replay_all(
            run=in_run, name=name, since_ms=moment, reason=reason, text=text
        )

    count = ask.run(masters, work)
    if as_json:
        output.print_json({"replayed": count})
    else:
        click.echo(f"{count} dead letter{'' if count == 1 else 's'} will run again")
