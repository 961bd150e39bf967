"""The cluster fixture: three masters and two workers, their logs shown when a test fails."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.cluster.cluster import Cluster, running

FAILED = pytest.StashKey[bool]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]):
    report = yield
    if report.when == "call":
        item.stash[FAILED] = report.failed
    return report


@pytest.fixture
async def cluster(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Cluster]:
    """Three masters and two workers of four slots each, ready."""
    made = Cluster(tmp_path / "cluster", masters=3, workers=2, slots=4)
    async with running(made, has_failed=lambda: request.node.stash.get(FAILED, False)) as ready:
        yield ready


@pytest.fixture
async def single(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Cluster]:
    """One master and one worker, for tests that need no failover."""
    made = Cluster(tmp_path / "cluster", masters=1, workers=1, slots=2)
    async with running(made, has_failed=lambda: request.node.stash.get(FAILED, False)) as ready:
        yield ready
