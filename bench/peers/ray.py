"""Ray: `ray.init(num_cpus=2)`; functions run in its worker processes, state is in memory."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import ray

from bench import program

SLOTS = 2


@ray.remote
def nothing() -> None:
    """Nothing."""


@ray.remote
def following(_before: object) -> None:
    """Nothing, after another."""


@ray.remote
def command(*argv: str) -> None:
    """Run a process."""
    subprocess.run(argv, check=True)


@ray.remote
def command_after(_before: object, *argv: str) -> None:
    """Run a process after another."""
    subprocess.run(argv, check=True)


def processes(sizes: Mapping[str, Any]) -> program.Figures:
    return {"per_s": _rate(sizes["jobs"], lambda: command.remote("true"))}


def scripts(sizes: Mapping[str, Any]) -> program.Figures:
    with TemporaryDirectory() as folder:
        script = Path(folder, "job.py")
        script.write_text(sizes["script"])
        return {"per_s": _rate(sizes["jobs"], lambda: command.remote(sys.executable, str(script)))}


def functions(sizes: Mapping[str, Any]) -> program.Figures:
    return {"per_s": _rate(sizes["jobs"], nothing.remote)}


def chain(sizes: Mapping[str, Any]) -> program.Figures:
    start, last = time.perf_counter(), nothing.remote()
    for _ in range(sizes["hops"] - 1):
        last = following.remote(last)
    ray.get(last)
    return {"ms_per_hop": (time.perf_counter() - start) * 1e3 / sizes["hops"]}


def process_chain(sizes: Mapping[str, Any]) -> program.Figures:
    start, last = time.perf_counter(), command.remote("true")
    for _ in range(sizes["hops"] - 1):
        last = command_after.remote(last, "true")
    ray.get(last)
    return {"ms_per_hop": (time.perf_counter() - start) * 1e3 / sizes["hops"]}


def one_function(sizes: Mapping[str, Any]) -> program.Figures:
    return _latency(sizes["ones"], lambda: ray.get(nothing.remote()))


def one_process(sizes: Mapping[str, Any]) -> program.Figures:
    return _latency(sizes["ones"], lambda: ray.get(command.remote("true")))


def _rate(count: int, start_one: Any) -> float:
    start = time.perf_counter()
    ray.get([start_one() for _ in range(count)])
    return count / (time.perf_counter() - start)


def _latency(count: int, action: Any) -> program.Figures:
    took = program.timed_ms(action, count)
    return {"p50_ms": program.percentile(took, 0.5), "p99_ms": program.percentile(took, 0.99)}


def _warm(measure: program.Measure) -> program.Measure:
    def run(sizes: Mapping[str, Any]) -> program.Figures:
        with TemporaryDirectory(prefix="ray-") as folder:
            ray.init(num_cpus=SLOTS, _temp_dir=folder)
            try:
                ray.get([command.remote("true") for _ in range(20)])
                return measure(sizes)
            finally:
                ray.shutdown()

    return run


if __name__ == "__main__":
    program.main(
        {
            "B1": _warm(processes),
            "B2": _warm(scripts),
            "B3": _warm(functions),
            "B4-functions": _warm(chain),
            "B4-true": _warm(process_chain),
            "B5-function": _warm(one_function),
            "B5-true": _warm(one_process),
        },
        versions=lambda: {"ray": ray.__version__},
    )
