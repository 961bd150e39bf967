"""`titan runs`: what was submitted, newest first."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import click

from titan.cli import ask, output
from titan.cli.options import json_option, masters_option
from titan.fsm.queries import RunView

if TYPE_CHECKING:
    from titan.sdk import AsyncClient

RUN_STATES = ["PENDING", "RUNNING", "WAITING", "COMPLETED", "FAILED", "CANCELLED"]


@click.command()
@click.option("--limit", type=click.IntRange(min=1), default=50, show_default=True,
              help="How many at most.")  # fmt: skip
@click.option("--name", default="", help="Only runs of this pipeline.")
@click.option("--state", default="", type=click.Choice(["", *RUN_STATES], case_sensitive=False),
              metavar="STATE", help="Only runs in this state.")  # fmt: skip
@click.option("--label", "labels", multiple=True, metavar="KEY[=VALUE]",
              help="Only runs with this label; all of them when repeated.")  # fmt: skip
@masters_option()
@json_option()
def runs(
    *,
    limit: int,
    name: str,
    state: str,
    labels: tuple[str, ...],
    masters: ask.Masters,
    as_json: bool,
) -> None:
    """List runs, newest first."""

    async def work(client: AsyncClient) -> list[RunView]:
        return await client.list_runs(limit, name=name, state=state.upper(), labels=labels)

    found = ask.run(masters, work)
    if as_json:
        output.print_json([run_json(run) for run in found])
        return
    output.print_table(
        ("run", "name", "state", "age", "took", "jobs"),
        [
            (
                run.id,
                output.plain(run.name),
                output.styled(run.state),
                output.ago(run.created_ms),
                output.took(run.created_ms, run.ended_ms),
                output.count_words(run.jobs),
            )
            for run in found
        ],
        empty="no runs; submit one with: titan run pipeline.yaml",
    )


def run_json(run: RunView) -> dict[str, object]:
    """The published shape of a run."""
    labels = {"labels": run.labels} if run.labels else {}
    return {
        "id": run.id,
        "name": run.name,
        "state": run.state,
        "created_ms": run.created_ms,
        "jobs": run.jobs,
        **labels,
    }


def labels_words(labels: Mapping[str, str]) -> str:
    """A run's labels on one line."""
    return output.plain(", ".join(f"{key}={value}" for key, value in sorted(labels.items())))
