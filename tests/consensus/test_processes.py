"""Three real processes on loopback, real disks, real signals."""

from __future__ import annotations

import asyncio
import json
import shutil
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.cluster
MEMBER = Path(__file__).with_name("member.py")


class Process:
    def __init__(self, address: str, members: tuple[str, ...], directory: Path) -> None:
        self.address, self.members, self.directory = address, members, directory
        self.member_id = f"m-{address}"
        self.process: asyncio.subprocess.Process

    async def start(self) -> None:
        self.process = await asyncio.create_subprocess_exec(
            sys.executable, str(MEMBER), self.address, ",".join(self.members),
            str(self.directory), self.member_id,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip

    @property
    def is_alive(self) -> bool:
        return self.process.returncode is None

    async def ask(self, do: str, **rest: Any) -> dict[str, Any]:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps({"do": do, **rest}).encode() + b"\n")
        line = await asyncio.wait_for(self.process.stdout.readline(), 20)
        answer: dict[str, Any] = json.loads(line)
        return answer

    async def kill(self) -> None:
        if self.is_alive:
            self.process.send_signal(signal.SIGKILL)
        await self.process.wait()


class Cluster:
    def __init__(self, base: Path) -> None:
        sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(3)]
        addresses = tuple(f"127.0.0.1:{s.getsockname()[1]}" for s in sockets)
        for each in sockets:
            each.close()
        self.members = [Process(a, addresses, base / a.replace(":", "-")) for a in addresses]

    async def until(self, claim: Callable[[], Awaitable[Any]], *, timeout_s: float = 20) -> Any:
        """Wait for a true answer; say what was seen last when it does not come."""
        end = time.monotonic() + timeout_s
        while time.monotonic() < end:
            if found := await claim():
                return found
            await asyncio.sleep(0.02)
        views = [await m.ask("status") for m in self.members if m.is_alive]
        raise AssertionError(f"not within {timeout_s} s; last seen {views}")

    async def leader(self) -> Process:
        async def find() -> Process | None:
            for member in self.members:
                if member.is_alive and (await member.ask("status"))["is_ready"]:
                    return member
            return None

        found: Process = await self.until(find)
        return found

    async def converged(self) -> bool:
        views = [await m.ask("status") for m in self.members if m.is_alive]
        return len({(v["applied"], v["digest"]) for v in views}) == 1

    async def put(self, keys: list[str]) -> list[str]:
        """The keys that were acknowledged."""
        answers = (await (await self.leader()).ask("put", keys=keys))["answers"]
        return [key for key, answer in zip(keys, answers, strict=True) if "index" in answer]


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[Cluster]:
    cluster = Cluster(tmp_path)
    for member in cluster.members:
        await member.start()
    yield cluster
    for member in cluster.members:
        await member.kill()


async def test_nothing_acknowledged_is_lost_when_leaders_are_killed(cluster: Cluster) -> None:
    acked: list[str] = []
    for round_number in range(4):
        acked += await cluster.put([f"k{round_number}-{i}" for i in range(150)])
        victim = await cluster.leader()
        await victim.kill()
        assert not victim.is_alive
        assert await cluster.leader() is not victim
        acked += await cluster.put([f"m{round_number}-{i}" for i in range(50)])
        await victim.start()
    assert len(acked) == 800
    await cluster.until(cluster.converged)
    for member in cluster.members:
        assert set(acked) <= set((await member.ask("keys"))["keys"])


async def test_everybody_killed_at_once_comes_back_with_everything(cluster: Cluster) -> None:
    acked = await cluster.put([f"k{i}" for i in range(300)])
    for member in cluster.members:
        await member.kill()
    for member in cluster.members:
        await member.start()
    acked += await cluster.put(["last"])
    await cluster.until(cluster.converged)
    for member in cluster.members:
        assert (await member.ask("keys"))["keys"] == acked


async def test_a_stopped_leader_is_replaced_and_steps_down_when_it_wakes(cluster: Cluster) -> None:
    await cluster.put(["before"])
    sleeper = await cluster.leader()
    sleeper.process.send_signal(signal.SIGSTOP)
    awake = [m for m in cluster.members if m is not sleeper]

    async def replaced() -> bool:
        return any([(await m.ask("status"))["is_ready"] for m in awake])

    await cluster.until(replaced)
    sleeper.process.send_signal(signal.SIGCONT)

    async def follows() -> bool:
        return (await sleeper.ask("status"))["role"] == "follower"

    await cluster.until(follows)
    await cluster.put(["after"])
    await cluster.until(cluster.converged)


async def test_leadership_is_handed_over_and_reads_follow(cluster: Cluster) -> None:
    first = await cluster.leader()
    new = (await first.ask("transfer"))["leader"]
    second = await cluster.leader()
    assert second.address == new != first.address
    assert (await first.ask("read"))["error"] == "not_leader"
    (key,) = await cluster.put(["k"])
    assert (await second.ask("read"))["index"] > 0
    assert key == "k"


async def test_a_member_with_a_wiped_disk_takes_no_part(cluster: Cluster) -> None:
    await cluster.put(["k"])
    await cluster.until(cluster.converged)
    leader = await cluster.leader()
    wiped = next(m for m in cluster.members if m is not leader)
    await wiped.kill()
    shutil.rmtree(wiped.directory)
    wiped.member_id = "m-new"
    await wiped.start()
    await cluster.put([f"later{i}" for i in range(20)])
    view = await wiped.ask("status")
    assert (view["peers_up"], view["applied"]) == (0, 1)
