"""The cluster's version rises when the last voter can read it, not before."""

from __future__ import annotations

from typing import Any

import pytest

from titan.fsm import commands
from titan.fsm.commands import RaiseVersion
from titan.master.replica import Replica
from titan.master.versions import Versions
from titan.wire.messages import MasterInfo


class Cluster:
    """A reigning master with two peers that say what the test wants."""

    addresses = ("b:1", "c:1")
    voters = ("a:1", "b:1", "c:1")

    def __init__(self, **versions: int) -> None:
        self.versions = versions
        self.proposed: list[object] = []

    @property
    def status(self) -> Cluster:
        return self

    def need(self) -> Cluster:
        return self

    async def propose(self, command: object) -> None:
        self.proposed.append(command)

    async def info(self, address: str) -> MasterInfo:
        version = self.versions.get(address[0])
        if version is None:
            return MasterInfo(id="", address=address)
        return MasterInfo(id="m", address=address, role="follower", version=version)


async def looked(cluster: Any) -> list[object]:
    await Versions(cluster, Replica(), cluster, cluster).raise_if_all_can()
    found: list[object] = cluster.proposed
    return found


@pytest.fixture(autouse=True)
def this_build_reads_version_3(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands, "VERSION", 3)


async def test_the_newest_version_that_all_read_is_proposed() -> None:
    assert await looked(Cluster(b=2, c=3)) == [RaiseVersion(version=2)]
    assert await looked(Cluster(b=4, c=3)) == [RaiseVersion(version=3)]


async def test_one_old_master_holds_the_version() -> None:
    assert await looked(Cluster(b=1, c=3)) == []


async def test_a_silent_voter_holds_the_version() -> None:
    assert await looked(Cluster(b=3)) == []
