"""Group commit: who waits shares an entry, and nobody waits for ever."""

from __future__ import annotations

import asyncio

import pytest

from titan.consensus.api import RaftStatus, Role
from titan.errors import LimitExceeded, NotLeader, Unavailable, UnknownOutcome
from titan.fsm.commands import AdvanceTime, Entry, KvPut, OpenEpoch, decode_entry, encode_command
from titan.fsm.machine import Result
from titan.fsm.outcomes import Applied, Outcome, Rejected
from titan.ids import AttemptId, RunId
from titan.limits import ENTRY_BYTES_MAX, HELD_BACK_AT_ONCE
from titan.master import proposer as proposer_module
from titan.master.proposer import Proposer
from titan.master.replica import AppliedEntry

STATUS = RaftStatus(
    role=Role.LEADER,
    term=3,
    leader="me:1",
    is_ready=True,
    commit_index=0,
    applied_index=0,
    last_index=0,
    heard_ms_ago=0,
    peers_up=(),
)


class HeldLog:
    """A log that commits when the test says so."""

    status = STATUS

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.futures: list[asyncio.Future[AppliedEntry]] = []
        self.unsettled: list[str] = []

    def hurry(self) -> None:
        """It commits when it is told to."""

    def propose(self, payload: bytes) -> asyncio.Future[AppliedEntry]:
        self.entries.append(decode_entry(payload))
        self.futures.append(asyncio.get_running_loop().create_future())
        return self.futures[-1]

    def commit(self, at: int, *, busy: tuple[str, ...] = ()) -> None:
        """Apply the entry; what sets a key of `busy` is refused until the run of that name is settled."""
        outcomes: list[Outcome] = []
        for number, proposal in enumerate(self.entries[at].proposals):
            key = getattr(proposal.command, "key", "")
            is_busy = key in busy
            outcomes.append(Rejected("settling", run=RunId(key)) if is_busy else Applied(number))
        result = Result(outcomes=tuple(outcomes), events=())
        self.futures[at].set_result(AppliedEntry(at + 1, result))


async def reigning(log: HeldLog, *, unsettled: tuple[str, ...] = ()) -> Proposer:
    proposer = Proposer(log, now_ms=lambda: 7, unsettled=lambda: log.unsettled)  # type: ignore[arg-type]
    log.unsettled = list(unsettled)
    opening = asyncio.create_task(proposer.open_epoch(OpenEpoch(epoch=3, leader="me:1")))
    await asyncio.sleep(0)
    log.commit(0)
    await opening
    return proposer


async def turn() -> None:
    for _ in range(3):
        await asyncio.sleep(0)


def put(
    proposer: Proposer, value: bytes, request: int, *, key: str = "k"
) -> asyncio.Future[object]:
    command = encode_command(KvPut(key=key, value=value))
    return proposer.submit_encoded(
        command, client="c", request=request, floor=0, attempt=AttemptId(0)
    )  # type: ignore[return-value]


async def test_what_arrives_while_an_entry_is_in_flight_shares_the_next() -> None:
    log = HeldLog()
    proposer = await reigning(log)
    first = put(proposer, b"1", 1)
    await turn()
    rest = [put(proposer, b"x", n) for n in range(2, 12)]
    await turn()
    assert [len(entry.proposals) for entry in log.entries] == [1, 1]
    log.commit(1)
    await first
    await turn()
    assert len(log.entries[2].proposals) == 10
    log.commit(2)
    assert [(await one).index for one in rest] == [3] * 10
    assert log.entries[2].epoch == 3
    assert log.entries[2].now_ms == 7
    assert log.entries[2].proposals[0].command == KvPut(key="k", value=b"x")


async def test_much_waiting_is_sent_although_an_entry_is_in_flight() -> None:
    log = HeldLog()
    proposer = await reigning(log)
    for n in range(1, 12):
        put(proposer, bytes(60_000), n)
        await turn()
    assert len(log.entries) > 2
    assert all(len(entry.proposals) <= 4 for entry in log.entries)


async def test_an_entry_never_exceeds_its_limit() -> None:
    log = HeldLog()
    proposer = await reigning(log)
    proposer.submit(AdvanceTime())
    await turn()
    for n in range(1, 30):
        put(proposer, bytes(100_000), n)
    await turn()
    sizes = [sum(len(p.command.value) for p in e.proposals) for e in log.entries[2:]]  # type: ignore[union-attr]
    assert sizes
    assert max(sizes) <= ENTRY_BYTES_MAX
    assert max(len(e.proposals) for e in log.entries) == 2


async def test_a_request_larger_than_an_entry_is_refused_with_a_hint() -> None:
    proposer = await reigning(HeldLog())
    with pytest.raises(LimitExceeded) as caught:
        put(proposer, bytes(ENTRY_BYTES_MAX), 1)
    assert "file" in caught.value.hint


async def test_what_waits_is_bounded_in_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proposer_module, "PROPOSALS_WAITING_BYTES_MAX", 150_000)
    proposer = await reigning(HeldLog())
    put(proposer, bytes(60_000), 1)  # all of one turn: nothing has been sent yet
    put(proposer, bytes(60_000), 2)
    with pytest.raises(Unavailable, match="too many"):
        put(proposer, bytes(60_000), 3)


async def test_nothing_is_accepted_outside_a_reign() -> None:
    proposer = Proposer(HeldLog(), now_ms=lambda: 0)  # type: ignore[arg-type]
    with pytest.raises(NotLeader):
        proposer.submit(AdvanceTime())


async def test_the_end_of_a_reign_fails_what_was_not_sent_and_what_was_is_unknown() -> None:
    log = HeldLog()
    proposer = await reigning(log)
    sent = put(proposer, b"1", 1)
    await turn()
    waiting = put(proposer, b"2", 2)
    proposer.close_epoch()
    log.futures[1].set_exception(UnknownOutcome())
    with pytest.raises(NotLeader):
        await waiting
    with pytest.raises(UnknownOutcome):
        await sent


async def test_one_who_stops_waiting_does_not_disturb_the_others() -> None:
    log = HeldLog()
    proposer = await reigning(log)
    proposer.submit(AdvanceTime())
    await turn()
    impatient, patient = put(proposer, b"1", 1), put(proposer, b"2", 2)
    impatient.cancel()
    log.commit(1)
    await turn()
    log.commit(2)
    assert (await patient).outcome == Applied(1)  # type: ignore[attr-defined]


def keys(entry: Entry) -> list[str]:
    return [getattr(one.command, "key", "") for one in entry.proposals]


async def test_what_must_wait_for_a_settled_run_is_proposed_again_in_its_order() -> None:
    log = HeldLog()
    proposer = await reigning(log, unsettled=("a", "b"))
    waiting = [put(proposer, b"1", 1, key="a"), put(proposer, b"2", 2, key="b")]
    waiting += [put(proposer, b"3", 3, key="a"), put(proposer, b"4", 4)]
    await turn()
    log.commit(1, busy=("a", "b"))
    await turn()
    assert [answer.done() for answer in waiting] == [False, False, False, True]
    log.unsettled = ["b"]
    advance = proposer.submit(AdvanceTime())  # as the leader does until all is settled
    await turn()
    log.commit(2)
    await turn()
    assert advance.done()
    assert keys(log.entries[3]) == ["a", "a"]
    log.unsettled = []
    log.commit(3)
    await turn()
    assert keys(log.entries[4]) == ["b"]
    log.commit(4)
    await turn()
    assert all(answer.done() for answer in waiting)


async def test_a_run_that_many_wait_for_gets_them_a_few_at_a_time() -> None:
    log = HeldLog()
    proposer = await reigning(log, unsettled=("a",))
    count = HELD_BACK_AT_ONCE + 9
    waiting = [put(proposer, b"1", n, key="a") for n in range(1, count + 1)]
    await turn()
    log.commit(1, busy=("a",))
    log.unsettled = []
    await turn()
    assert len(log.entries[2].proposals) == HELD_BACK_AT_ONCE
    for answer in waiting[HELD_BACK_AT_ONCE:-1]:
        answer.cancel()  # whoever asked has gone
    log.commit(2)
    await turn()
    assert len(log.entries[3].proposals) == 1
    log.commit(3)
    await turn()
    assert waiting[-1].done()


async def test_what_waits_for_a_settled_run_hears_of_the_end_of_the_reign() -> None:
    log = HeldLog()
    proposer = await reigning(log, unsettled=("a",))
    held = put(proposer, b"1", 1, key="a")
    await turn()
    log.commit(1, busy=("a",))
    await turn()
    late = put(proposer, b"1", 3, key="a")
    await turn()
    proposer.close_epoch()
    with pytest.raises(NotLeader):
        await held
    log.commit(2, busy=("a",))
    with pytest.raises(NotLeader):
        await late
