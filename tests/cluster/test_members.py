"""Masters that come, go and take over while clients write, as real processes and commands."""

from __future__ import annotations

import asyncio
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.cluster import Cluster, titan, wait_until
from titan.cli.local import Member, quiet_ports
from titan.sdk import AsyncClient
from titan.wire.messages import ClusterInfo

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(120)]


class Writers:
    """Clients that write key after key; any error of any write fails the test."""

    def __init__(self, cluster: Cluster, *, count: int = 4) -> None:
        self._clients = [AsyncClient(cluster.addresses) for _ in range(count)]
        self._tasks: list[asyncio.Task[None]] = []
        self._stopping = False
        self.written = [0] * count
        self.longest_s = 0.0

    async def __aenter__(self) -> Writers:
        self._tasks = [
            asyncio.create_task(self._write(number, client), name=f"writer {number}")
            for number, client in enumerate(self._clients)
        ]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._stopping = True
        try:
            await asyncio.gather(*self._tasks)
        finally:
            for client in self._clients:
                await client.close()

    async def _write(self, number: int, client: AsyncClient) -> None:
        while not self._stopping:
            begun = time.monotonic()
            await client.store_put(f"w{number}/{self.written[number]:06}", "x")
            self.longest_s = max(self.longest_s, time.monotonic() - begun)
            self.written[number] += 1

    async def more(self) -> None:
        """Until every writer has written again."""
        before = list(self.written)

        async def look() -> list[int]:
            for task in self._tasks:
                if task.done():
                    task.result()
            return self.written

        await wait_until(
            look,
            lambda now: all(a > b for a, b in zip(now, before, strict=True)),
            timeout_s=20,
        )

    async def all_kept(self, client: AsyncClient) -> bool:
        for number, count in enumerate(self.written):
            for first in range(0, count, 1000):  # what one answer lists at most
                prefix = f"w{number}/{first // 1000:03}"
                found = {item.key for item in await client.store_list(prefix)}
                wanted = {f"w{number}/{i:06}" for i in range(first, min(count, first + 1000))}
                if wanted - found:
                    return False
        return True


def newcomer(cluster: Cluster, name: str, *, address: str = "") -> Member:
    """A master that asks to be let in."""
    port, http_port = quiet_ports(1)[0]
    address = address or f"127.0.0.1:{port}"
    arguments = ["node", "--listen", address, "--http", f"127.0.0.1:{http_port}"]
    arguments += ["--data", str(cluster.data / name), "--join", ",".join(cluster.addresses)]
    member = Member(name, arguments, log=cluster.data / f"{name}.log", address=address)
    cluster.processes.masters.append(member)
    return member


async def until_members(cluster: Cluster, are_enough: Any, *, timeout_s: float = 20) -> ClusterInfo:
    info: ClusterInfo = await cluster.wait_until(
        cluster.client.cluster_info, are_enough, timeout_s=timeout_s
    )
    return info


def voters(info: ClusterInfo) -> set[str]:
    return {m.address for m in info.masters if not m.is_learner and m.role != "down"}


async def test_a_rolling_restart_fails_no_request(cluster: Cluster) -> None:
    async with Writers(cluster) as writers:
        for _ in range(3):
            for member in list(cluster.masters):
                await writers.more()
                member.send(signal.SIGTERM)
                assert await asyncio.to_thread(member.wait, time.monotonic() + 10)
                assert member.exit_code == 0
                await writers.more()
                member.start()

                async def all_are_back() -> int:
                    info = await cluster.client.cluster_info()
                    ends = [m.applied_index for m in info.masters if m.role != "down"]
                    return len(ends) if max(ends) - min(ends) < 1000 else 0

                await cluster.wait_until(all_are_back, lambda up: up == 3, timeout_s=20)
    assert sum(writers.written) > 100
    assert writers.longest_s < 10, "a pause that no hand-over explains"
    assert await writers.all_kept(cluster.client)


async def test_masters_are_added_removed_and_replaced_under_load(cluster: Cluster) -> None:
    masters = ",".join(cluster.addresses)
    async with Writers(cluster) as writers:
        fourth = newcomer(cluster, "master-4")
        fourth.start()
        await until_members(cluster, lambda info: fourth.address in voters(info))
        await writers.more()
        leader = await cluster.leader()
        code, _, err = await titan("cluster", "remove", leader.address, "--masters", masters)
        assert code == 0, err
        assert await asyncio.to_thread(leader.wait, time.monotonic() + 20), leader.last_words()
        assert leader.exit_code == 78
        assert "was removed from the cluster" in leader.last_words()
        await until_members(cluster, lambda info: len(info.masters) == 3)
        await writers.more()
        # The disk of another one is lost: its old identity is refused, a new one is let in.
        victim = next(m for m in cluster.masters if m.is_alive and m is not fourth)
        await asyncio.to_thread(victim.kill)
        (cluster.data / victim.name).rename(cluster.data / "lost")
        victim.start()
        await cluster.wait_until(
            lambda: asyncio.to_thread(victim.last_words),
            lambda words: "is the address of member" in words, timeout_s=20,
        )  # fmt: skip
        await writers.more()
        await asyncio.to_thread(victim.kill)
        code, _, err = await titan("cluster", "remove", victim.address, "--masters", masters)
        assert code == 0, err
        (cluster.data / victim.name).rename(cluster.data / "amnesia")
        again = newcomer(cluster, victim.name, address=victim.address)
        again.start()
        info = await until_members(cluster, lambda info: again.address in voters(info))
        assert len(voters(info)) == 3
        await writers.more()
    assert await writers.all_kept(cluster.client)
    orders = await cluster.client.audit(kind="master")
    told = [(one.action, one.object, one.who.partition(" ")[0]) for one in reversed(orders)]
    assert told[0] == ("master.add", fourth.address, "master"), "it has asked by itself"
    assert told[-2:] == [
        ("master.remove", victim.address, "cli"),
        ("master.add", victim.address, "master"),
    ]
    assert ("master.remove", leader.address, "cli") in told, (
        "the one that it handed over to says so"
    )


async def test_the_leadership_moves_on_request_and_nothing_fails(cluster: Cluster) -> None:
    masters = ",".join(cluster.addresses)
    async with Writers(cluster) as writers:
        for _ in range(3):
            leader = await cluster.leader()
            target = next(m for m in cluster.masters if m is not leader).address
            code, out, err = await titan("cluster", "transfer", target, "--masters", masters)
            assert (code, target in out) == (0, True), err
            newest, *_ = await cluster.client.audit(kind="master")
            assert (newest.action, newest.object) == ("leader.transfer", leader.address)
            assert newest.detail == f"to {target}"
            await writers.more()
    assert await writers.all_kept(cluster.client)


async def test_a_backup_becomes_a_cluster_of_one_that_others_enter(
    cluster: Cluster, tmp_path: Path
) -> None:
    masters = ",".join(cluster.addresses)
    for number in range(50):
        await cluster.client.store_put(f"kept/{number}", "v")
    backup = tmp_path / "backup.titan"
    code, _, err = await titan("cluster", "snapshot", "--output", str(backup), "--masters", masters)
    assert code == 0, err
    assert backup.stat().st_size > 0
    cluster.kill_all_masters()
    port, _ = quiet_ports(1)[0]
    address, home = f"127.0.0.1:{port}", tmp_path / "restored"
    code, _, err = await titan(
        "cluster", "restore", str(backup), "--data", str(home), "--listen", address
    )
    assert code == 0, err
    code, _, err = await titan(
        "cluster", "restore", str(backup), "--data", str(home), "--listen", address
    )
    assert code == 2, "a directory in use is not overwritten"
    arguments = ["node", "--listen", address, "--http", "", "--data", str(home)]
    first = Member("restored", arguments, log=tmp_path / "restored.log", address=address)
    first.start()
    client = AsyncClient(address)
    second: Member | None = None
    try:

        async def kept() -> int:
            return len(await client.store_list("kept/"))

        assert await wait_until(kept, lambda found: found == 50, timeout_s=20) == 50
        port, _ = quiet_ports(1)[0]
        arguments = ["node", "--listen", f"127.0.0.1:{port}", "--http", "", "--join", address]
        arguments += ["--data", str(tmp_path / "second")]
        second = Member("second", arguments, log=tmp_path / "second.log")
        second.start()
        await wait_until(client.cluster_info, lambda info: len(voters(info)) == 2, timeout_s=20)
        await client.store_put("after", "v")
    finally:
        await client.close()
        first.kill()
        if second is not None:
            second.kill()
