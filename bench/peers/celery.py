"""Celery with Redis as broker and store of results: a prefork worker of two, started like a user's.

Redis runs with its built-in defaults: snapshots now and then, no append-only file, so a crash of it loses
what was written since.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import celery
from celery import Celery, chain, group

from bench import program

SLOTS = 2
PATIENCE_S = 60
URL = os.environ.get("BENCH_REDIS", "")
app = Celery("bench", broker=URL, backend=URL)


@app.task(name="nothing")
def nothing(_before: object = None) -> None:
    """Nothing."""


@app.task(name="command")
def command(_before: object, *argv: str) -> None:
    """Run a process."""
    subprocess.run(argv, check=True)


def processes(sizes: Mapping[str, Any]) -> program.Figures:
    return _rate(sizes["jobs"], command.si(None, "true"))


def scripts(sizes: Mapping[str, Any]) -> program.Figures:
    with TemporaryDirectory() as folder:
        script = Path(folder, "job.py")
        script.write_text(sizes["script"])
        return _rate(sizes["jobs"], command.si(None, sys.executable, str(script)))


def functions(sizes: Mapping[str, Any]) -> program.Figures:
    return _rate(sizes["jobs"], nothing.si())


def function_chain(sizes: Mapping[str, Any]) -> program.Figures:
    start = time.perf_counter()
    chain(*(nothing.s(*(() if n else (None,))) for n in range(sizes["hops"])))().get()
    return {"ms_per_hop": (time.perf_counter() - start) * 1e3 / sizes["hops"]}


def one_function(sizes: Mapping[str, Any]) -> program.Figures:
    return _latency(sizes["ones"], lambda: nothing.delay().get())


def one_process(sizes: Mapping[str, Any]) -> program.Figures:
    return _latency(sizes["ones"], lambda: command.delay(None, "true").get())


def _rate(count: int, one: Any) -> program.Figures:
    start = time.perf_counter()
    group(one for _ in range(count)).apply_async().get()
    return {"per_s": count / (time.perf_counter() - start)}


def _latency(count: int, action: Any) -> program.Figures:
    took = program.timed_ms(action, count)
    return {"p50_ms": program.percentile(took, 0.5), "p99_ms": program.percentile(took, 0.99)}


def _inside(measure: program.Measure) -> program.Measure:
    """Measure with a Redis and a worker of its own."""

    def run(sizes: Mapping[str, Any]) -> program.Figures:
        (port,) = program.free_ports(1)
        url = f"redis://127.0.0.1:{port}/0"
        app.conf.update(broker_url=url, result_backend=url)
        with TemporaryDirectory() as folder:
            redis = _start(["redis-server", "--port", str(port), "--bind", "127.0.0.1"], folder)
            argv = [sys.executable, "-P", "-m", "celery", "-A", "bench.peers.celery", "worker"]
            env = os.environ | {"BENCH_REDIS": url}
            worker = _start([*argv, "--concurrency", str(SLOTS)], folder, env=env)
            try:
                group(nothing.si() for _ in range(20)).apply_async().get(timeout=PATIENCE_S)
                return measure(sizes)
            finally:
                program.end(worker)
                program.end(redis)

    return run


def _start(
    argv: list[str], folder: str, env: Mapping[str, str] = os.environ
) -> subprocess.Popen[bytes]:
    with Path(folder, "log").open("ab") as log:
        return subprocess.Popen(argv, cwd=folder, env=env, stdout=log, stderr=log)


def _versions() -> Mapping[str, str]:
    told = subprocess.run(["redis-server", "--version"], capture_output=True, text=True, check=True)
    return {"celery": celery.__version__, "redis": told.stdout.split("v=")[1].split()[0]}


if __name__ == "__main__":
    program.main(
        {
            "B1": _inside(processes),
            "B2": _inside(scripts),
            "B3": _inside(functions),
            "B4-functions": _inside(function_chain),
            "B5-function": _inside(one_function),
            "B5-true": _inside(one_process),
        },
        versions=_versions,
    )
