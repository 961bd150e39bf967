"""Who is let in, and when a newcomer may stop asking."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from titan.consensus.api import RaftStatus, Role
from titan.consensus.membership import REMOVED_REASON, Removed
from titan.errors import Conflict
from titan.fsm.commands import NoteOrder
from titan.master import members
from titan.master.members import Joining, Members
from titan.wire.messages import AddMaster, MasterInfo, Message, Ok, Welcome

OURS, NEW = "m:1", "m:4"


class Raft:
    """A log that names `NEW` from the beginning; whether that is committed is `is_member`."""

    def __init__(self) -> None:
        self.is_member = False
        self.added: list[str] = []

    @property
    def status(self) -> RaftStatus:
        learners = (NEW,)
        return RaftStatus(
            role=Role.FOLLOWER, term=1, leader="", is_ready=False, commit_index=0, applied_index=0,
            last_index=1, heard_ms_ago=0, peers_up=(), voters=(OURS,), learners=learners,
            is_member=self.is_member,
        )  # fmt: skip

    async def add_member(self, address: str, *, member_id: str, timeout_s: float) -> int:
        self.added.append(member_id)
        return 7


class Peers:
    """The way to the others: `ask_as_client` is answered by `reply`."""

    def __init__(self, welcome: Welcome | None = None) -> None:
        self.welcome = welcome
        self.asked: list[Message] = []
        self.reply: Any = Ok

    async def greet(self, address: str) -> Welcome:
        assert self.welcome is not None
        return self.welcome

    async def ask_as_client(self, address: str, message: Message) -> Message:
        self.asked.append(message)
        answer: Message = self.reply()
        return answer


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(members, "JOIN_PERIOD_S", 0.001)
    monkeypatch.setattr(members, "NAMED_PATIENCE_S", 0.001)


def joining(raft: Raft, peers: Peers) -> Joining:
    return Joining(raft, peers, address=NEW, masters=(OURS,))  # type: ignore[arg-type]


async def test_a_newcomer_asks_until_its_membership_is_committed() -> None:
    """A leader that appended it may have lost the entry: nobody else knows of the newcomer then."""
    raft, peers = Raft(), Peers()
    task = asyncio.create_task(joining(raft, peers).run(), name="join")
    try:
        async with asyncio.timeout(10):
            while len(peers.asked) < 3:
                await asyncio.sleep(0.001)
        raft.is_member = True
        await asyncio.sleep(0.01)
        before = len(peers.asked)
        await asyncio.sleep(0.02)
        assert len(peers.asked) == before
        assert not task.done()
    finally:
        task.cancel()
        await asyncio.wait([task])


async def test_a_newcomer_that_was_removed_leaves_with_that_reason() -> None:
    def refuse() -> Message:
        raise Conflict("was removed", reason=REMOVED_REASON)

    peers = Peers()
    peers.reply = refuse
    with pytest.raises(Removed):
        await joining(Raft(), peers).run()


class Notes:
    """Keeps no note anywhere."""

    def keep(self, order: NoteOrder, *, who: str) -> None:
        assert order.action == "master.add"


def ours(peers: Peers) -> tuple[Members, Raft]:
    raft = Raft()
    raft_status = raft.status
    leader = Members(raft, peers, notes=Notes(), address=OURS, cluster_id=lambda: "ours")  # type: ignore[arg-type]
    assert raft_status.learners == (NEW,)
    return leader, raft


STRANGER = "m:5"
KNOWS = (MasterInfo(id="", address=OURS),)


@pytest.mark.parametrize(
    "welcome",
    [
        Welcome(cluster_id="", id="fresh"),
        Welcome(cluster_id="ours", id="half-added", masters=KNOWS),
        Welcome(cluster_id="", id="half-added, has applied nothing", masters=KNOWS),
    ],
)
async def test_an_empty_or_a_half_added_master_is_let_in(welcome: Welcome) -> None:
    leader, raft = ours(Peers(welcome))
    assert await leader.add(AddMaster(address=STRANGER)) == Ok()
    assert raft.added == [welcome.id]


@pytest.mark.parametrize(
    "welcome",
    [
        Welcome(cluster_id="", id="founder", masters=(*KNOWS, MasterInfo(id="", address="m:6"))),
        Welcome(cluster_id="theirs", id="member", masters=KNOWS),
        Welcome(cluster_id="theirs", id="alone"),
    ],
)
async def test_a_master_of_another_cluster_is_not(welcome: Welcome) -> None:
    leader, raft = ours(Peers(welcome))
    with pytest.raises(Conflict, match="cluster of its own"):
        await leader.add(AddMaster(address=STRANGER))
    assert raft.added == []
