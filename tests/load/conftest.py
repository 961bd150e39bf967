"""Masters under load: real processes, the terms of all, and how late their loops ran, printed."""

from __future__ import annotations

import asyncio
import sys
import urllib.request
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.cluster.cluster import Cluster

FAILED = pytest.StashKey[bool]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]):
    report = yield
    if report.when == "call":
        item.stash[FAILED] = report.failed
    return report


class Watched:
    """A cluster whose leader must stay: `check` says whether it did."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self._term = 0.0

    async def start(self) -> None:
        await self.cluster.start()
        await self.cluster.leader()
        self._term = await self._agreed_term()

    async def check(self, label: str) -> None:
        """The same term as at first, on every master. Prints lags; they are no matter of right or wrong."""
        for member in self.cluster.masters:
            assert member.is_alive, f"{member.name} ended with {member.exit_code}"
            rows = await metrics(member.http)
            lag, apply = rows["titan_loop_lag_max_ms"], rows["titan_apply_max_ms"]
            role = "leader" if rows["titan_raft_is_leader"] else "follower"
            sys.stdout.write(f"\n{label}: {member.name} ({role}): lag {lag} ms, apply {apply} ms")
        assert await self._agreed_term() == self._term, "the leader did not stay"

    async def _agreed_term(self) -> float:
        async def look() -> list[float]:
            seen = [await metrics(member.http) for member in self.cluster.masters]
            return [rows["titan_raft_term"] for rows in seen]

        terms = await self.cluster.wait_until(
            look, lambda terms: len(set(terms)) == 1, timeout_s=10
        )
        return float(terms[0])


async def metrics(http: str) -> dict[str, float]:
    """What a master's /metrics says."""

    def read() -> str:
        with urllib.request.urlopen(f"http://{http}/metrics", timeout=10) as answer:
            return str(answer.read().decode())

    lines = (await asyncio.to_thread(read)).splitlines()
    pairs = [line.split() for line in lines if not line.startswith("#")]
    return {name: float(value) for name, value in pairs}


@pytest.fixture
async def three(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Watched]:
    """Three masters and no worker."""
    cluster = Cluster(tmp_path / "cluster", masters=3, workers=0, slots=1)
    watched = Watched(cluster)
    try:
        await watched.start()
        yield watched
    finally:
        if request.node.stash.get(FAILED, True):
            cluster.show_logs()
        await cluster.stop()
