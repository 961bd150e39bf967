"""How fast the replicated log is: three member processes on this machine, clients in the leader's.

    python bench/consensus_bench.py [--seconds 3] [--size 256] [--dir DIR]

Prints one JSON line per load: how many writers, entries per second, and the median and 99th
percentile of the time from proposal to applied result in milliseconds. Every entry is durable on a
majority before it counts. Then the leader is killed with SIGKILL a few times, and the gap until the
next leader has committed an entry is printed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import uvloop

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from titan.consensus.config import RaftConfig
from titan.consensus.disk import OsDisk
from titan.consensus.identity import Bindings
from titan.consensus.raft import RaftNode
from titan.consensus.transport import PeerTransport
from titan.errors import NotLeader, TitanError
from titan.wire.endpoint import listen
from titan.wire.messages import Welcome


class Counting:
    """The smallest machine: it counts, so the figures are those of the log."""

    def __init__(self) -> None:
        self.count = 0

    def apply(self, _index: int, _payload: bytes) -> int:
        self.count += 1
        return self.count

    def freeze(self) -> Iterator[bytes]:
        return iter([self.count.to_bytes(8, "big")])

    def restore(self, blocks: Iterable[bytes]) -> None:
        self.count = int.from_bytes(b"".join(blocks), "big")

    @property
    def digest(self) -> bytes:
        return self.count.to_bytes(32, "big")


async def _load(node: RaftNode, *, writers: int, size: int, seconds: float) -> dict[str, Any]:
    payload, times = b"x" * size, []
    stop = time.perf_counter() + seconds

    async def write() -> None:
        while (start := time.perf_counter()) < stop:
            await node.propose(payload)
            times.append(time.perf_counter() - start)

    syncs, before = node.syncs, time.perf_counter()
    await asyncio.gather(*(write() for _ in range(writers)))
    elapsed = time.perf_counter() - before
    times.sort()
    return {
        "writers": writers,
        "per_s": round(len(times) / elapsed),
        "p50_ms": round(times[len(times) // 2] * 1e3, 3),
        "p99_ms": round(times[len(times) * 99 // 100] * 1e3, 3),
        "entries_per_sync": round(len(times) / max(1, node.syncs - syncs), 1),
    }


async def _stopwatch(node: RaftNode) -> dict[str, Any]:
    """Commit one entry as soon as this member leads; other members never answer."""
    while True:
        try:
            await node.propose(b"after")
            return {"at": time.monotonic(), "address": node.status.leader}
        except NotLeader:
            await asyncio.sleep(0.001)
        except TitanError:
            await asyncio.sleep(0.001)


async def _member(address: str, members: tuple[str, ...], directory: Path) -> None:
    config = RaftConfig(
        address=address, members=members, data_dir=directory, member_id=f"m-{address}"
    )
    disk = OsDisk()
    disk.make_dir(directory)
    transport = PeerTransport(config, bindings=Bindings(disk, directory / "peers.json"))
    node = RaftNode(config=config, machine=Counting(), transport=transport)
    listener = await listen(
        address,
        lambda connection, hello: (
            Welcome(cluster_id="", id=config.member_id),
            transport.accept(connection, hello),
        ),
    )
    await node.open()
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    while line := await reader.readline():
        order = json.loads(line)
        match order.pop("do"):
            case "status":
                answer: dict[str, Any] = {
                    "is_ready": node.status.is_ready, "applied": node.status.applied_index
                }  # fmt: skip
            case "load":
                answer = await _load(node, **order)
            case _:
                answer = await _stopwatch(node)
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()
    listener.close()
    await node.close()


class Member:
    """A member process under the bench's control."""

    def __init__(self, address: str, members: tuple[str, ...], directory: Path) -> None:
        self.address, self.members, self.directory = address, members, directory
        self.process: asyncio.subprocess.Process

    async def start(self) -> None:
        self.process = await asyncio.create_subprocess_exec(
            sys.executable, __file__, "--member", self.address, "--dir", str(self.directory),
            "--members", ",".join(self.members),
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip

    async def ask(self, **order: Any) -> dict[str, Any]:
        self.tell(**order)
        return await self.answer()

    def tell(self, **order: Any) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(order).encode() + b"\n")

    async def answer(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        answer: dict[str, Any] = json.loads(await self.process.stdout.readline())
        return answer

    async def stop(self) -> None:
        if self.process.returncode is None:
            self.process.kill()
        await self.process.wait()


async def _leader(members: list[Member]) -> Member:
    while True:
        for member in members:
            if (await member.ask(do="status"))["is_ready"]:
                return member
        await asyncio.sleep(0.02)


async def _gap(members: list[Member]) -> float:
    leader = await _leader(members)
    others = [member for member in members if member is not leader]
    waiting = [asyncio.ensure_future(m.ask(do="stopwatch")) for m in others]
    await asyncio.sleep(0.2)
    killed_at = time.monotonic()
    leader.process.send_signal(signal.SIGKILL)
    done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    gap = next(iter(done)).result()["at"] - killed_at
    for member in members:
        await member.stop()
        await member.start()
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    return gap


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


async def _bench(arguments: argparse.Namespace) -> None:
    base = Path(tempfile.mkdtemp(prefix="titan-bench-", dir=arguments.dir))
    addresses = tuple(f"127.0.0.1:{port}" for port in _free_ports(3))
    members = [Member(a, addresses, base / a.replace(":", "_")) for a in addresses]
    for member in members:
        await member.start()
    try:
        leader = await _leader(members)
        for writers in (1, 64, 256, 1024):
            result = await leader.ask(
                do="load", writers=writers, size=arguments.size, seconds=arguments.seconds
            )
            sys.stdout.write(json.dumps(result) + "\n")
            sys.stdout.flush()
        gaps = sorted([await _gap(members) for _ in range(arguments.kills)])
        if gaps:
            line = {"kills": len(gaps), "gap_p50_ms": round(gaps[len(gaps) // 2] * 1e3, 1),
                    "gap_max_ms": round(gaps[-1] * 1e3, 1)}  # fmt: skip
            sys.stdout.write(json.dumps(line) + "\n")
    finally:
        for member in members:
            await member.stop()
        shutil.rmtree(base)


def main() -> None:
    """Run the bench, or one of its members."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--dir", type=Path, default=None)
    parser.add_argument("--member")
    parser.add_argument("--members", type=lambda text: tuple(text.split(",")))
    arguments = parser.parse_args()
    if arguments.member:
        uvloop.run(_member(arguments.member, arguments.members, arguments.dir))
    else:
        asyncio.run(_bench(arguments))


if __name__ == "__main__":
    main()
