"""Masters under load: real processes, the terms of all, and how late their loops ran, printed."""

from __future__ import annotations

import asyncio
import hashlib
import json
import sys
import urllib.parse
import urllib.request
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.cluster.cluster import Cluster
from titan import limits

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
        await self.cluster.wait_until(self._versions, lambda seen: min(seen) >= 2, timeout_s=15)

    async def check(self, label: str) -> None:
        """The same term as at first, on every master. Prints lags; they are no matter of right or wrong."""
        for member in self.cluster.masters:
            assert member.is_alive, f"{member.name} ended with {member.exit_code}"
            rows = await metrics(member.http)
            lag, apply = rows["titan_loop_lag_max_ms"], rows["titan_apply_max_ms"]
            role = "leader" if rows["titan_raft_is_leader"] else "follower"
            recent = rows["titan_loop_lag_recent_max_ms"]
            sys.stdout.write(
                f"\n{label}: {member.name} ({role}): lag {recent} ms of late, {lag} ms ever, "
                f"apply {apply} ms, {rows['titan_apply_cpu_max_ms']} of them busy"
            )
            steps = rows["titan_apply_steps_max"]
            most = limits.SETTLE_STEPS_PER_ENTRY + limits.SETTLE_STEPS_EACH
            assert steps <= most, f"{member.name}: one apply reached {steps} edges and jobs"
        assert await self._agreed_term() == self._term, "the leader did not stay"

    async def settled(self) -> None:
        """What is under way at any master comes to its end, and all have applied that."""
        goal = 0.0

        async def look() -> list[tuple[float, float]]:
            seen = [await metrics(member.http) for member in self.cluster.masters]
            return [(m["titan_raft_applied_index"], m["titan_runs_unsettled"]) for m in seen]

        def is_enough(seen: list[tuple[float, float]]) -> bool:
            nonlocal goal
            if any(unsettled for _, unsettled in seen):
                goal = 0.0
                return False
            goal = goal or max(index for index, _ in seen)
            return all(index >= goal for index, _ in seen)

        await self.cluster.wait_until(look, is_enough, timeout_s=30)

    async def agree(self, run: str) -> None:
        """Every master says the same of every job of the run."""
        told = {member.name: await jobs_told(member.http, run) for member in self.cluster.masters}
        assert len(set(told.values())) == 1, f"masters differ about {run}: {told}"

    async def _versions(self) -> list[float]:
        seen = [await metrics(member.http) for member in self.cluster.masters]
        return [rows["titan_cluster_version"] for rows in seen]

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


async def jobs_told(http: str, run: str) -> str:
    """A digest of everything that a master says of a run's jobs, from its own state."""

    def read() -> str:
        digest, after = hashlib.sha256(), ""
        while True:
            query = urllib.parse.urlencode({"limit": 1000, "after": after})
            url = f"http://{http}/api/v1/runs/{run}/jobs?{query}"
            with urllib.request.urlopen(url, timeout=10) as answer:
                page = answer.read()
            digest.update(page)
            after = json.loads(page)["next"]
            if not after:
                return digest.hexdigest()

    return await asyncio.to_thread(read)


@pytest.fixture
async def three(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Watched]:
    """Three masters; one worker where a test asks for it by `parametrize`."""
    workers = getattr(request, "param", 0)
    cluster = Cluster(tmp_path / "cluster", masters=3, workers=workers, slots=1)
    watched = Watched(cluster)
    try:
        await watched.start()
        yield watched
    finally:
        if request.node.stash.get(FAILED, True):
            cluster.show_logs()
        await cluster.stop()
