"""`titan pipelines`: keeping pipelines under a name and starting them by it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from titan.cli import ask, output
from titan.cli.options import json_option, labels_option, masters_option
from titan.cli.run import follow_to_the_end, read_pairs
from titan.fsm.queries import PipelineView
from titan.spec.model import Input, JobSpec

if TYPE_CHECKING:
    from titan.sdk import AsyncClient

_version = click.option("--version", type=click.IntRange(min=1), default=None, metavar="N",
                        help="A version.  [default: the latest]")  # fmt: skip


@click.group()
def pipelines() -> None:
    """Keep pipelines under a name, in versions, and start them by that name from anywhere."""


@pipelines.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--name", default="", help="Its name.  [default: the one in the file]")
@labels_option("Label its runs, beside the file's labels; may be repeated.")
@masters_option()
@json_option()
def save(
    *, file: Path, name: str, labels: dict[str, str], masters: ask.Masters, as_json: bool
) -> None:
    """Save the pipeline in FILE as a new version, unless it is like the latest one."""
    from titan.spec.yaml_file import load_pipeline

    called = name or load_pipeline(file).spec.name

    async def work(client: AsyncClient) -> int:
        return await client.save_dag(called, file, labels=labels)

    number = ask.run(masters, work)
    if as_json:
        output.print_json({"name": called, "version": number})
    else:
        click.echo(f"{called} version {number}")


@pipelines.command("list")
@masters_option()
@json_option()
def list_pipelines(*, masters: ask.Masters, as_json: bool) -> None:
    """List the saved pipelines."""

    async def work(client: AsyncClient) -> list[PipelineView]:
        return await client.list_saved_dags()

    found = ask.run(masters, work)
    if as_json:
        output.print_json([pipeline_json(one) for one in found])
        return
    output.print_table(
        ("name", "#version", "#jobs", "saved", "by", "parameters"),
        [
            (
                output.plain(one.name),
                str(one.version),
                str(one.count),
                output.ago(one.saved_ms),
                output.plain(one.owner) or "-",
                output.plain(", ".join(map(_input_words, one.inputs.items()))) or "-",
            )
            for one in found
        ],
        empty="no saved pipelines; save one with: titan pipelines save pipeline.yaml",
    )


def pipeline_json(one: PipelineView) -> dict[str, Any]:
    """The published shape of a saved pipeline."""
    return {
        "name": one.name,
        "version": one.version,
        "versions": one.versions,
        "jobs": one.count,
        "saved_ms": one.saved_ms,
        "owner": one.owner,
        "labels": one.labels,
        "blobs": one.digests,
        "parameters": {name: msgspec.structs.asdict(each) for name, each in one.inputs.items()},
    }


def _input_words(named: tuple[str, Input]) -> str:
    name, one = named
    if one.required and one.default is None:
        return f"{name} ({one.type}, required)"
    return f"{name}={'' if one.default is None else one.default}"


@pipelines.command()
@click.argument("name")
@_version
@masters_option()
@json_option()
def show(*, name: str, version: int | None, masters: ask.Masters, as_json: bool) -> None:
    """Show a saved pipeline: its versions, parameters and jobs."""

    async def work(client: AsyncClient) -> PipelineView:
        return await client.get_saved_dag(name, version)

    one = ask.run(masters, work)
    if as_json:
        jobs = [{"id": job.id, "type": job.type, "parents": job.depends_on} for job in one.jobs]
        output.print_json({**pipeline_json(one), "list": jobs})
        return
    kept = ", ".join(map(str, one.versions))
    click.echo(f"{one.name} version {one.version} of {kept}: {one.count} jobs")
    output.print_table(
        ("parameter", "type", "default", "choices", "help"),
        [
            (
                output.plain(key),
                each.type + (", required" if each.required else ""),
                "-" if each.default is None else output.plain(each.default),
                output.plain(", ".join(map(str, each.choices))) or "-",
                output.plain(each.help),
            )
            for key, each in one.inputs.items()
        ],
        empty="it has no parameters",
    )
    output.print_table(
        ("job", "type", "does", "after"),
        [(job.id, job.type, _does(job), ", ".join(job.depends_on) or "-") for job in one.jobs],
        empty="no jobs",
    )


def _does(job: JobSpec) -> str:
    text = job.file or job.hitl_message or job.pipeline
    if not text:
        text = (b" ".join(job.argv) or job.shell).decode(errors="replace")
    line = text.strip().split("\n", 1)[0]
    return output.plain(line if len(line) <= 60 else line[:60] + "…")


@pipelines.command()
@click.argument("name")
@click.option("--param", "pairs", multiple=True, metavar="NAME=VALUE",
              help="Set a parameter; may be repeated.")  # fmt: skip
@labels_option("Label the run, beside the saved labels; may be repeated.")
@click.option("--detach", is_flag=True, help="Print the id of the run and leave it.")
@_version
@masters_option()
@json_option()
def run(
    *, name: str, pairs: tuple[str, ...], labels: dict[str, str], detach: bool, version: int | None,
    masters: ask.Masters, as_json: bool,
) -> int:  # fmt: skip
    """Start a run of a saved pipeline, show its progress, and exit with 0 only if it is COMPLETED."""
    parameters = read_pairs(pairs)

    async def work(client: AsyncClient) -> int:
        handle = await client.submit_saved_dag(name, version, parameters, labels=labels)
        if not detach:
            return await follow_to_the_end(client, handle.id, as_json=as_json, outlives_us=True)
        if as_json:
            output.print_json({"run": handle.id})
        else:
            click.echo(handle.id)
        return 0

    return ask.run(masters, work)


@pipelines.command()
@click.argument("name")
@_version
@masters_option()
def delete(*, name: str, version: int | None, masters: ask.Masters) -> None:
    """Forget a saved pipeline, or one version of it. Runs that were started go on."""

    async def work(client: AsyncClient) -> int:
        return await client.delete_saved_dag(name, version)

    count = ask.run(masters, work)
    click.echo(f"deleted {count} version{'' if count == 1 else 's'} of {name}")
