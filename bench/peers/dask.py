"""Dask distributed: `LocalCluster` with two processes of one thread; state is in memory."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import distributed
from distributed import Client, LocalCluster

from bench import program

SLOTS = 2


def nothing(_before: object = None) -> None:
    """Nothing."""


def command(_before: object, *argv: str) -> None:
    """Run a process."""
    import subprocess  # the function travels by value

    subprocess.run(argv, check=True)


def processes(client: Client, sizes: Mapping[str, Any]) -> program.Figures:
    return _rate(client, sizes["jobs"], ("true",))


def scripts(client: Client, sizes: Mapping[str, Any]) -> program.Figures:
    with TemporaryDirectory() as folder:
        script = Path(folder, "job.py")
        script.write_text(sizes["script"])
        return _rate(client, sizes["jobs"], (sys.executable, str(script)))


def functions(client: Client, sizes: Mapping[str, Any]) -> program.Figures:
    start = time.perf_counter()
    client.gather(client.map(nothing, range(sizes["jobs"]), pure=False))
    return {"per_s": sizes["jobs"] / (time.perf_counter() - start)}


def chain(client: Client, sizes: Mapping[str, Any]) -> program.Figures:
    start, last = time.perf_counter(), None
    for _ in range(sizes["hops"]):
        last = client.submit(nothing, last, pure=False)
    last.result()
    return {"ms_per_hop": (time.perf_counter() - start) * 1e3 / sizes["hops"]}


def one_function(client: Client, sizes: Mapping[str, Any]) -> program.Figures:
    return _latency(sizes["ones"], lambda: client.submit(nothing, pure=False).result())


def one_process(client: Client, sizes: Mapping[str, Any]) -> program.Figures:
    return _latency(
        sizes["ones"], lambda: client.submit(command, None, "true", pure=False).result()
    )


def _rate(client: Client, count: int, argv: tuple[str, ...]) -> program.Figures:
    start = time.perf_counter()
    client.gather([client.submit(command, None, *argv, pure=False) for _ in range(count)])
    return {"per_s": count / (time.perf_counter() - start)}


def _latency(count: int, action: Any) -> program.Figures:
    took = program.timed_ms(action, count)
    return {"p50_ms": program.percentile(took, 0.5), "p99_ms": program.percentile(took, 0.99)}


def _warm(measure: Any) -> program.Measure:
    def run(sizes: Mapping[str, Any]) -> program.Figures:
        with (
            TemporaryDirectory() as folder,
            LocalCluster(
                n_workers=SLOTS,
                threads_per_worker=1,
                local_directory=folder,
                dashboard_address=":0",
            ) as cluster,
            Client(cluster) as client,
        ):
            client.gather(client.map(nothing, range(50), pure=False))
            return measure(client, sizes)

    return run


if __name__ == "__main__":
    program.main(
        {
            "B1": _warm(processes),
            "B2": _warm(scripts),
            "B3": _warm(functions),
            "B4-functions": _warm(chain),
            "B5-function": _warm(one_function),
            "B5-true": _warm(one_process),
        },
        versions=lambda: {"distributed": distributed.__version__},
    )
