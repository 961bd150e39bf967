"""`titan cluster`: the masters."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click
import msgspec

from titan.cli import ask, output
from titan.cli.options import json_option, masters_option
from titan.config import DEFAULT_LISTEN, split_address
from titan.errors import ConnectionLost, Unavailable, UserError
from titan.fsm.queries import WorkerView
from titan.limits import BLOB_LEASE_MS_MIN
from titan.sdk import given
from titan.sdk.discovery import first_masters
from titan.wire.messages import (
    AddMaster,
    ClusterInfo,
    GetSnapshot,
    LeaderNamed,
    MasterInfo,
    Message,
    RemoveMaster,
    SnapshotTaken,
    TakeSnapshot,
    TransferLeadership,
)

if TYPE_CHECKING:
    from titan.fsm.records.retention import Retention
    from titan.sdk import AsyncClient
    from titan.sdk.transport import Transport

SNAPSHOT_TIMEOUT_S: Final = 150.0


@click.group()
def cluster() -> None:
    """Show the masters and who leads; add, remove and relieve them; back up and restore."""


@cluster.command()
@masters_option()
@json_option()
def status(*, masters: ask.Masters, as_json: bool) -> None:
    """Show masters with their role, and workers."""
    info, workers = ask.run(masters, look)
    if as_json:
        output.print_json(cluster_json(info, workers))
        return
    click.echo(f"cluster {info.cluster_id or '(not formed yet)'}")
    output.print_table(
        ("master", "address", "http", "role", "member", "#term", "#applied", "#behind"),
        [
            (
                master.id or "-",
                master.address,
                master.http or "-",
                output.styled(master.role),
                "learner" if master.is_learner else "voter",
                str(master.term),
                str(master.applied_index),
                _behind(master, info),
            )
            for master in info.masters
        ],
        empty="no masters",
    )
    click.echo()
    output.print_table(
        ("worker", "name", "state", "capabilities", "#running", "#slots"),
        [
            (
                worker.id,
                output.plain(worker.name),
                output.styled(worker.state),
                ", ".join(worker.capabilities),
                str(worker.running),
                str(worker.slots),
            )
            for worker in workers
        ],
        empty="no workers",
    )


def _behind(master: MasterInfo, info: ClusterInfo) -> str:
    if master.role == "down":
        return "-"
    return str(max(each.applied_index for each in info.masters) - master.applied_index)


@cluster.command()
@click.argument("address")
@masters_option()
def add(*, address: str, masters: ask.Masters) -> None:
    """Let the master at ADDRESS in; it was started with --join and counts once it has caught up."""
    split_address(address)
    tell(masters, AddMaster(address=address, who=given.who("cli")))
    click.echo(f"{address} is let in and catches up")


@cluster.command()
@click.argument("address")
@masters_option()
def remove(*, address: str, masters: ask.Masters) -> None:
    """Take the master at ADDRESS out for good; its process ends by itself.

    \b
    A master whose disk was lost is replaced:
      titan cluster remove ADDRESS
      titan node --listen ADDRESS --data NEW --join …
    """
    split_address(address)
    tell(masters, RemoveMaster(address=address, who=given.who("cli")))
    click.echo(f"{address} was removed")


@cluster.command()
@click.argument("address", required=False, default="")
@masters_option()
def transfer(*, address: str, masters: ask.Masters) -> None:
    """Hand the leadership over, to ADDRESS or to whoever has caught up most. Nothing fails meanwhile."""
    answer = tell(masters, TransferLeadership(address=address, who=given.who("cli")))
    assert isinstance(answer, LeaderNamed)
    click.echo(f"{answer.address} leads")


@cluster.command()
@click.option("--output", "target", type=click.Path(dir_okay=False, path_type=Path),
              help="Where to keep a copy here: a backup of the state, without the blobs.")  # fmt: skip
@masters_option()
def snapshot(*, target: Path | None, masters: ask.Masters) -> None:
    """Write a snapshot of the state now, and get a copy of it."""
    if target is None:
        taken = tell(masters, TakeSnapshot(), timeout_s=SNAPSHOT_TIMEOUT_S)
    else:
        taken = asyncio.run(_download(masters, target))
    assert isinstance(taken, SnapshotTaken)
    where = f" to {target}" if target is not None else " at the leader"
    click.echo(f"{taken.name}: {taken.size} bytes{where}")


@cluster.command()
@click.option("--runs", type=click.IntRange(min=0), help="The newest finished runs that are kept.")
@click.option("--jobs", type=click.IntRange(min=0), help="Jobs of all of them together.")
@click.option("--for", "keep_s", type=click.FloatRange(min=0), metavar="SECONDS",
              help="Since the end of a run.")  # fmt: skip
@click.option("--files-for", "files_s", metavar="SECONDS",
              type=click.FloatRange(min=BLOB_LEASE_MS_MIN / 1000),
              help="For files that nothing refers to, since their upload.")  # fmt: skip
@masters_option()
@json_option()
def retention(
    *, runs: int | None, jobs: int | None, keep_s: float | None, files_s: float | None,
    masters: ask.Masters, as_json: bool,
) -> None:  # fmt: skip
    """Show how long what has ended is kept, or change it: what is not named stays as it is.

    \b
    titan cluster retention --runs 1000 --jobs 100000 --for 86400
    """

    async def work(client: AsyncClient) -> Retention:
        if {runs, jobs, keep_s, files_s} == {None}:
            return await client.get_retention()
        return await client.set_retention(runs=runs, jobs=jobs, keep_s=keep_s, files_s=files_s)

    policy = ask.run(masters, work)
    if as_json:
        output.print_json(msgspec.to_builtins(policy))
        return
    click.echo(
        f"finished runs      the newest {policy.runs_max}, of at most {policy.jobs_max} jobs"
    )
    click.echo(f"after their end    {policy.keep_ms / 1000:g} s")
    click.echo(f"unreferenced files {policy.lease_ms / 1000:g} s")


@cluster.command()
@click.argument("backup", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--data", required=True, metavar="DIR", help="The data directory to make.",
              type=click.Path(file_okay=False, path_type=Path))  # fmt: skip
@click.option("--listen", default=DEFAULT_LISTEN, show_default=True, metavar="H:P",
              help="Address of the master that will use it.")  # fmt: skip
def restore(*, backup: Path, data: Path, listen: str) -> None:
    """Make the data directory of a new cluster of one from BACKUP; other masters then join it.

    \b
    titan cluster restore backup.titan --data DIR
    titan node --data DIR
    """
    from titan.consensus.disk import OsDisk
    from titan.consensus.restore import restore as make
    from titan.master.identity import load_identity

    split_address(listen)
    if data.exists() and any(data.iterdir()):
        raise UserError(f"{data} is not empty", hint="choose a directory that no master has used")
    identity = load_identity(data, address=listen)
    place = make(
        OsDisk(), backup, directory=data / "raft", address=listen, member_id=identity.member_id
    )
    click.echo(f"{data} holds the state as of entry {place.index}")
    click.echo(f"start it: titan node --listen {listen} --data {data}")


def tell(masters: ask.Masters, message: Message, *, timeout_s: float = ask.DEADLINE_S) -> Message:
    """One request to the cluster, through elections."""
    return asyncio.run(_tell(masters, message, timeout_s=timeout_s))


async def _tell(masters: ask.Masters, message: Message, *, timeout_s: float) -> Message:
    transport = await _transport(masters)
    try:
        return await transport.call(message, timeout_s=timeout_s)
    finally:
        await transport.close()


async def _download(masters: ask.Masters, target: Path) -> SnapshotTaken:
    """The file appears under its name only when it is whole."""
    part = target.with_name(target.name + ".part")
    transport = await _transport(masters)
    size = 0
    try:
        with part.open("wb") as file:
            async for piece in transport.stream(GetSnapshot, timeout_s=SNAPSHOT_TIMEOUT_S):
                if isinstance(piece, SnapshotTaken):
                    taken = piece
                elif isinstance(piece, bytes):
                    size += file.write(piece)
            file.flush()
            os.fsync(file.fileno())
        if size != taken.size:
            raise ConnectionLost("the download was cut in the middle; try again")
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
        await transport.close()
    return taken


async def _transport(masters: ask.Masters) -> Transport:
    from titan.sdk.transport import Transport

    addresses = first_masters(masters)
    if not await ask.anyone_listens(addresses):
        raise Unavailable(f"no master answers at {', '.join(addresses)}")
    return Transport(addresses, client_id="cluster", deadline_s=ask.DEADLINE_S)


async def look(client: AsyncClient) -> tuple[ClusterInfo, list[WorkerView]]:
    """The masters as the asked one sees them, and the workers; without a leader, no workers."""
    info = await client.cluster_info()
    if not info.leader:
        return info, []
    return info, await client.list_workers()


def cluster_json(info: ClusterInfo, workers: list[WorkerView]) -> dict[str, object]:
    """The published shape of a cluster."""
    return {
        "cluster_id": info.cluster_id,
        "masters": [
            {
                "id": master.id,
                "address": master.address,
                "http": master.http,
                "role": master.role,
                "term": master.term,
                "applied_index": master.applied_index,
                "member": "learner" if master.is_learner else "voter",
            }
            for master in info.masters
        ],
        "workers": [
            {
                "id": worker.id,
                "state": worker.state,
                "capabilities": worker.capabilities,
                "slots": worker.slots,
                "running": worker.running,
            }
            for worker in workers
        ],
    }
