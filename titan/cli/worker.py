"""`titan worker`: one worker in this process."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from titan.cli import output, process
from titan.cli.isolation import isolation_options
from titan.cli.options import lifeline_option, log_level_option, masters_option
from titan.config import DEFAULT_LISTEN
from titan.limits import CHECKPOINT_PERIOD_S, SLOTS_PER_WORKER_MAX
from titan.spec.model import DEFAULT_CAPABILITY

if TYPE_CHECKING:
    from titan.exec.config import WorkerConfig


@click.command()
@masters_option()
@click.option("--capability", "capabilities", multiple=True, metavar="TAG",
              help=f"What it can do besides {DEFAULT_CAPABILITY}; may be repeated.")  # fmt: skip
@click.option("--slots", type=click.IntRange(1, SLOTS_PER_WORKER_MAX), default=os.cpu_count() or 1,
              help="How many jobs at once.  [default: one per CPU]")  # fmt: skip
@click.option("--data", required=True, metavar="DIR",
              help="Its id, its outbox, logs and workspaces.",
              type=click.Path(file_okay=False, path_type=Path))  # fmt: skip
@click.option("--checkpoint-every", "checkpoint_s", type=click.FloatRange(min=0.1),
              default=CHECKPOINT_PERIOD_S, show_default=True, metavar="SECONDS",
              help="How often changed checkpoints are published.")  # fmt: skip
@click.option("--name", default="", help="For people.  [default: the host's name]")
@click.option("--python", default=sys.executable, metavar="PATH",
              help="Runs .py files of jobs that name none.  [default: Titan's own]",
              type=click.Path(exists=True, dir_okay=False))  # fmt: skip
@isolation_options()
@click.option("--check", is_flag=True,
              help="Say what this machine can do for jobs, and exit.")  # fmt: skip
@log_level_option()
@lifeline_option()
def worker(
    *,
    masters: tuple[str, ...] | None,
    capabilities: tuple[str, ...],
    slots: int,
    data: Path,
    checkpoint_s: float,
    name: str,
    python: str,
    check: bool,
    log_level: str,
    die_with_parent: int,
    **isolation: Any,
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

    config = WorkerConfig(
        masters=masters or (DEFAULT_LISTEN,),
        capabilities=capabilities,
        slots=slots,
        data_dir=data,
        checkpoint_s=checkpoint_s,
        name=name,
        python=python,
        **isolation,
    )
    if check:
        _show_what_it_can(config)
        return
    agent = Worker(config)

    async def service(stop: asyncio.Event) -> None:
        running = asyncio.create_task(agent.run(), name="worker")
        asked = asyncio.create_task(stop.wait(), name="stop")
        await asyncio.wait((running, asked), return_when=asyncio.FIRST_COMPLETED)
        if not running.done():
            await agent.stop()
        asked.cancel()
        await running

    process.serve(service)


def _show_what_it_can(config: WorkerConfig) -> None:
    from titan.exec.isolation.detect import detect, report

    techniques = detect(config, worker="check", data_dir=config.data_dir)
    techniques.cgroups.close()
    output.print_table(("for jobs", "available", "how, or why not"), report(techniques), empty="")
