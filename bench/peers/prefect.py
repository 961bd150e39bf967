"""Prefect: a flow against its own temporary server, whose SQLite file is a temporary one.

Tasks run in threads of the flow's process: it is asked for functions only. Its figure leaves out the
start and the end of the flow.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Mapping
from typing import Any

os.environ.setdefault("PREFECT_HOME", tempfile.mkdtemp(prefix="prefect-"))

import prefect
from prefect import flow, task

from bench import program


@task
def nothing(_before: object = None) -> None:
    """Nothing."""


def functions(sizes: Mapping[str, Any]) -> program.Figures:
    count = sizes["jobs"]

    @flow
    def calls() -> float:
        for one in [nothing.submit() for _ in range(20)]:
            one.result()
        start = time.perf_counter()
        for one in [nothing.submit() for _ in range(count)]:
            one.result()
        return time.perf_counter() - start

    return {"per_s": count / calls()}


def chain(sizes: Mapping[str, Any]) -> program.Figures:
    hops = sizes["hops"]

    @flow
    def hopping() -> float:
        start, last = time.perf_counter(), None
        for _ in range(hops):
            last = nothing.submit(last)
        last.result()
        return time.perf_counter() - start

    return {"ms_per_hop": hopping() * 1e3 / hops}


if __name__ == "__main__":
    program.main(
        {"B3": functions, "B4-functions": chain},
        versions=lambda: {"prefect": prefect.__version__},
    )
