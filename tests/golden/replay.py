"""Replays recordings: `python -m tests.golden.replay FOLDER` prints what they lead to, as JSON."""

from __future__ import annotations

import asyncio
import io
import json
import sys
import tarfile
import tempfile
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import msgpack

from titan.consensus.api import ReplicatedMachine
from titan.consensus.config import RaftConfig
from titan.consensus.membership import Roster
from titan.consensus.raft import RaftNode
from titan.errors import Fatal
from titan.fsm.commands import Command, decode_entry
from titan.fsm.machine import Machine
from titan.fsm.outcomes import Applied
from titan.master.replica import Replica

FOLDER: Final = Path(__file__).parent
VERSION: Final = 2  # of what is recorded now
ADDRESS: Final = "127.0.0.1:9090"


class NoWire:
    """A member that is alone needs none."""

    def start(self, receiver: object) -> None:
        pass

    def send(self, peer: str, payload: bytes) -> None:
        pass

    def flush(self) -> None:
        pass

    def check_tasks(self) -> None:
        pass

    def members_changed(self, roster: Roster, *, gone: frozenset[str]) -> None:
        pass

    def member_id(self, address: str) -> str:
        return ""

    async def close(self) -> None:
        pass


def member_node(home: Path, machine: ReplicatedMachine, *, fatal: list[Fatal]) -> RaftNode:
    """A cluster of one on real files."""
    config = RaftConfig(address=ADDRESS, members=(ADDRESS,), data_dir=home, member_id="m-golden")
    return RaftNode(config=config, machine=machine, transport=NoWire(), on_fatal=fatal.append)


def replay_entries(path: Path) -> dict[str, Any]:
    """Every entry of a recorded log, through a new machine."""
    machine = Machine()
    for index, payload in enumerate(entries_of(path), start=1):
        machine.apply(index, payload)
    return {"index": machine.state.index, "digest": machine.digest.hex()}


def entries_of(path: Path) -> list[bytes]:
    """A recorded log."""
    entries: list[bytes] = msgpack.unpackb(zlib.decompress(path.read_bytes()))
    return entries


def took_effect(log: Iterable[bytes]) -> set[type[Command]]:
    """The kinds of commands of which at least one was not refused."""
    machine, found = Machine(), set()
    for index, payload in enumerate(log, start=1):
        outcomes = machine.apply(index, payload).outcomes
        for proposal, outcome in zip(decode_entry(payload).proposals, outcomes, strict=True):
            if isinstance(outcome, Applied):
                found.add(type(proposal.command))
    return found


async def replay_member(path: Path) -> dict[str, Any]:
    """Start a member on a recorded directory and let it apply everything."""
    replica, fatal = Replica(), []
    with tempfile.TemporaryDirectory() as home:
        with tarfile.open(fileobj=io.BytesIO(zlib.decompress(path.read_bytes()))) as tar:
            tar.extractall(home, filter="data")
        node = member_node(Path(home), replica, fatal=fatal)
        await node.open()
        async with asyncio.timeout(20):
            while not (node.status.is_ready or fatal):
                await asyncio.sleep(0.01)
        if fatal:
            raise fatal[0]
        await node.close()
    return {"index": replica.state.index, "digest": replica.digest.hex()}


def main(folder: Path) -> None:
    """Print what a folder leads to."""
    found = {path.stem: replay_entries(path) for path in sorted(folder.glob("entries-*.z"))}
    for path in sorted(folder.glob("member*.tar.z")):
        found[path.name.removesuffix(".tar.z")] = asyncio.run(replay_member(path))
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
