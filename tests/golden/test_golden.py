"""What earlier versions wrote still leads to the same state, and what later ones write stops us."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import typing
from collections.abc import Iterable
from pathlib import Path

import msgpack
import pytest

from tests.consensus.freezing import Freezing
from tests.golden.replay import FOLDER, VERSION, entries_of, member_node, took_effect
from titan.errors import Fatal
from titan.fsm.commands import ENTRY_FORMAT, AnyCommand, Command
from titan.master.replica import Replica

AGAIN = f"while version {VERSION} is not released: python -m tests.golden.record --again"
VERSIONS = sorted(path.parent.name for path in FOLDER.glob("v*/expected.json"))


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("hash_seed", ["0", "4711"])
def test_a_recording_leads_to_the_recorded_state(version: str, hash_seed: str) -> None:
    replay = subprocess.run(
        [sys.executable, "-m", "tests.golden.replay", str(FOLDER / version)],
        env={**os.environ, "PYTHONHASHSEED": hash_seed}, cwd=FOLDER.parent.parent,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert replay.returncode == 0, replay.stderr
    expected = json.loads((FOLDER / version / "expected.json").read_text())
    assert json.loads(replay.stdout) == expected, AGAIN


def test_the_newest_recording_has_every_command_of_its_version() -> None:
    recorded: set[type[Command]] = set()
    for path in FOLDER.glob(f"v{VERSION}/entries-*.z"):
        recorded |= took_effect(entries_of(path))
    due = {kind for kind in typing.get_args(AnyCommand) if kind.since <= VERSION}
    assert not due - recorded, AGAIN


class Newer:
    """The machine of a version to come: it takes what this one does not know."""

    digest = bytes(32)

    def apply(self, index: int, payload: bytes) -> None:
        pass

    def freeze(self) -> Freezing:
        return Freezing([])

    def restore(self, blocks: Iterable[bytes]) -> None:
        pass


@pytest.mark.parametrize(
    "entry",
    [
        [ENTRY_FORMAT, 1, 1, [[{"!": "kv.teleport", "key": "a"}]]],
        [ENTRY_FORMAT + 1, 1, 1, []],
        "not an entry at all",
    ],
    ids=["unknown command", "newer format", "something else"],
)
async def test_an_entry_of_a_newer_version_stops_the_master(tmp_path: Path, entry: object) -> None:
    node = member_node(tmp_path, Newer(), fatal=[])
    await node.open()
    async with asyncio.timeout(10):
        while not node.status.is_ready:
            await asyncio.sleep(0.01)
    await node.propose(msgpack.packb(entry))
    await node.close()
    fatal: list[Fatal] = []
    replica = Replica()
    older = member_node(tmp_path, replica, fatal=fatal)
    await older.open()
    async with asyncio.timeout(10):
        while not fatal:
            await asyncio.sleep(0.01)
    assert "too old for entry" in str(fatal[0])
    assert "the other masters run" in fatal[0].hint
    assert replica.state.index == 0
    await older.close()
