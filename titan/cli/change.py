"""`titan set`, `add`, `skip`, `reroute` and `rerun`: changing a run while it lives."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from titan.cli import ask
from titan.cli.graph import say_revision
from titan.cli.options import Decorator, json_option, masters_option
from titan.errors import UserError

if TYPE_CHECKING:
    from titan.sdk import AsyncClient, RunEdits


def _change_options() -> Decorator:
    def add(command: Callable[..., Any]) -> Callable[..., Any]:
        for option in (
            json_option(),
            masters_option(),
            click.option("--note", default="", help="Why, for whoever looks at the history."),
            click.option("--if-revision", type=int, default=0, metavar="N",
                         help="Only if the run is at revision N still."),
        ):  # fmt: skip
            command = option(command)
        return command

    return add


def _mutate(
    masters: ask.Masters, run: str, edits: RunEdits, *, if_revision: int, note: str, as_json: bool
) -> None:
    async def work(client: AsyncClient) -> int:
        return await client.mutate(run, edits, if_revision=if_revision, note=note)

    say_revision(run, ask.run(masters, work), as_json=as_json)


def _listed(text: str | None) -> list[str] | None:
    return None if text is None else [part.strip() for part in text.split(",") if part.strip()]


def _pairs(pairs: tuple[str, ...], *, what: str) -> dict[str, str]:
    found = {}
    for pair in pairs:
        name, sign, value = pair.partition("=")
        if not sign or not name:
            raise UserError(f"{what} {pair!r}: write NAME=VALUE")
        found[name] = value
    return found


@click.command(name="set")
@click.argument("run")
@click.argument("job")
@click.option("--requirement", metavar="TAG,…", help="Capabilities that the worker must offer.")
@click.option("--resources", metavar="NAME=N", multiple=True,
              help="What it takes of its worker, all of it; may be given again.")  # fmt: skip
@click.option("--priority", type=int, help="Higher goes first.")
@click.option("--parents", metavar="JOB,…", help="What it waits for, all of it; '' for nothing.")
@click.option("--affinity/--no-affinity", default=None, help="Run where a parent ran, or not.")
@click.option("--retries", type=int, help="Further attempts after the first.")
@click.option("--timeout", type=float, metavar="SECONDS", help="Until it is killed.")
@click.option("--args", help="Its arguments, split as a shell splits words.")
@click.option("--env", metavar="NAME=VALUE", multiple=True,
              help="Its extra environment, all of it; may be given again.")  # fmt: skip
@_change_options()
def set_command(
    *,
    run: str,
    job: str,
    requirement: str | None,
    resources: tuple[str, ...],
    parents: str | None,
    env: tuple[str, ...],
    if_revision: int,
    note: str,
    masters: ask.Masters,
    as_json: bool,
    **plain: Any,
) -> None:
    """Change what JOB of RUN asks for, as long as it has not started."""
    from titan.sdk import RunEdits

    fields: dict[str, Any] = {name: value for name, value in plain.items() if value is not None}
    for name, listed in (("requirement", _listed(requirement)), ("parents", _listed(parents))):
        if listed is not None:
            fields[name] = listed
    if resources:
        fields["resources"] = {
            name: _number(value, what=name)
            for name, value in _pairs(resources, what="--resources").items()
        }
    if env:
        fields["env"] = _pairs(env, what="--env")
    edits = RunEdits().set(job, **fields)
    _mutate(masters, run, edits, if_revision=if_revision, note=note, as_json=as_json)


def _number(text: str, *, what: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise UserError(f"--resources {what}: {text!r} is no number") from None


@click.command()
@click.argument("run")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@_change_options()
def add(
    *, run: str, file: Path, if_revision: int, note: str, masters: ask.Masters, as_json: bool
) -> None:
    """Add the jobs of a pipeline FILE to RUN; they may depend on jobs that the run has."""

    async def work(client: AsyncClient) -> int:
        return await client.add_yaml(run, file, if_revision=if_revision, note=note)

    say_revision(run, ask.run(masters, work), as_json=as_json)


@click.command()
@click.argument("run")
@click.argument("job")
@_change_options()
def skip(
    *, run: str, job: str, if_revision: int, note: str, masters: ask.Masters, as_json: bool
) -> None:
    """Do not run JOB of RUN; its children are told, and decide by their triggers."""
    from titan.sdk import RunEdits

    edits = RunEdits().skip(job)
    _mutate(masters, run, edits, if_revision=if_revision, note=note, as_json=as_json)


@click.command()
@click.argument("run")
@click.argument("job")
@click.option("--requirement", metavar="TAG,…", help="Capabilities that the worker must offer.")
@click.option("--affinity/--no-affinity", default=None, help="Run where a parent ran, or not.")
@click.option("--restart", is_flag=True, help="Take it from its worker if it runs already.")
@_change_options()
def reroute(
    *,
    run: str,
    job: str,
    requirement: str | None,
    affinity: bool | None,
    restart: bool,
    if_revision: int,
    note: str,
    masters: ask.Masters,
    as_json: bool,
) -> None:
    """Run JOB of RUN elsewhere. One that runs is stopped and begun again, with --restart only."""
    from titan.sdk import RunEdits

    where = _listed(requirement)
    if where is None and affinity is None and not restart:
        raise UserError("say where it is to run", hint="--requirement, --affinity or --restart")
    edits = RunEdits().reroute(job, where, affinity=affinity, restart=restart)
    _mutate(masters, run, edits, if_revision=if_revision, note=note, as_json=as_json)


@click.command()
@click.argument("run")
@click.option("--from", "job", default="", metavar="JOB", help="This job and its descendants.")
@masters_option()
@json_option()
def rerun(*, run: str, job: str, masters: ask.Masters, as_json: bool) -> None:
    """Run the failed jobs of RUN again, and what ended because of them, in the same run.

    In a run where nothing failed: what was cancelled.
    """

    async def work(client: AsyncClient) -> int:
        return await (client.rerun_from(run, job) if job else client.rerun(run))

    say_revision(run, ask.run(masters, work), as_json=as_json)
