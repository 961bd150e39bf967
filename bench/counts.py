"""What a job costs a leader, counted instead of timed: `python -m bench.counts [--write]`.

The leader's own code (proposer, reign, planner, sessions, state machine) runs 500 jobs `true` for a worker
that answers at once. Only the log is a stand-in: it commits every entry in the next turn of the loop. No
clock and no other process takes part, so the same code gives the same counts on a busy machine.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, Final, cast

import titan
from titan.consensus.api import Raft
from titan.errors import TitanError
from titan.fsm.commands import (
    VERSION,
    RaiseVersion,
    SubmitRun,
    decode_entry,
)
from titan.fsm.machine import Machine
from titan.ids import JobId, RunId, WorkerId
from titan.master.proposer import Proposer
from titan.master.reign import Reign
from titan.master.replica import Replica
from titan.master.sessions import Session
from titan.spec.model import JobSpec
from titan.wire.connection import Connection
from titan.wire.messages import AttemptEnded, Message, Register, RunAttempt, encode

COMMITTED: Final = Path(__file__).with_name("counts.json")
TOLERANCE: Final = 0.08  # small changes come and go; a new cost per job is larger
JOBS: Final = 500
SLOTS: Final = 2
NOW_MS: Final = 1_700_000_000_000
_TITAN: Final = str(Path(titan.__file__).parent)


class InstantLog:
    """A log that commits by itself, one entry per turn of the loop."""

    def __init__(self, replica: Replica) -> None:
        self._replica = replica
        self.entries: list[bytes] = []

    def propose(self, payload: bytes) -> asyncio.Future[Any]:
        loop = asyncio.get_running_loop()
        committed: asyncio.Future[Any] = loop.create_future()
        self.entries.append(payload)
        index = len(self.entries)
        loop.call_soon(self._commit, committed, index, payload)
        return committed

    def hurry(self) -> None:
        """It commits in the next turn anyway."""

    def _commit(self, committed: asyncio.Future[Any], index: int, payload: bytes) -> None:
        try:
            committed.set_result(self._replica.apply(index, payload))
        except TitanError as error:  # else who proposed it would wait for ever
            committed.set_exception(error)


class InstantWorker:
    """A worker's end of a connection: whatever it is to run has ended well in the next turn."""

    is_closed = False

    def __init__(self, session: Session) -> None:
        self._session = session
        self.heard: list[Message] = []
        self.said: list[Message] = []

    def note(self, message: Message) -> None:
        """The leader says something."""
        self.heard.append(message)
        if isinstance(message, RunAttempt):
            ended = AttemptEnded(attempt=message.attempt, exit_code=0, duration_us=1000)
            self.said.append(ended)
            asyncio.get_running_loop().call_soon(self._session.on_note, self._here, ended)

    @property
    def _here(self) -> Connection:
        return cast("Connection", self)


class Calls:
    """Counts calls of Titan's own functions, by `sys.setprofile`.

    Comprehensions are left out: some versions of Python call them, others do not.
    """

    def __init__(self) -> None:
        self.count = 0

    @contextmanager
    def counting(self) -> Iterator[None]:
        sys.setprofile(self._note)
        try:
            yield
        finally:
            sys.setprofile(None)

    def _note(self, frame: FrameType, what: str, _argument: object) -> None:
        if what == "call" and _is_ours(frame.f_code):
            self.count += 1


def _is_ours(code: CodeType) -> bool:
    is_inner = code.co_name.endswith(("comp>", "genexpr>"))
    return not is_inner and code.co_filename.startswith(_TITAN)


async def count_leader() -> dict[str, float]:
    """Per job: entries, commands, bytes of the log, messages and their bytes, calls."""
    replica = Replica()
    log = InstantLog(replica)
    proposer = Proposer(cast("Raft", log), now_ms=lambda: NOW_MS)
    reign = Reign(replica, proposer, epoch=1, masters=("m1",), now_ms=lambda: NOW_MS)
    reigning = asyncio.create_task(reign.run(address="m1"), name="reign")
    try:
        await _until(lambda: reign.is_on)
        await reign.propose(RaiseVersion(version=VERSION))
        worker = await _join(reign)
        jobs = tuple(JobSpec(id=JobId(f"j{n}"), argv=(b"true",)) for n in range(JOBS))
        run = RunId("r-00000000000000000001")
        calls, first = Calls(), len(log.entries)
        worker.heard.clear()
        with calls.counting():
            await reign.propose(SubmitRun(run=run, name="counts", jobs=jobs))
            await _until(lambda: bool(replica.state.runs[run].ended_ms))
            await _until(lambda: not replica.state.attempts)
    finally:
        reigning.cancel()
        await asyncio.gather(reigning, return_exceptions=True)
    entries = log.entries[first + 1 :]  # without the submission
    messages = [*worker.heard, *worker.said]
    return {
        "entries": len(entries) / JOBS,
        "commands": sum(len(decode_entry(one).proposals) for one in entries) / JOBS,
        "log_bytes": sum(map(len, entries)) / JOBS,
        "messages": len(messages) / JOBS,
        "message_bytes": sum(len(encode(one)) for one in messages) / JOBS,
        "leader_calls": calls.count / JOBS,
        "follower_calls": _count_apply(log.entries, first + 1) / JOBS,
    }


async def _join(reign: Reign) -> InstantWorker:
    session = Session(reign.sessions, cast("Any", None))
    worker = InstantWorker(session)
    register = Register(
        worker=WorkerId("w1"),
        incarnation=1,
        name="w1",
        capabilities=("GENERAL",),
        slots=SLOTS,
        resources={},
        holds=(),
        epoch_seen=0,
        version="1",
    )
    await cast("Awaitable[Message]", session.on_call(cast("Connection", worker), register))
    await _until(lambda: session.is_open)
    return worker


async def _until(is_so: Callable[[], bool]) -> None:
    """Let the loop turn. The clock plays no part, so the number of turns is the deadline."""
    for _ in range(100_000):
        if is_so():
            return
        await asyncio.sleep(0)
    raise AssertionError("the leader has stopped working")


def _count_apply(entries: list[bytes], first: int) -> int:
    """Calls of a follower's state machine for the entries from `first` on."""
    machine, calls = Machine(), Calls()
    for index, payload in enumerate(entries, start=1):
        if index <= first:
            machine.apply(index, payload)
            continue
        with calls.counting():
            machine.apply(index, payload)
    return calls.count


def differences(found: dict[str, float], committed: dict[str, float]) -> list[str]:
    """What is not as committed, as sentences. A count that has become smaller is to be committed too."""
    told = []
    for name in sorted(found.keys() | committed.keys()):
        now, before = found.get(name), committed.get(name)
        if now is None or before is None:
            told.append(f"{name}: {'not counted any more' if now is None else 'not committed'}")
        elif abs(now - before) > TOLERANCE * before:
            told.append(f"{name}: {now:.2f} per job, {before:.2f} are committed")
    return told


def committed() -> dict[str, float]:
    """The counts in the repository."""
    counts: dict[str, float] = json.loads(COMMITTED.read_text())
    return counts


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.counts", description=__doc__)
    parser.add_argument("--write", action="store_true", help="commit to what is counted now")
    is_writing = parser.parse_args().write
    found = {name: round(value, 3) for name, value in asyncio.run(count_leader()).items()}
    for name, value in found.items():
        print(f"{name:16} {value:10.2f} per job")
    if is_writing:
        COMMITTED.write_text(json.dumps(found, indent=1) + "\n")
        return 0
    wrong = differences(found, committed())
    print(*wrong, sep="\n", end="\n" if wrong else "")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
