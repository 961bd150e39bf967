"""`titan upload` and `titan artifacts`: files that are kept in the cluster."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from titan.cli import ask, output
from titan.cli.options import json_option, masters_option
from titan.errors import NotFound
from titan.ids import is_run_id

if TYPE_CHECKING:
    from titan.fsm.queries import ArtifactView
    from titan.sdk import AsyncClient
    from titan.sdk.artifacts import JobFile

_PATH = click.Path(exists=True, path_type=Path)


@click.command()
@click.argument("path", type=_PATH)
@click.option("--key", default="", help="Publish it under this key.  [default: uploads/<name>]")
@masters_option()
@json_option()
def upload(*, path: Path, key: str, masters: ask.Masters, as_json: bool) -> None:
    """Store a file, or a folder as a project bundle, and print its digest.

    What the cluster has already is not sent; what was cut off goes on where it was.
    """

    async def work(client: AsyncClient) -> str:
        if path.is_dir():
            return await client.upload_project_folder(path)
        if key:
            return await client.publish_artifact(key, path)
        return await client.upload_file(path)

    digest = ask.run(masters, work)
    if as_json:
        output.print_json({"digest": digest, "key": key or f"uploads/{path.resolve().name}"})
    else:
        click.echo(digest)


@click.group()
def artifacts() -> None:
    """Files under keys, and what jobs have left for others."""


@artifacts.command("list")
@click.argument("what", default="")
@masters_option()
@json_option()
def list_artifacts(*, what: str, masters: ask.Masters, as_json: bool) -> None:
    """List the files of a run, or the keys that begin with WHAT."""

    async def work(client: AsyncClient) -> list[Any]:
        if is_run_id(what):
            return [_file_row(file) for file in await client.run_artifacts(what)]
        return [_key_row(key) for key in await client.list_artifacts(what)]

    rows = ask.run(masters, work)
    if as_json:
        output.print_json(rows)
        return
    columns = ("JOB", "PATH", "SIZE", "DIGEST") if is_run_id(what) else ("KEY", "SIZE", "DIGEST")
    shown = [[_shown(name, row[name.lower()]) for name in columns] for row in rows]
    output.print_table(columns, shown, empty="no artifacts")


def _file_row(file: JobFile) -> dict[str, Any]:
    return {"job": file.job, "path": file.path, "size": file.size, "digest": file.digest}


def _key_row(found: ArtifactView) -> dict[str, Any]:
    row = {"key": found.key, "size": found.size, "digest": found.digest, "name": found.name}
    return {**row, "published_ms": found.published_ms}


def _shown(column: str, value: Any) -> str:
    return f"{value[:12]}…" if column == "DIGEST" else str(value)


@artifacts.command()
@click.argument("name")
@click.argument("to", default=".", type=click.Path(path_type=Path))
@click.option("--run", "in_run", default="", metavar="RUN",
              help="The run that NAME's job belongs to.  [default: the newest that has it]")  # fmt: skip
@masters_option()
def get(*, name: str, to: Path, in_run: str, masters: ask.Masters) -> None:
    """Bring files here: by key, by digest, JOB:PATH, or everything of a run by its id.

    TO is a file, or a folder to put them into.
    """

    async def work(client: AsyncClient) -> list[Path]:
        if is_run_id(name):
            return await client.download_artifacts(name, to=to)
        path = await client.fetch_artifact(name, to, in_run or None)
        return [path] if path is not None else []

    written = ask.run(masters, work)
    if not written:
        raise NotFound(f"no artifact {name!r}", hint="`titan artifacts list` shows what there is")
    for path in written:
        click.echo(path)


@artifacts.command()
@click.argument("key")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@masters_option()
def publish(*, key: str, file: Path, masters: ask.Masters) -> None:
    """Store FILE under KEY, replacing what was there, and print its digest."""

    async def work(client: AsyncClient) -> str:
        return await client.publish_artifact(key, file)

    click.echo(ask.run(masters, work))


@artifacts.command()
@click.argument("key")
@masters_option()
def delete(*, key: str, masters: ask.Masters) -> None:
    """Remove KEY. Its file goes once nothing else refers to it."""

    async def work(client: AsyncClient) -> bool:
        return await client.delete_artifact(key)

    if not ask.run(masters, work):
        raise NotFound(f"no artifact {key!r}")
