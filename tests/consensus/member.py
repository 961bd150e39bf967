"""A member process for tests: a log of keys, steered by JSON lines on its standard input."""

from __future__ import annotations

import asyncio
import hashlib
import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import uvloop

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))

from tests.consensus.freezing import Freezing
from titan.consensus.config import RaftConfig
from titan.consensus.disk import OsDisk
from titan.consensus.identity import Bindings
from titan.consensus.raft import RaftNode
from titan.consensus.transport import PeerTransport
from titan.errors import TitanError
from titan.wire.endpoint import listen
from titan.wire.messages import Welcome


class Keys:
    """Remembers the order of all keys."""

    def __init__(self) -> None:
        self.keys: list[str] = []
        self.digest = bytes(32)

    def apply(self, index: int, payload: bytes) -> int:
        self.keys.append(payload.decode())
        self.digest = hashlib.sha256(self.digest + payload).digest()
        return index

    def freeze(self) -> Freezing:
        return Freezing([json.dumps([self.keys, self.digest.hex()]).encode()])

    def restore(self, blocks: Iterable[bytes]) -> None:
        self.keys, digest = json.loads(b"".join(blocks))
        self.digest = bytes.fromhex(digest)


class Member:
    def __init__(self, config: RaftConfig) -> None:
        self.machine = Keys()
        disk = OsDisk()
        disk.make_dir(config.data_dir)
        bindings = Bindings(disk, config.data_dir / "peers.json")
        self.transport = PeerTransport(config, bindings=bindings, cluster_id=lambda: "c-test")
        self.node = RaftNode(config=config, machine=self.machine, transport=self.transport)

    async def put(self, key: str) -> dict[str, Any]:
        try:
            return {"index": await asyncio.wait_for(self.node.propose(key.encode()), 5)}
        except TitanError as error:
            return {"error": error.code}
        except TimeoutError:
            return {"error": "timed_out"}

    async def answer(self, order: dict[str, Any]) -> dict[str, Any]:
        match order["do"]:
            case "status":
                status = self.node.status
                return {
                    "role": str(status.role), "term": status.term, "leader": status.leader,
                    "is_ready": status.is_ready, "applied": status.applied_index,
                    "digest": self.machine.digest.hex(), "peers_up": len(status.peers_up),
                }  # fmt: skip
            case "put":
                return {"answers": await asyncio.gather(*map(self.put, order["keys"]))}
            case "keys":
                return {"keys": self.machine.keys}
            case "read":
                return {"index": await self.node.read_index(timeout_s=5)}
            case _:
                return {"leader": await self.node.transfer(None, timeout_s=5)}


async def main(address: str, members: tuple[str, ...], directory: Path, member_id: str) -> None:
    config = RaftConfig(
        address=address, members=members, data_dir=directory, member_id=member_id,
        rtt_budget_ms=50, snapshot_entries=200, keep_entries=20,
    )  # fmt: skip
    member = Member(config)
    listener = await listen(
        address,
        lambda connection, hello: (
            Welcome(cluster_id="c-test", id=member_id),
            member.transport.accept(connection, hello),
        ),
    )
    await member.node.open()
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    while line := await reader.readline():
        try:
            answer = await member.answer(json.loads(line))
        except TitanError as error:
            answer = {"error": error.code}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()
    listener.close()
    await member.node.close()


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1], tuple(sys.argv[2].split(",")), Path(sys.argv[3]), sys.argv[4]))
