"""Records what this version writes, for all later ones to replay: `python -m tests.golden.record`.

Each version has a folder: entries as a leader writes them, and the data directory of a member that
took a snapshot and went on. `expected.json` says the digest and the index that they lead to. A folder
of a released version is never recorded again: what it no longer leads to is what broke.
"""

from __future__ import annotations

import asyncio
import io
import json
import sys
import tarfile
import tempfile
import zlib
from pathlib import Path
from typing import Any, Final

import msgpack

from tests.fsm.logs import long_log
from tests.golden.replay import FOLDER, VERSION, member_node, replay_entries
from titan import limits
from titan.master.replica import Replica

LOGS: Final = {"entries-1": (11, 300), "entries-2": (12, 300)}  # seed and steps
MEMBER_LOG: Final = (13, 200)


async def _record_member(folder: Path) -> dict[str, Any]:
    """A member with several segments, a snapshot, and entries behind it."""
    limits.SEGMENT_PREALLOCATE_BYTES, limits.SEGMENT_BYTES = 4096, 32 * 1024  # type: ignore[misc]
    replica = Replica()
    with tempfile.TemporaryDirectory() as home:
        node = member_node(Path(home), replica, fatal=[])
        await node.open()
        async with asyncio.timeout(10):
            while not node.status.is_ready:
                await asyncio.sleep(0.01)
        log = long_log(MEMBER_LOG[0], steps=MEMBER_LOG[1])
        for number, payload in enumerate(log):
            await node.propose(payload)
            if number == len(log) // 2:
                await node.backup(timeout_s=10)
        await node.close()
        _pack(Path(home), folder / "member.tar.z")
    return {"index": replica.state.index, "digest": replica.digest.hex()}


def _pack(home: Path, target: Path) -> None:
    def plain(info: tarfile.TarInfo) -> tarfile.TarInfo:
        info.mtime, info.uid, info.gid, info.uname, info.gname = 0, 0, 0, "", ""
        return info

    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode="w") as tar:
        for path in sorted(home.iterdir()):
            tar.add(path, arcname=path.name, filter=plain)
    target.write_bytes(zlib.compress(held.getvalue(), 9))


def main() -> int:
    """Record; refuses to overwrite."""
    folder = FOLDER / f"v{VERSION}"
    if folder.exists() and "--again" not in sys.argv:
        sys.stderr.write(f"{folder} is recorded; --again while it is not released\n")
        return 1
    folder.mkdir(exist_ok=True)
    expected = {}
    for name, (seed, steps) in LOGS.items():
        path = folder / f"{name}.z"
        path.write_bytes(zlib.compress(msgpack.packb(long_log(seed, steps=steps)), 9))
        expected[name] = replay_entries(path)
    expected["member"] = asyncio.run(_record_member(folder))
    (folder / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
