"""Records what this version writes, for all later ones to replay: `python -m tests.golden.record`.

Each version has a folder: entries as a leader writes them, and data directories of members that took a
snapshot and went on. `expected.json` says the digest and the index that they lead to. A folder of a
released version is never recorded again: what it no longer leads to is what broke. While a version is
not released, whoever changes what its commands do or adds one records it again, with `--again`.
"""

from __future__ import annotations

import asyncio
import io
import json
import sys
import tarfile
import tempfile
import typing
import zlib
from pathlib import Path
from typing import Any, Final

import msgpack

from tests.fsm.driver import MachineDriver, job
from tests.fsm.logs import long_log
from tests.golden.replay import FOLDER, VERSION, member_node, replay_entries, took_effect
from titan import limits
from titan.fsm.commands import AnyCommand, CancelRun, FinishAttempt, KvPut, StageJobs, SubmitRun
from titan.ids import RunId
from titan.master.replica import Replica

STEPS: Final = 1000  # of the log in which every kind of command takes effect
SEEDS: Final = range(100, 300)
MEMBER_LOG: Final = (13, 400)  # seed and steps
WIDE_JOBS: Final = 4500  # more than one entry settles
STAGE_JOBS: Final = 1500


def _log_of_everything() -> list[bytes]:
    """The first random log in which every kind of command takes effect."""
    for seed in SEEDS:
        log = long_log(seed, steps=STEPS)
        if took_effect(log) >= set(typing.get_args(AnyCommand)):
            return log
    raise SystemExit(f"no seed of {SEEDS} has every command; is each in tests/fsm/logs.py?")


def _wide_log() -> tuple[list[bytes], int]:
    """A job with so many children that they hear of its end, and later of the end of the run, over several
    entries, with others between them. Answers the log and a place where something is unsettled."""
    machine, run = MachineDriver(), RunId("r-wide")
    machine.join("w1")
    children = [job(f"c{number}", "root") for number in range(WIDE_JOBS)]
    for first in range(0, WIDE_JOBS, STAGE_JOBS):
        part = first // STAGE_JOBS
        jobs = (*([job("root")] if not part else []), *children[first : first + STAGE_JOBS])
        machine.do(StageJobs(run=run, part=part, jobs=jobs))
    machine.do(SubmitRun(run=run, name="wide", jobs=(), parts=part + 1))
    machine.do(FinishAttempt(attempt=machine.assign(run, "root"), exit_code=0))
    assert machine.state.unsettled
    middle = len(machine.log)
    machine.do(KvPut(key="between", value=b"1"))
    machine.settle()
    machine.do(CancelRun(run=run))
    assert machine.state.unsettled
    machine.settle()
    return machine.log, middle


async def _record_member(target: Path, log: list[bytes], *, snapshot_after: int) -> dict[str, Any]:
    """A member with several segments, a snapshot, and entries behind it."""
    limits.SEGMENT_PREALLOCATE_BYTES, limits.SEGMENT_BYTES = 4096, 32 * 1024  # type: ignore[misc]
    replica = Replica()
    with tempfile.TemporaryDirectory() as home:
        node = member_node(Path(home), replica, fatal=[])
        await node.open()
        async with asyncio.timeout(10):
            while not node.status.is_ready:
                await asyncio.sleep(0.01)
        for number, payload in enumerate(log, start=1):
            await node.propose(payload)
            if number == snapshot_after:
                await node.backup(timeout_s=10)
        await node.close()
        _pack(Path(home), target)
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
    wide, middle = _wide_log()
    expected = {}
    for name, log in {"entries-1": _log_of_everything(), "entries-2": wide}.items():
        path = folder / f"{name}.z"
        path.write_bytes(zlib.compress(msgpack.packb(log), 9))
        expected[name] = replay_entries(path)
    log = long_log(MEMBER_LOG[0], steps=MEMBER_LOG[1])
    for name, entries, at in (("member", log, len(log) // 2), ("member-wide", wide, middle)):
        work = _record_member(folder / f"{name}.tar.z", entries, snapshot_after=at)
        expected[name] = asyncio.run(work)
    (folder / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
