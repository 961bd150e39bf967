"""`titan worker`: one worker in this process."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from titan.cli import output, process
from titan.cli.isolation import isolation_options
from titan.cli.keeping import keeping_options
from titan.cli.options import (
    amounts,
    lifeline_option,
    log_level_option,
    masters_option,
    seconds_option,
    service_ports_option,
)
from titan.config import DEFAULT_LISTEN
from titan.limits import CHECKPOINT_PERIOD_S, MIB, SLOTS_PER_WORKER_MAX
from titan.spec.model import DEFAULT_CAPABILITY

if TYPE_CHECKING:
    from titan.exec.config import WorkerConfig
    from titan.exec.worker import Worker


@click.command()
@masters_option()
@click.option("--capability", "capabilities", multiple=True, metavar="TAG",
              help=f"What it can do besides {DEFAULT_CAPABILITY}; may be repeated.")  # fmt: skip
@click.option("--slots", type=click.IntRange(1, SLOTS_PER_WORKER_MAX), default=None,
              help="How many jobs at once.  [default: one per CPU that it may use]")  # fmt: skip
@click.option("--resource", "resources", multiple=True, metavar="NAME=N", callback=amounts,
              help="What it offers, in place of what is detected: cpus, memory_mb, gpus, …")  # fmt: skip
@click.option("--data", required=True, metavar="DIR",
              help="Its id, its outbox, logs and workspaces.",
              type=click.Path(file_okay=False, path_type=Path))  # fmt: skip
@click.option("--advertise", default="127.0.0.1", show_default=True, metavar="HOST",
              help="Where others reach the services that run here.")  # fmt: skip
@service_ports_option()
@seconds_option("--checkpoint-every", "checkpoint_s", default=CHECKPOINT_PERIOD_S, least=0.1,
                about="How often changed checkpoints are published.")  # fmt: skip
@click.option("--name", default="", help="For people.  [default: the host's name]")
@click.option("--python", default=sys.executable, metavar="PATH",
              help="Runs .py files of jobs that name none.  [default: Titan's own]",
              type=click.Path(exists=True, dir_okay=False))  # fmt: skip
@isolation_options()
@keeping_options()
@click.option("--check", is_flag=True,
              help="Say what this machine can do for jobs, and exit.")  # fmt: skip
@click.option("--ephemeral", is_flag=True, help="Leave when it has been idle for long.")
@click.option("--idle-timeout", "idle_s", type=click.FloatRange(min=0), default=0, metavar="SECONDS",
              help="How long, for --ephemeral.  [default: its pool's, or 300]")  # fmt: skip
@seconds_option("--drain-timeout", "drain_s", default=20.0,
                about="After SIGTERM, how long jobs may take to end.")  # fmt: skip
@click.option("--launch", default="", hidden=True)
@click.option("--launched-in", hidden=True, type=click.Path(file_okay=False, path_type=Path))
@log_level_option()
@lifeline_option()
def worker(
    *,
    masters: tuple[str, ...] | None,
    capabilities: tuple[str, ...],
    slots: int | None,
    resources: dict[str, int],
    data: Path,
    advertise: str,
    service_ports: tuple[int, int],
    checkpoint_s: float,
    name: str,
    python: str,
    check: bool,
    ephemeral: bool,
    idle_s: float,
    drain_s: float,
    launch: str,
    launched_in: Path | None,
    log_level: str,
    die_with_parent: int,
    logs_max: int,
    logs_mb: int,
    files_mb: int,
    bundles_mb: int,
    **isolation: Any,
) -> None:
    """Start one worker. It dials the masters; nothing dials it.

    SIGTERM drains it: it takes nothing more and leaves when its jobs have ended, or have been killed
    after --drain-timeout; those run elsewhere. Ctrl-C kills its jobs at once.

    \b
    titan worker --masters 10.0.0.1:9090,10.0.0.2:9090 --capability GPU --slots 4 \\
                 --data /var/lib/titan-worker
    """
    process.set_up_logging(log_level)
    process.die_with_parent(die_with_parent)
    if launched_in is not None:
        _tell_launcher(launched_in)

    from titan.exec.config import WorkerConfig
    from titan.exec.host import default_slots

    config = WorkerConfig(
        masters=masters or (DEFAULT_LISTEN,),
        capabilities=capabilities,
        slots=slots or default_slots(),
        data_dir=data,
        checkpoint_s=checkpoint_s,
        name=name,
        advertise=advertise,
        service_ports=service_ports,
        python=python,
        resources=resources,
        ephemeral=ephemeral,
        idle_ms=int(idle_s * 1000),
        launch=launch,
        logs_max=logs_max,
        logs_bytes_max=logs_mb * MIB,
        files_bytes_max=files_mb * MIB,
        bundles_bytes_max=bundles_mb * MIB,
        **isolation,
    )
    if check:
        _show_what_it_can(config)
        return
    _work(config, drain_s=drain_s)


def _tell_launcher(folder: Path) -> None:
    """The master that launched it may have died before it noted this process down."""
    from titan.master.providers.local import Folder

    Folder(folder).note(os.getpid())


def _show_what_it_can(config: WorkerConfig) -> None:
    from titan.exec.isolation.detect import detect, report

    techniques = detect(config, worker="check", data_dir=config.data_dir)
    techniques.cgroups.close()
    output.print_table(("for jobs", "available", "how, or why not"), report(techniques), empty="")


def _work(config: WorkerConfig, *, drain_s: float) -> None:
    """Run the worker until a signal or until it leaves by itself."""
    from titan.exec.worker import Worker

    agent = Worker(config)

    async def service(stop: process.Stop) -> None:
        running = asyncio.create_task(agent.run(), name="worker")
        asked = asyncio.create_task(stop.wait(), name="stop")
        await asyncio.wait((running, asked), return_when=asyncio.FIRST_COMPLETED)
        if not running.done():
            await _leave(agent, drain_s=drain_s if stop.number == signal.SIGTERM else 0)
        asked.cancel()
        await running

    process.serve(service)


async def _leave(agent: Worker, *, drain_s: float) -> None:
    """Let jobs end for so long, then end them; they run elsewhere without spending a retry."""
    if drain_s > 0:
        try:
            async with asyncio.timeout(drain_s):
                await agent.stop(drain=True)
        except TimeoutError:
            pass
    await agent.stop()
