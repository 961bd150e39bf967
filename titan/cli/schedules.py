"""`titan schedules`: saved pipelines that start by the clock."""

from __future__ import annotations

import time
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from titan.cli import ask, output
from titan.cli.options import json_option, masters_option
from titan.cli.run import read_pairs
from titan.errors import UserError
from titan.fsm.queries import ScheduleView
from titan.sdk.runs import Parameter
from titan.spec.cron import Calendar
from titan.spec.model import CATCHUPS, OVERLAPS, PipelineSpec, ScheduleSpec

if TYPE_CHECKING:
    from titan.sdk import AsyncClient

_UPCOMING = 10
_when = click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"])


@click.group()
def schedules() -> None:
    """Start saved pipelines by the clock: cron in a time zone, each nominal time exactly once."""


@schedules.command("list")
@masters_option()
@json_option()
def list_schedules(*, masters: ask.Masters, as_json: bool) -> None:
    """List the schedules and when each fires next."""

    async def work(client: AsyncClient) -> list[ScheduleView]:
        return await client.list_schedules()

    found = ask.run(masters, work)
    if as_json:
        output.print_json([schedule_json(one) for one in found])
        return
    output.print_table(
        ("name", "pipeline", "cron", "zone", "next", "overlap", "running", "queued"),
        [_row(one) for one in found],
        empty="no schedules; set one with: titan schedules set NAME --cron '0 6 * * *'",
    )


def _row(one: ScheduleView) -> tuple[str, ...]:
    following = upcoming(one.spec, after_ms=_from_ms(one), count=1)
    at = "paused" if one.is_paused else following[0] if following else "never"
    return (
        output.plain(one.name),
        f"{output.plain(one.pipeline)}{f' v{one.version}' if one.version else ''}",
        output.plain(one.spec.cron),
        output.plain(one.spec.timezone),
        at,
        one.spec.overlap,
        str(len(one.live)),
        str(len(one.queued)),
    )


def _from_ms(one: ScheduleView) -> int:
    return max(one.last_nominal_ms, _now_ms())


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def upcoming(spec: ScheduleSpec, *, after_ms: int, count: int) -> list[str]:
    """The next nominal times, in the schedule's own zone."""
    calendar = Calendar(spec.cron, timezone=spec.timezone)
    return [calendar.local(at_ms) for at_ms in islice(calendar.firings(after_ms), count)]


def schedule_json(one: ScheduleView) -> dict[str, Any]:
    """The published shape of a schedule."""
    calendar = Calendar(one.spec.cron, timezone=one.spec.timezone)
    return {
        "name": one.name,
        "pipeline": one.pipeline,
        "version": one.version or None,
        "parameters": one.parameters,
        **msgspec.structs.asdict(one.spec),
        "paused": one.is_paused,
        "next_ms": None if one.is_paused else calendar.next_after(_from_ms(one)),
        "queued": list(one.queued),
        "live": list(one.live),
        "firings": [msgspec.structs.asdict(each) for each in one.firings],
    }


@schedules.command()
@click.argument("name")
@masters_option()
@json_option()
def show(*, name: str, masters: ask.Masters, as_json: bool) -> None:
    """Show a schedule: what it has fired, and its next ten times."""

    async def work(client: AsyncClient) -> ScheduleView:
        return await client.get_schedule(name)

    one = ask.run(masters, work)
    if as_json:
        output.print_json(schedule_json(one))
        return
    click.echo(
        f"{output.plain(one.name)}: pipeline {output.plain(one.pipeline)}, {explained(one.spec)}"
    )
    if one.is_paused:
        click.echo("paused")
    if one.backfill_until_ms:
        click.echo(f"making up for times until {output.ago(one.backfill_until_ms)}")
    calendar = Calendar(one.spec.cron, timezone=one.spec.timezone)
    output.print_table(
        ("nominal time", "outcome", "kind", "run", "missed before", "why"),
        [
            (
                calendar.local(each.nominal_ms),
                each.outcome,
                each.kind,
                each.run or "-",
                str(each.missed or "-"),
                output.plain(each.why) or "-",
            )
            for each in one.firings
        ],
        empty="it has not fired yet",
    )
    for at in upcoming(one.spec, after_ms=_from_ms(one), count=_UPCOMING):
        click.echo(f"next  {at}")


def explained(spec: ScheduleSpec) -> str:
    """A schedule in one line."""
    jitter = f", up to {spec.jitter_ms / 1000:g} s later" if spec.jitter_ms else ""
    words = Calendar(spec.cron, timezone=spec.timezone).words()
    return (
        f"cron {spec.cron!r} in {spec.timezone} ({words}){jitter}; "
        f"overlap {spec.overlap}, catchup {spec.catchup}"
    )


@schedules.command()
@click.option("--cron", required=True, metavar="EXPRESSION")
@click.option("--timezone", default="UTC", metavar="ZONE", show_default=True)
@click.option("--count", "-n", type=click.IntRange(1, 1000), default=_UPCOMING, show_default=True)
def explain(*, cron: str, timezone: str, count: int) -> None:
    """Print the next times of a cron expression, without a cluster."""
    spec = _spec(cron=cron, timezone=timezone)
    for at in upcoming(spec, after_ms=_now_ms(), count=count):
        click.echo(at)


@schedules.command("set")
@click.argument("name")
@click.option("--cron", required=True, metavar="EXPRESSION",
              help="Five fields, six with seconds in front, or @daily and the like.")  # fmt: skip
@click.option("--timezone", default="UTC", metavar="ZONE", show_default=True)
@click.option("--pipeline", default="", metavar="NAME", help="A saved pipeline.  [default: NAME]")
@click.option("--version", type=click.IntRange(min=1), default=None, help="[default: the latest]")
@click.option("--catchup", type=click.Choice(CATCHUPS), default="none", show_default=True)
@click.option("--overlap", type=click.Choice(OVERLAPS), default="allow", show_default=True)
@click.option("--jitter", type=click.FloatRange(min=0), default=0, metavar="SECONDS")
@click.option("--paused", is_flag=True, help="It begins paused.")
@click.option("--param", "pairs", multiple=True, metavar="NAME=VALUE")
@masters_option()
def set_schedule(
    *,
    name: str,
    pipeline: str,
    version: int | None,
    pairs: tuple[str, ...],
    masters: ask.Masters,
    **fields: Any,
) -> None:
    """Start a saved pipeline whenever the expression says. Replaces a schedule of that name."""
    spec = _spec(**fields)

    async def work(client: AsyncClient) -> int:
        return await client.set_schedule(
            name,
            fields,
            pipeline=pipeline or None,
            version=version,
            parameters=read_pairs(pairs),
        )

    ask.run(masters, work)
    click.echo(f"{name}: {explained(spec)}")
    for at in upcoming(spec, after_ms=_now_ms(), count=1):
        click.echo(f"next  {at}")


def _spec(**fields: Any) -> ScheduleSpec:
    from titan.sdk.schedules import read_schedule

    return read_schedule(fields)


@schedules.command()
@click.argument("name")
@masters_option()
def pause(*, name: str, masters: ask.Masters) -> None:
    """Let a schedule rest."""

    async def work(client: AsyncClient) -> bool:
        return await client.pause_schedule(name)

    click.echo(f"{name} is paused" if ask.run(masters, work) else f"{name} was paused already")


@schedules.command()
@click.argument("name")
@masters_option()
def resume(*, name: str, masters: ask.Masters) -> None:
    """Let a schedule go on. What it missed is treated as its catchup says."""

    async def work(client: AsyncClient) -> bool:
        return await client.resume_schedule(name)

    click.echo(f"{name} goes on" if ask.run(masters, work) else f"{name} was not paused")


@schedules.command("run")
@click.argument("name")
@masters_option()
def run_now(*, name: str, masters: ask.Masters) -> None:
    """Start its pipeline now and print the id of the run."""

    async def work(client: AsyncClient) -> str:
        return str(await client.run_schedule(name))

    click.echo(ask.run(masters, work))


@schedules.command()
@click.argument("name")
@click.option("--from", "start", type=_when, required=True, help="The first time, UTC.")
@click.option("--to", "end", type=_when, required=True, help="The end, not included, UTC.")
@masters_option()
def backfill(*, name: str, start: datetime, end: datetime, masters: ask.Masters) -> None:
    """Make up for a range of nominal times, oldest first, a few runs at a time."""
    if end <= start:
        raise UserError("--to is not later than --from")

    async def work(client: AsyncClient) -> None:
        await client.backfill_schedule(name, start, end)

    ask.run(masters, work)
    click.echo(
        f"{name} makes up for {start} to {end}; titan schedules show {name} tells how far it is"
    )


@schedules.command()
@click.argument("name")
@masters_option()
def delete(*, name: str, masters: ask.Masters) -> None:
    """Forget a schedule. Runs that it started go on."""

    async def work(client: AsyncClient) -> bool:
        return await client.delete_schedule(name)

    click.echo(f"{name} is deleted" if ask.run(masters, work) else f"there is no schedule {name}")


def schedule_file(
    spec: PipelineSpec,
    file: Path,
    parameters: dict[str, Parameter],
    labels: dict[str, str],
    *,
    masters: ask.Masters,
    as_json: bool,
) -> None:
    """Save the pipeline under its name and schedule it as the file says."""
    when = spec.schedule
    assert when is not None

    async def work(client: AsyncClient) -> int:
        version = await client.save_dag(spec.name, file, labels=labels)
        fields = {**msgspec.structs.asdict(when), "jitter": when.jitter_ms / 1000}
        del fields["jitter_ms"]
        await client.set_schedule(spec.name, fields, parameters=parameters)
        return version

    version = ask.run(masters, work)
    following = upcoming(when, after_ms=_now_ms(), count=1)
    if as_json:
        output.print_json({"schedule": spec.name, "version": version, "next": following[:1]})
        return
    click.echo(f"{spec.name} version {version} is scheduled: {explained(when)}")
    for at in following:
        click.echo(f"next  {at}")
