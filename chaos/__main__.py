"""`python -m chaos`: list scenarios, run one, check a history, draw its report."""

from __future__ import annotations

import asyncio
import random
import signal
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import click

from chaos.checkers.everything import check
from chaos.history import load
from chaos.report.summary import last_line, summary
from chaos.report.write import write_report
from chaos.runner import Settings, run
from chaos.scenarios import SCENARIOS

VIOLATIONS_SHOWN_MAX = 20


@click.group()
def main() -> None:
    """Hurt a cluster of real processes while it works, and judge what it did."""


@main.command("list")
def list_scenarios() -> None:
    """Name the scenarios and their faults."""
    for scenario in SCENARIOS.values():
        click.echo(f"{scenario.name:18} {scenario.about}; {scenario.masters} masters")
        for lane in scenario.lanes:
            click.echo(f"{'':18}   {', '.join(lane)}")


@main.command("run")
@click.option(
    "--scenario", type=click.Choice(sorted(SCENARIOS)), default="mixed", show_default=True
)
@click.option("--seed", type=int, help="Of faults and clients.  [default: drawn]")
@click.option("--duration", type=float, default=60.0, show_default=True, help="Seconds of traffic.")
@click.option("--masters", type=click.IntRange(1, 9), help="[default: the scenario's, mostly 3]")
@click.option("--workers", type=click.IntRange(0, 20), default=2, show_default=True)
@click.option("--slots", type=click.IntRange(1, 64), default=4, show_default=True)
@click.option("--network", default="auto", show_default=True,
              type=click.Choice(["auto", "namespaces", "proxy", "plain"]))  # fmt: skip
@click.option("--rest-ms", type=float, default=10.0, show_default=True,
              help="What each client rests between two operations.")  # fmt: skip
@click.option("--out", type=click.Path(file_okay=False, path_type=Path),
              help="Where everything is kept.  [default: chaos-runs/SCENARIO-SEED-TIME]")  # fmt: skip
def run_scenario(
    *, scenario: str, seed: int | None, duration: float, masters: int | None, workers: int, slots: int,
    network: str, rest_ms: float, out: Path | None,
) -> None:  # fmt: skip
    """Run a scenario; exit code 0 only when every check held."""
    seed = random.randrange(10**6) if seed is None else seed
    masters = masters or SCENARIOS[scenario].masters
    settings = Settings(scenario, seed, duration, masters, workers, slots, network, rest_ms)
    out = (out or Path("chaos-runs") / f"{scenario}-{seed}-{int(time.time())}").resolve()
    if out.exists() and any(out.iterdir()):
        raise click.UsageError(f"{out} is not empty; a run starts with nothing")
    click.echo(f"seed {seed}; to repeat:\n  {settings.command}\nin {out}")
    try:
        asyncio.run(_until_told(run(settings, SCENARIOS[scenario], out=out)))
    finally:
        if (out / "history.jsonl").exists():
            clean = _judge(out / "history.jsonl", report=out)
    raise SystemExit(0 if clean else 1)


@main.command("check")
@click.argument("history", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def check_history(*, history: Path) -> None:
    """Judge a recorded history again."""
    raise SystemExit(0 if _judge(history, report=None) else 1)


@main.command("report")
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
def report(*, folder: Path) -> None:
    """Draw the report of a run again."""
    raise SystemExit(0 if _judge(folder / "history.jsonl", report=folder) else 1)


async def _until_told(work: Coroutine[Any, Any, None]) -> None:
    """SIGTERM ends a run like Ctrl-C: members, namespaces and mounts are taken away."""
    task = asyncio.ensure_future(work)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    await task


def _judge(path: Path, *, report: Path | None) -> bool:
    history = load(path)
    violations = check(history)
    if report is not None:
        click.echo(f"report: {', '.join(map(str, write_report(history, violations, report)))}")
    click.echo(summary(history, violations))
    for violation in violations[:VIOLATIONS_SHOWN_MAX]:
        click.echo(str(violation))
    click.echo(last_line(history, violations))
    return not violations


if __name__ == "__main__":
    main()
