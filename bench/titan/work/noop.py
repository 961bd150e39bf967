"""The functions that the benchmark calls: they do nothing, so that all that is measured is Titan."""

from __future__ import annotations

from titan.sdk import task


@task(retries=0)
def nothing() -> None:
    """Nothing."""


@task(retries=0)
def following(before: None) -> None:
    """Nothing, after another."""
