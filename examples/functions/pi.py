"""Estimates π with many functions at once: a pipeline written as ordinary code.

python pi.py            every function runs here, one after the other
python pi.py cluster    the same functions on the workers of a cluster
"""

from __future__ import annotations

import random
import sys

from shapes import Share

from titan.sdk import TitanClient, pipeline, task

POINTS = 50_000


@task(retries=2, timeout=60)
def throw(seed: int, points: int) -> Share:
    """Throw points at a square; the same seed throws the same points, so a retry changes nothing."""
    dice = random.Random(seed)
    inside = sum(dice.random() ** 2 + dice.random() ** 2 <= 1 for _ in range(points))
    print(f"seed {seed}: {inside} of {points}")
    return Share(points, inside)


@task
def combine(shares: list[Share]) -> float:
    """What all throws together say."""
    return 4 * sum(one.inside for one in shares) / sum(one.points for one in shares)


def here() -> float:
    """Outside of a pipeline the functions are functions."""
    return combine([throw(seed, POINTS) for seed in range(8)])


def on_a_cluster() -> float:
    """Inside of one, calls become jobs, and what they return stands for what they will return."""
    with pipeline("pi") as p:
        pi = combine([throw(seed, POINTS) for seed in range(8)])
    run = p.submit()
    print(f"run {run}: {len(p.nodes)} jobs")
    print(run.logs("throw"), end="") if run.wait(60) == "COMPLETED" else None
    return run.result(pi)


def one_call() -> Share:
    """A single function, without a pipeline."""
    return TitanClient().submit(throw, 99, 1000).result(timeout=60)


if __name__ == "__main__":
    if sys.argv[1:] == ["cluster"]:
        print(f"π is about {on_a_cluster():.3f}")
        print(one_call())
    else:
        print(f"π is about {here():.3f}")
