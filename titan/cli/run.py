"""`titan run` and `titan deploy`: submit a pipeline; the first one stays until it has ended."""

from __future__ import annotations

import asyncio
import shutil
import signal
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from titan.cli import ask, output
from titan.cli.options import json_option, labels_option, masters_option
from titan.errors import InvalidSpec, TitanError, UserError
from titan.ids import RunId
from titan.sdk.discovery import first_masters
from titan.sdk.runs import Parameter

if TYPE_CHECKING:
    from titan.fsm.queries import JobView, RunView
    from titan.sdk import AsyncClient

LOG_LINES_SHOWN: Final = 10  # of the first job that failed
FAILED_SHOWN_MAX: Final = 20

_file = click.argument(
    "file", type=click.Path(exists=True, dir_okay=False, path_type=Path), metavar="FILE"
)
_params = click.option(
    "--param",
    "pairs",
    multiple=True,
    metavar="NAME=VALUE",
    help="Set a parameter of the pipeline; may be repeated.",
)


@click.command()
@_file
@_params
@labels_option("Label the run, beside the file's labels; may be repeated.")
@masters_option()
@json_option()
def deploy(
    *,
    file: Path,
    pairs: tuple[str, ...],
    labels: dict[str, str],
    masters: ask.Masters,
    as_json: bool,
) -> None:
    """Submit the pipeline in FILE and print the id of its run.

    A file with a schedule is saved under its name and scheduled instead of being run at once.
    """
    from titan.spec.yaml_file import load_pipeline

    parameters = read_parameters(file, pairs)
    spec = load_pipeline(file).spec
    if spec.schedule is not None:
        from titan.cli.schedules import schedule_file

        schedule_file(spec, file, parameters, labels, masters=masters, as_json=as_json)
        return

    async def work(client: AsyncClient) -> str:
        return str(await client.submit_yaml(file, parameters=parameters, labels=labels))

    run_id = ask.run(masters, work)
    if as_json:
        output.print_json({"run": run_id})
    else:
        click.echo(run_id)


@click.command()
@_file
@_params
@labels_option("Label the run, beside the file's labels; may be repeated.")
@masters_option()
@json_option()
def run(
    *,
    file: Path,
    pairs: tuple[str, ...],
    labels: dict[str, str],
    masters: ask.Masters,
    as_json: bool,
) -> int:
    """Submit the pipeline in FILE, show its progress, and exit with 0 only if it is COMPLETED.

    Without --masters, and with no cluster reachable, it starts an embedded one for this run.
    Ctrl-C leaves the run to the cluster; `titan cancel RUN` ends it.
    """
    parameters = read_parameters(file, pairs)
    # SIGTERM ends this command as Ctrl-C does: whatever it has started is stopped.
    signal.signal(signal.SIGTERM, signal.default_int_handler)

    brings_own = masters is None and not asyncio.run(ask.anyone_listens(first_masters(None)))

    async def work(client: AsyncClient) -> int:
        return await submit_and_follow(
            client, file, parameters, labels, as_json=as_json, outlives_us=not brings_own
        )

    if brings_own:
        with embedded() as addresses:
            return ask.run(addresses, work)
    return ask.run(masters, work)


@contextmanager
def embedded() -> Iterator[tuple[str, ...]]:
    """One master and one worker for one run; their data goes when it ends."""
    from titan.cli.local import LocalCluster, quiet_ports
    from titan.cli.up import wait_ready

    click.echo("no cluster is reachable: starting an embedded one for this run", err=True)
    data = Path(tempfile.mkdtemp(prefix="titan-run-"))
    cluster = LocalCluster(data, masters=1, workers=1, slots=embedded_slots(), ports=quiet_ports(1))
    try:
        cluster.start()
        asyncio.run(wait_ready(cluster, stop=asyncio.Event()))
        yield cluster.addresses
    finally:
        cluster.stop()
        shutil.rmtree(data, ignore_errors=True)


def embedded_slots() -> int:
    """As many jobs at once as there are CPUs, and at least two."""
    import os

    return max(2, os.cpu_count() or 2)


def read_parameters(file: Path, pairs: tuple[str, ...]) -> dict[str, Parameter]:
    """`--param` values as the file declares them. Raises `UserError` with everything that is wrong."""
    if not pairs:
        return {}
    from titan.spec.inputs import fill
    from titan.spec.yaml_file import load_pipeline

    values, wrong = fill(load_pipeline(file).spec.inputs, read_pairs(pairs), complete=False)
    if wrong:
        raise InvalidSpec(problems=tuple(f"--param {one}" for one in wrong))
    return values


def read_pairs(pairs: tuple[str, ...], *, option: str = "--param") -> dict[str, Parameter]:
    """`NAME=VALUE` pairs as text: what they mean is known where they are declared."""
    given: dict[str, Parameter] = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals:
            raise UserError(f"{option} {pair!r} is not NAME=VALUE")
        given[name] = text
    return given


async def submit_and_follow(
    client: AsyncClient,
    file: Path,
    parameters: Mapping[str, Parameter],
    labels: Mapping[str, str],
    *,
    as_json: bool,
    outlives_us: bool,
) -> int:
    """Submit, show progress until the run has ended, tell how; 0 only if it is COMPLETED."""
    handle = await client.submit_yaml(file, parameters=parameters, labels=labels)
    return await follow_to_the_end(client, handle.id, as_json=as_json, outlives_us=outlives_us)


async def follow_to_the_end(
    client: AsyncClient, run_id: RunId, *, as_json: bool, outlives_us: bool
) -> int:
    """Show progress until the run has ended, tell how; 0 only if it is COMPLETED."""
    try:
        await follow(client, run_id, quiet=as_json)
    except asyncio.CancelledError:
        if outlives_us:
            click.echo(f"run {run_id} goes on; `titan cancel {run_id}` ends it", err=True)
        raise
    view = await client.get_run(run_id)
    jobs = await client.list_jobs(run_id)
    if as_json:
        from titan.cli.jobs import job_json
        from titan.cli.runs import run_json

        output.print_json({**run_json(view), "list": [job_json(job) for job in jobs]})
    else:
        await tell_end(client, view, jobs)
    return 0 if view.state == "COMPLETED" else 1


async def follow(client: AsyncClient, run_id: RunId, *, quiet: bool) -> None:
    """Show the run's progress until it has ended."""
    if quiet:
        await client.wait(run_id)
        return
    from titan.cli.progress import progress

    console = output.console()
    with progress(console, names=await ask.worker_names(client)) as shown:
        shown.say(f"run [bold]{run_id}[/]")
        async for change in client.watch_run(run_id):
            shown.update(change.run, change.jobs)


async def tell_end(client: AsyncClient, view: RunView, jobs: list[JobView]) -> None:
    """The last lines: what failed, the end of the first failure's log, and the outcome."""
    console = output.console()
    failed = [job for job in jobs if job.state in ("FAILED", "DEAD")]
    for job in failed[:FAILED_SHOWN_MAX]:
        why = f": {output.plain(job.reason)}" if job.reason else ""
        console.print(f"{output.styled(job.state)} {job.id}{why}")
    if failed:
        await _show_log_end(client, failed[0])
    console.print(
        f"run {view.id} {output.styled(view.state)}: {output.count_words(view.jobs)}, "
        f"{output.took(view.created_ms, view.ended_ms)}"
    )


async def _show_log_end(client: AsyncClient, job: JobView) -> None:
    try:
        text = await client.fetch_logs(job.id, job.run)
    except TitanError as error:
        click.echo(f"(its log cannot be read now: {error})", err=True)
        return
    lines = text.splitlines()
    if not lines:
        return
    if len(lines) > LOG_LINES_SHOWN:
        click.echo(f"  … {len(lines) - LOG_LINES_SHOWN} lines before; `titan logs {job.id}`")
    for line in lines[-LOG_LINES_SHOWN:]:
        click.echo(f"  {line}")
