"""A request meets an election: it waits, asks again at the new leader, and tells doubt as doubt."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from titan.consensus.api import RaftStatus, Role
from titan.errors import (
    ConnectionLost,
    NotLeader,
    TitanError,
    Unavailable,
    UnknownOutcome,
    UserError,
)
from titan.fsm.commands import AdvanceTime, KvPut, encode_command
from titan.fsm.queries import KvGet
from titan.master import gateway
from titan.master.gateway import Gateway
from titan.master.replica import Replica
from titan.master.routes import Routes
from titan.wire.messages import Message, Read, ReadDone, Write, WriteDone

WRITE = Write(client="c", request=1, floor=1, command=encode_command(KvPut(key="k", value=b"v")))
READ = Read(query=msgspec.msgpack.encode(KvGet(key="k")))


def follower_of(leader: str) -> RaftStatus:
    return RaftStatus(
        role=Role.FOLLOWER,
        term=1,
        leader=leader,
        is_ready=False,
        commit_index=0,
        applied_index=0,
        last_index=0,
        heard_ms_ago=7,
        peers_up=(),
    )


class Raft:
    def __init__(self, *leaders: str) -> None:
        self.leaders = list(leaders)

    def on_status(self, listener: Callable[[RaftStatus], None]) -> None:
        pass

    @property
    def status(self) -> RaftStatus:
        return follower_of(self.leaders[0])


class Elsewhere:
    """The other masters: each address answers or fails as told; a failure moves the leadership on."""

    def __init__(self, raft: Raft, answers: dict[str, Message | TitanError]) -> None:
        self.raft = raft
        self.answers = answers
        self.asked: list[str] = []

    def connected(self, address: str) -> None:
        return None

    async def connect(self, address: str) -> Elsewhere:
        self.asked.append(address)
        if isinstance(self.answers[address], NotLeader):
            self._elect()
            raise ConnectionLost
        return self

    async def call(self, message: Message, *, timeout_s: float) -> Message:
        answer = self.answers[self.asked[-1]]
        if isinstance(answer, TitanError):
            self._elect()
            raise answer
        return answer

    def _elect(self) -> None:
        if len(self.raft.leaders) > 1:
            self.raft.leaders.pop(0)


class NoReign:
    reigns = False


def gateway_of(raft: Raft, elsewhere: Elsewhere, replica: Any = None) -> Gateway:
    proposer: Any = NoReign()
    return Gateway(
        routes=Routes(raft=raft, proposer=proposer, peers=elsewhere),  # type: ignore[arg-type]
        ledger=None,  # type: ignore[arg-type]
        raft=raft,  # type: ignore[arg-type]
        replica=replica or Replica(),
        proposer=proposer,
        peers=elsewhere,  # type: ignore[arg-type]
        blobs=None,  # type: ignore[arg-type]
        logs=None,  # type: ignore[arg-type]
        watches=None,  # type: ignore[arg-type]
        own_info=lambda: None,  # type: ignore[arg-type,return-value]
        members=None,  # type: ignore[arg-type]
        why=None,  # type: ignore[arg-type]
        fleet=None,  # type: ignore[arg-type]
        foresee=lambda command: None,
    )


@pytest.fixture(autouse=True)
def short_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gateway, "LEADER_WAIT_S", 0.1)


async def test_a_write_follows_the_leadership() -> None:
    raft = Raft("dead:1", "stepped-down:1", "", "new:1")
    elsewhere = Elsewhere(
        raft,
        {"dead:1": NotLeader(), "stepped-down:1": ConnectionLost(), "new:1": WriteDone(index=9)},
    )
    asyncio.get_running_loop().call_later(0.03, lambda: raft.leaders.remove(""))
    answer = await gateway_of(raft, elsewhere).write(WRITE, forwarded=False)
    assert answer == WriteDone(index=9)
    assert elsewhere.asked == ["dead:1", "stepped-down:1", "new:1"]


async def test_a_write_that_may_have_happened_is_never_called_refused() -> None:
    raft = Raft("dies:1", "")
    elsewhere = Elsewhere(raft, {"dies:1": ConnectionLost()})
    with pytest.raises(UnknownOutcome):
        await gateway_of(raft, elsewhere).write(WRITE, forwarded=False)


async def test_without_a_leader_the_answer_comes_in_bounded_time() -> None:
    raft = Raft("")
    with pytest.raises(NotLeader, match="no leader is known"):
        await gateway_of(raft, Elsewhere(raft, {})).read(READ, forwarded=False)


async def test_a_dead_leader_that_is_still_named_is_not_asked_for_ever() -> None:
    raft = Raft("dead:1")
    with pytest.raises(NotLeader):
        await gateway_of(raft, Elsewhere(raft, {"dead:1": NotLeader()})).read(READ, forwarded=False)


async def test_a_forwarded_request_is_not_forwarded_again() -> None:
    raft = Raft("other:1")
    elsewhere = Elsewhere(raft, {})
    with pytest.raises(NotLeader) as caught:
        await gateway_of(raft, elsewhere).write(WRITE, forwarded=True)
    assert caught.value.leader == "other:1"
    assert elsewhere.asked == []


async def test_a_stale_read_is_answered_here_with_its_age() -> None:
    raft = Raft("")
    stale = Read(query=READ.query, stale=True)
    answer = await gateway_of(raft, Elsewhere(raft, {})).read(stale, forwarded=False)
    assert answer == ReadDone(index=0, value=msgspec.msgpack.encode(None), age_ms=7)


async def test_a_command_that_an_old_master_could_not_read_stays_out_of_the_log(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(KvPut, "since", 2)
    raft = Raft("new:1")
    with pytest.raises(Unavailable, match="needs version 2"):
        await gateway_of(raft, Elsewhere(raft, {})).write(WRITE, forwarded=False)


@pytest.mark.parametrize("command", [b"", b"\xc1", encode_command(AdvanceTime())])
async def test_what_clients_may_not_command_is_refused(command: bytes) -> None:
    raft = Raft("new:1")
    bad = Write(client="c", request=1, floor=1, command=command)
    with pytest.raises(UserError, match="not a command"):
        await gateway_of(raft, Elsewhere(raft, {})).write(bad, forwarded=False)
