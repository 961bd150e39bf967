"""`titan up`: a whole cluster on this machine, watched until it is told to stop."""

from __future__ import annotations

import asyncio
import json
import os
import time
from pathlib import Path
from typing import Final

import click

from titan.cli import ask, output, process
from titan.cli.local import LocalCluster, Member, free_ports, is_free
from titan.cli.options import json_option
from titan.errors import Fatal, UserError

READY_TIMEOUT_S: Final = 30.0
WATCH_EVERY_S: Final = 0.2


@click.command()
@click.option("--masters", type=click.IntRange(1, 9), default=3, show_default=True,
              help="How many masters; an odd number.")  # fmt: skip
@click.option("--workers", type=click.IntRange(0, 64), default=2, show_default=True,
              help="How many workers.")  # fmt: skip
@click.option("--slots", type=click.IntRange(1, 4096), default=max(2, (os.cpu_count() or 2) // 2),
              show_default=True, help="Jobs at once on each worker.")  # fmt: skip
@click.option("--data", default=".titan", show_default=True, metavar="DIR",
              help="Where everything is kept; start again with the same to go on.",
              type=click.Path(file_okay=False, path_type=Path))  # fmt: skip
@json_option()
def up(*, masters: int, workers: int, slots: int, data: Path, as_json: bool) -> None:
    """Start a whole cluster on this machine, as separate processes. Ctrl-C stops all of them.

    Masters take ports 9090, 9092, 9094 and, for HTTP, 9080, 9082, 9084, or the next free ones.
    """
    if masters % 2 == 0:
        raise UserError(
            f"{masters} masters survive no more losses than {masters - 1}",
            hint=f"use --masters {masters - 1} or --masters {masters + 1}",
        )
    home = data.resolve()
    cluster = LocalCluster(
        home, masters=masters, workers=workers, slots=slots, ports=remembered_ports(home, masters)
    )

    async def service(stop: asyncio.Event) -> None:
        try:
            cluster.start()
            await wait_ready(cluster, stop=stop)
            if not stop.is_set():
                announce(cluster, as_json=as_json)
            await watch(cluster, stop=stop)
        finally:
            click.echo("stopping …", err=True)
            cluster.stop()

    process.serve(service, use_uvloop=False)


def remembered_ports(home: Path, masters: int) -> list[tuple[int, int]]:
    """The ports this data was made with, since they are the masters' names; else free ones, noted down."""
    note = home / "ports.json"
    if note.exists():
        known = [(int(one), int(two)) for one, two in json.loads(note.read_text())]
        if len(known) != masters:
            raise UserError(
                f"{home} holds a cluster of {len(known)} masters, not {masters}",
                hint=f"use --masters {len(known)}, or another --data",
            )
        taken = [port for pair in known for port in pair if not is_free(port)]
        if taken:
            raise UserError(
                f"port {taken[0]}, which the cluster in {home} was made with, is taken",
                hint="stop who has it (another titan up?), or use another --data",
            )
        return known
    chosen = free_ports(masters)
    try:
        home.mkdir(parents=True, exist_ok=True)
        note.write_text(json.dumps(chosen))
    except OSError as error:
        raise UserError(f"cannot write to {home}: {error.strerror}") from None
    return chosen


async def wait_ready(cluster: LocalCluster, *, stop: asyncio.Event) -> None:
    """Until a leader serves and every worker has joined, or `stop`. Raises `Fatal` when a member dies."""
    deadline = time.monotonic() + READY_TIMEOUT_S
    while not stop.is_set():
        refuse_dead(cluster)
        if await ask.is_ready(cluster.addresses, workers=len(cluster.workers)):
            return
        if time.monotonic() > deadline:
            raise Fatal(
                f"the cluster was not ready after {READY_TIMEOUT_S:.0f} s",
                hint=f"see the logs in {cluster.data}",
            )
        await pause(stop, timeout_s=0.05)


def refuse_dead(cluster: LocalCluster) -> None:
    """Raise `Fatal` with the last words of a member that ended while the cluster was starting."""
    for member in cluster.dead():
        raise Fatal(
            f"{member.name} ended with {ending(member)}:\n{member.last_words(lines=8)}",
            hint=f"its log is {member.log}",
        )


async def watch(cluster: LocalCluster, *, stop: asyncio.Event) -> None:
    """Until `stop`: say when a member dies. The rest goes on without it, as long as a majority lives."""
    told: set[str] = set()
    while not stop.is_set():
        for member in cluster.dead():
            if member.name not in told:
                told.add(member.name)
                verb = "has left" if member.exit_code == 0 else "died"
                click.echo(f"{member.name} {verb}: {ending(member)}; log: {member.log}", err=True)
        if len(told) == len(cluster.members):
            raise Fatal("every process of the cluster has ended", hint=f"logs: {cluster.data}")
        await pause(stop, timeout_s=WATCH_EVERY_S)


def announce(cluster: LocalCluster, *, as_json: bool) -> None:
    """Say where everything is."""
    if as_json:
        output.print_json(
            {
                "masters": [{"address": m.address, "http": m.http} for m in cluster.masters],
                "workers": [m.name for m in cluster.workers],
                "data": str(cluster.data),
            }
        )
        return
    for member in cluster.masters:
        click.echo(f"{member.name}  {member.address}  http://{member.http}  pid {member.pid}")
    for member in cluster.workers:
        click.echo(f"{member.name}  pid {member.pid}")
    click.echo(f"data and logs: {cluster.data}")
    click.echo(f"ready: export TITAN_MASTERS={','.join(cluster.addresses)}")


def ending(member: Member) -> str:
    """How a member ended, in words."""
    code = member.exit_code or 0
    return f"signal {-code}" if code < 0 else f"exit code {code}"


async def pause(stop: asyncio.Event, *, timeout_s: float) -> None:
    """Wait for `stop`, but not longer than that."""
    try:
        async with asyncio.timeout(timeout_s):
            await stop.wait()
    except TimeoutError:
        return
