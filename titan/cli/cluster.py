"""`titan cluster`: the masters."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from titan.cli import ask, output
from titan.cli.options import json_option, masters_option
from titan.fsm.queries import WorkerView
from titan.wire.messages import ClusterInfo

if TYPE_CHECKING:
    from titan.sdk import AsyncClient


@click.group()
def cluster() -> None:
    """Show the masters and who leads."""


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
        ("master", "address", "http", "role", "#term", "#applied"),
        [
            (
                master.id or "-",
                master.address,
                master.http or "-",
                output.styled(master.role),
                str(master.term),
                str(master.applied_index),
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
