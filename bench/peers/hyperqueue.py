"""HyperQueue: its Python `LocalCluster`, one worker with two cores; state is in memory by default.

Its client asks every second whether a job has ended. So the end is taken to be when the last task began,
which the files of their output tell; a little in its favour.
"""

from __future__ import annotations

import importlib.metadata
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hyperqueue import Job, LocalCluster
from hyperqueue.cluster import WorkerConfig

from bench import program

SLOTS = 2


def processes(client: Any, sizes: Mapping[str, Any]) -> program.Figures:
    return {"per_s": sizes["jobs"] / _run_s(client, ["true"], count=sizes["jobs"])}


def scripts(client: Any, sizes: Mapping[str, Any]) -> program.Figures:
    with TemporaryDirectory() as folder:
        script = Path(folder, "job.py")
        script.write_text(sizes["script"])
        took_s = _run_s(client, [sys.executable, str(script)], count=sizes["jobs"])
    return {"per_s": sizes["jobs"] / took_s}


def chain(client: Any, sizes: Mapping[str, Any]) -> program.Figures:
    took_s = _run_s(client, ["true"], count=sizes["hops"], is_chain=True)
    return {"ms_per_hop": took_s * 1e3 / sizes["hops"]}


def _run_s(client: Any, argv: list[str], *, count: int, is_chain: bool = False) -> float:
    with TemporaryDirectory() as folder:
        job = Job(default_workdir=folder)
        before: tuple[Any, ...] = ()
        for _ in range(count):
            task = job.program(argv, deps=before)
            before = (task,) if is_chain else ()
        start = time.time()
        client.wait_for_jobs([client.submit(job)])
        outputs = [path for path in Path(folder).rglob("*") if path.is_file()]
        assert len(outputs) >= count, len(outputs)
        return max(path.stat().st_mtime for path in outputs) - start


def _warm(measure: Any) -> program.Measure:
    def run(sizes: Mapping[str, Any]) -> program.Figures:
        with (
            TemporaryDirectory() as folder,
            LocalCluster(folder, WorkerConfig(cores=SLOTS)) as cluster,
        ):
            client = cluster.client()
            _run_s(client, ["true"], count=20)
            return measure(client, sizes)

    return run


if __name__ == "__main__":
    program.main(
        {"B1": _warm(processes), "B2": _warm(scripts), "B4-true": _warm(chain)},
        versions=lambda: {"hyperqueue": importlib.metadata.version("hyperqueue")},
    )
