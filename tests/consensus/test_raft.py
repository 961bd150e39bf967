"""The asyncio shell: futures, listeners, limits and the end."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.consensus.sim import Machine
from tests.consensus.sim_disk import SimDisk
from titan import limits
from titan.consensus.api import RaftStatus, Role
from titan.consensus.config import RaftConfig
from titan.consensus.identity import Bindings
from titan.consensus.membership import Roster
from titan.consensus.raft import RaftNode
from titan.consensus.transport import Receiver
from titan.errors import (
    AccessDenied,
    DiskFull,
    Fatal,
    InvalidSpec,
    LimitExceeded,
    NotLeader,
    ProtocolError,
    TimedOut,
)


class NoPeers:
    """A wire with nobody on it."""

    def start(self, receiver: Receiver) -> None:
        self.receiver = receiver

    def send(self, peer: str, payload: bytes) -> None:
        pass

    def check_tasks(self) -> None:
        pass

    def members_changed(self, roster: Roster, *, gone: frozenset[str]) -> None:
        self.roster = roster

    def member_id(self, address: str) -> str:
        return ""

    async def close(self) -> None:
        pass


def config(*members: str, **settings: Any) -> RaftConfig:
    return RaftConfig(address="A", members=members, data_dir=Path("/d"), member_id="m", **settings)


class Shell:
    def __init__(self, *members: str, **settings: Any) -> None:
        self.disk, self.machine, self.wire = SimDisk(), Machine(), NoPeers()
        self.ends: list[Fatal] = []
        self.seen: list[RaftStatus] = []
        self.node = RaftNode(
            config=config(*members, **settings), machine=self.machine, transport=self.wire, disk=self.disk,
            on_fatal=self.ends.append,
        )  # fmt: skip
        self.node.on_status(self.seen.append)

    async def ready(self) -> None:
        async with asyncio.timeout(10):
            while not self.node.status.is_ready:
                await asyncio.sleep(0.01)


@pytest.fixture
async def single() -> AsyncIterator[Shell]:
    shell = Shell("A")
    await shell.node.open()
    await shell.ready()
    yield shell
    await shell.node.close()


async def test_a_proposal_answers_with_what_the_machine_returned(single: Shell) -> None:
    answers = await asyncio.gather(*(single.node.propose(b"k%d=1" % i) for i in range(100)))
    assert answers == list(range(answers[0], answers[0] + 100))
    assert await single.node.read_index(timeout_s=5) >= answers[-1]


async def test_proposals_of_one_loop_turn_share_one_sync(single: Shell) -> None:
    before = single.node.syncs
    await asyncio.gather(*(single.node.propose(b"k=1") for _ in range(500)))
    assert single.node.syncs == before + 1


async def test_a_backlog_is_applied_in_slices_and_others_have_their_turn_in_between(
    single: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "APPLY_ROUND_S", 0.0)
    answers = asyncio.gather(*(single.node.propose(b"k%d=1" % i) for i in range(20)))
    applied = {len(single.machine.history)}
    while not answers.done():
        await asyncio.sleep(0)
        applied.add(len(single.machine.history))
    assert len(applied) > 20, "entries were applied without a pause"
    assert await answers == [index for index, _ in single.machine.history[-20:]]


async def test_while_a_backlog_waits_messages_bring_no_rounds_beyond_one_a_turn(
    single: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "APPLY_ROUND_S", 0.0)
    answers = asyncio.gather(*(single.node.propose(b"k%d=1" % i) for i in range(20)))
    while not single.node._replica.is_busy:
        await asyncio.sleep(0)
    while not answers.done():
        before = len(single.machine.history)
        for _ in range(5):
            single.node.on_read()
            single.node.hurry()
        await asyncio.sleep(0)
        assert len(single.machine.history) <= before + 1


async def test_the_state_is_frozen_in_steps_a_turn_each_and_stays_as_it_is_meanwhile(
    single: Shell,
) -> None:
    await asyncio.gather(*(single.node.propose(b"k%d=1" % i) for i in range(20)))
    backup = asyncio.create_task(single.node.backup(timeout_s=10))
    while not single.node._replica.is_freezing:
        await asyncio.sleep(0)
    applied = len(single.machine.history)
    answer = single.node.propose(b"late=1")
    steps = set()
    while single.node._replica.is_freezing:
        assert single.machine.freezing is not None
        steps.add(single.machine.freezing.steps_left)
        assert len(single.machine.history) == applied
        single.node.on_read()
        await asyncio.sleep(0)
    assert steps >= {2, 1}, "no turn between two steps"
    await answer
    assert str(await backup) in single.disk.names_now
    assert single.machine.data["late"] == "1"


async def test_a_snapshot_is_due_when_the_log_outgrows_half_of_the_last_one() -> None:
    shell = Shell("A", snapshot_log_bytes_min=2_000, snapshot_entry_bytes=0)
    installer, journal = shell.node._replica.installer, shell.node._replica._journal
    await shell.node.open()
    await shell.ready()
    begun: list[int] = []
    for number in range(1, 201):
        value = b"x" * 200
        await shell.node.propose(b"k%d=%s" % (number, value))
        async with asyncio.timeout(5):
            while journal.bytes_in_view > installer.log_bytes_max:
                await asyncio.sleep(0.001)
        begun += [number] * (shell.node.counters["snapshot begun"] - len(begun))
    assert journal.bytes_in_view <= installer.log_bytes_max < 30_000
    gaps = [after - before for before, after in itertools.pairwise(begun)]
    assert min(gaps) > 1, f"one log was covered by two snapshots in a row: {gaps}"
    assert gaps[0] <= 10 < gaps[-1], f"a growing state was written again after {gaps} entries"
    await shell.node.close()


async def test_a_log_of_many_small_entries_is_due_for_a_snapshot_too() -> None:
    shell = Shell("A", snapshot_log_bytes_min=20_000, snapshot_entry_bytes=1_000)
    await shell.node.open()
    await shell.ready()
    for number in range(100):
        await shell.node.propose(b"k=%d" % number)
    async with asyncio.timeout(5):
        while shell.node.counters["snapshot begun"] < 3:
            await asyncio.sleep(0.001)
    await shell.node.close()


async def test_listeners_hear_of_every_change_of_role(single: Shell) -> None:
    assert single.seen[-1].is_ready
    assert single.seen[-1].role is Role.LEADER
    assert [s.term for s in single.seen] == sorted(s.term for s in single.seen)


async def test_too_large_an_entry_and_a_full_disk_are_refused(single: Shell) -> None:
    with pytest.raises(LimitExceeded):
        single.node.propose(b"x" * (limits.ENTRY_BYTES_MAX + 1))
    single.disk.free = 0
    single.node._replica.room.checked_at = float("-inf")
    with pytest.raises(DiskFull):
        single.node.propose(b"x")
    single.disk.free = 1 << 40
    single.node._replica.room.checked_at = float("-inf")
    assert await single.node.propose(b"k=1")


async def test_a_failing_disk_ends_the_member_once_and_nobody_is_told_it_worked(
    single: Shell,
) -> None:
    single.disk.fails = True
    waiter = single.node.propose(b"k=1")
    async with asyncio.timeout(5):
        while not single.ends:
            await asyncio.sleep(0.01)
    assert len(single.ends) == 1
    assert not waiter.done() or waiter.exception() is not None
    single.disk.fails = False


async def test_without_a_majority_nothing_is_promised() -> None:
    shell = Shell("A", "B", "C")
    await shell.node.open()
    with pytest.raises(NotLeader):
        shell.node.propose(b"k=1")
    with pytest.raises(NotLeader):
        await shell.node.read_index(timeout_s=0.1)
    with pytest.raises(NotLeader):
        await shell.node.transfer(None, timeout_s=0.1)
    with pytest.raises(ProtocolError):
        shell.node.on_message("B", b"nonsense")
    assert shell.ends == []
    await shell.node.close()


async def test_a_read_that_cannot_be_proved_times_out(single: Shell) -> None:
    single.node._replica._leading._reads.settle = lambda *, applied_index: False  # type: ignore[method-assign]
    with pytest.raises(TimedOut):
        await single.node.read_index(timeout_s=0.05)


def test_settings_that_contradict_one_another_are_named() -> None:
    wrong = RaftConfig(
        address="A", members=("B", "B"), data_dir=Path("/d"), member_id="", rtt_budget_ms=0,
        snapshot_entries=10, keep_entries=9,
    )  # fmt: skip
    with pytest.raises(InvalidSpec) as caught:
        wrong.validate()
    assert len(caught.value.problems) >= 5


def test_an_address_belongs_to_the_member_that_was_met_there_first() -> None:
    disk, path = SimDisk(), Path("/d/peers.json")
    bindings = Bindings(disk, path)
    bindings.check("B", member_id="m1")
    again = Bindings(disk, path)
    again.open()
    with pytest.raises(AccessDenied, match="member m1, not of m2") as caught:
        again.check("B", member_id="m2")
    assert caught.value.hint
    again.forget("B")
    again.check("B", member_id="m2")


async def test_a_dead_part_of_the_wire_ends_the_member(single: Shell) -> None:
    def dead() -> None:
        raise RuntimeError("a dialler died")

    single.wire.check_tasks = dead  # type: ignore[method-assign]
    single.node.propose(b"k=1")
    async with asyncio.timeout(5):
        while not single.ends:
            await asyncio.sleep(0.01)
    assert "a dialler died" in str(single.ends[0])


async def test_a_master_that_says_so_ends_a_removed_member(single: Shell) -> None:
    single.node.on_removed()
    assert [end.exit_code for end in single.ends] == [78]


async def test_what_a_callback_of_a_proposal_raises_is_reported_and_disturbs_nothing(
    single: Shell,
) -> None:
    reported: list[str] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: reported.append(str(context["exception"])))
    single.node.propose(b"k=1").add_done_callback(lambda _: 1 / 0)
    assert await single.node.propose(b"k=2")
    assert reported == ["division by zero"]
    assert single.ends == []


async def test_a_proposal_made_by_the_answer_to_another_one_is_committed(single: Shell) -> None:
    loop = asyncio.get_running_loop()
    second: asyncio.Future[object] = loop.create_future()

    def again(_: object) -> None:
        following = single.node.propose(b"k=2")
        single.node.hurry()  # within a round: it has to wait for the next one
        following.add_done_callback(lambda done: second.set_result(done.result()))

    single.node.propose(b"k=1").add_done_callback(again)
    assert await asyncio.wait_for(second, 5)
