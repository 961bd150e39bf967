"""What the cluster tests call."""

from __future__ import annotations

import os
import time

from titan.sdk import TitanClient, current, pipeline, task


@task
def square(x: int) -> int:
    time.sleep(0.002)
    return x * x


@task
def total(values: list[int]) -> int:
    return sum(values)


@task
def count(name: str) -> int:
    """Leaves a mark that is fenced: exactly one of all attempts counts."""
    with current().commit() as c:
        c.store_incr(name)
    return os.getpid()


@task
def fan_out(n: int) -> list[str]:
    """Adds children to its own run."""
    with pipeline("children") as p:
        total([square(x) for x in range(n)])
    p.submit()
    TitanClient().submit(square, 9)
    return list(p.nodes)


@task(retries=0)
def broken(text: str) -> None:
    print("about to fail")  # noqa: T201 - it is what the log must show
    raise ValueError(text)


@task(retries=0)
def quiet() -> None:
    """Says nothing."""
