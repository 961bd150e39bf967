"""`titan worker`: one worker in this process."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import click

from titan.cli import process
from titan.cli.options import lifeline_option, log_level_option, masters_option
from titan.config import DEFAULT_LISTEN
from titan.limits import SLOTS_PER_WORKER_MAX
from titan.spec.model import DEFAULT_CAPABILITY


@click.command()
@masters_option()
@click.option("--capability", "capabilities", multiple=True, metavar="TAG",
              help=f"What it can do besides {DEFAULT_CAPABILITY}; may be repeated.")  # fmt: skip
@click.option("--slots", type=click.IntRange(1, SLOTS_PER_WORKER_MAX), default=os.cpu_count() or 1,
              help="How many jobs at once.  [default: one per CPU]")  # fmt: skip
@click.option("--data", required=True, metavar="DIR",
              help="Its id, its outbox, logs and workspaces.",
              type=click.Path(file_okay=False, path_type=Path))  # fmt: skip
@click.option("--name", default="", help="For people.  [default: the host's name]")
@log_level_option()
@lifeline_option()
def worker(
    *,
    masters: tuple[str, ...] | None,
    capabilities: tuple[str, ...],
    slots: int,
    data: Path,
    name: str,
    log_level: str,
    die_with_parent: int,
) -> None:
    """Start one worker. It dials the masters; nothing dials it. SIGTERM or Ctrl-C stops its jobs too.

    \b
    titan worker --masters 10.0.0.1:9090,10.0.0.2:9090 --capability GPU --slots 4 \\
                 --data /var/lib/titan-worker
    """
    process.set_up_logging(log_level)
    process.die_with_parent(die_with_parent)

    from titan.exec.config import WorkerConfig
    from titan.exec.worker import Worker

    agent = Worker(
        WorkerConfig(
            masters=masters or (DEFAULT_LISTEN,),
            capabilities=capabilities,
            slots=slots,
            data_dir=data,
            name=name,
        )
    )

    async def service(stop: asyncio.Event) -> None:
        running = asyncio.create_task(agent.run(), name="worker")
        asked = asyncio.create_task(stop.wait(), name="stop")
        await asyncio.wait((running, asked), return_when=asyncio.FIRST_COMPLETED)
        if not running.done():
            await agent.stop()
        asked.cancel()
        await running

    process.serve(service)
