"""Epochs, sessions, the digest, and what stops a master rather than being skipped."""

from __future__ import annotations

import msgspec
import pytest

from tests.fsm.driver import START_MS, MachineDriver, chain, job
from titan import limits
from titan.errors import Fatal
from titan.fsm.commands import (
    AdvanceTime,
    Entry,
    FinishAttempt,
    KvIncr,
    KvPut,
    OpenEpoch,
    Proposal,
    SubmitRun,
    decode_client_command,
    encode_entry,
)
from titan.fsm.handling import HANDLERS
from titan.fsm.machine import Machine
from titan.fsm.outcomes import Applied, Rejected
from titan.fsm.queries import decode_query
from titan.ids import RunId

INCR = KvIncr(key="n")


# --- order and epochs -----------------------------------------------------------------------------


def test_one_outcome_for_each_proposal_in_order(machine: MachineDriver) -> None:
    outcomes = machine.propose(*[Proposal(KvIncr(key="n", by=n)) for n in (1, 2, 3)])
    assert [outcome.value for outcome in outcomes if isinstance(outcome, Applied)] == [1, 3, 6]


def test_an_older_epoch_is_refused_and_cannot_move_the_clock(machine: MachineDriver) -> None:
    machine.do(OpenEpoch(epoch=5, leader="m2"), client="")
    machine.now_ms += 1000
    outcomes = machine.propose(Proposal(INCR), Proposal(AdvanceTime()), epoch=4)
    assert [getattr(outcome, "code", "") for outcome in outcomes] == ["stale_epoch"] * 2
    assert machine.state.kv == {}
    assert machine.state.now_ms == START_MS


def test_an_epoch_is_opened_once(machine: MachineDriver) -> None:
    assert machine.refuse(OpenEpoch(epoch=1, leader="m1")) == "stale_epoch"
    assert machine.do(OpenEpoch(epoch=2, leader="m1", cluster_id="other")) == "test"
    assert machine.state.epoch == 2


def test_what_was_refused_for_its_epoch_may_be_repeated(machine: MachineDriver) -> None:
    machine.do(OpenEpoch(epoch=2, leader="m2"))
    [refused] = machine.propose(Proposal(INCR, client="c", request=1), epoch=1)
    assert isinstance(refused, Rejected)
    [applied] = machine.propose(Proposal(INCR, client="c", request=1), epoch=2)
    assert applied == Applied(1, applied.events)  # type: ignore[union-attr]


def test_committed_time_never_goes_backwards(machine: MachineDriver) -> None:
    machine.now_ms -= 5000
    machine.do(INCR)
    assert machine.state.now_ms == START_MS


def test_a_clock_at_zero_is_no_problem() -> None:
    machine = MachineDriver()
    machine.machine = Machine()
    machine.now_ms = 0
    run = machine.submit([job("a")])
    machine.run_job(run, "a")
    assert machine.run_view(run).over


# --- sessions -------------------------------------------------------------------------------------


def test_a_repeated_request_gets_its_first_answer_and_has_no_effect(
    machine: MachineDriver,
) -> None:
    assert machine.do(INCR, client="c", request=1) == 1
    assert machine.do(INCR, client="c", request=1) == 1
    assert machine.events == ()
    assert machine.do(INCR, client="d", request=1) == 2
    assert machine.do(INCR, client="c", request=2) == 3


def test_a_refusal_is_remembered_too(machine: MachineDriver) -> None:
    machine.do(KvPut(key="n", value=b"x"))
    assert machine.refuse(INCR, client="c", request=1) == "wrong_type"
    machine.do(KvPut(key="n", value=b"1"))
    assert machine.refuse(INCR, client="c", request=1) == "wrong_type"


def test_requests_below_the_floor_are_forgotten_and_refused(machine: MachineDriver) -> None:
    machine.do(INCR, client="c", request=1)
    machine.do(INCR, client="c", request=2)
    machine.do(INCR, client="c", request=3, floor=3)
    assert list(machine.state.sessions["c"].results) == [3]
    assert machine.refuse(INCR, client="c", request=2) == "request_expired"


def test_a_client_that_never_raises_its_floor_is_bounded(machine: MachineDriver) -> None:
    for request in range(1, limits.SESSION_RESULTS_MAX + 2):
        machine.propose(Proposal(INCR, client="c", request=request))
    assert machine.refuse(INCR, client="c", request=1) == "request_expired"
    assert machine.do(INCR, client="c", request=2) == 2


def test_a_silent_session_is_forgotten_but_not_one_in_use(machine: MachineDriver) -> None:
    machine.do(INCR, client="silent", request=1)
    machine.do(INCR, client="busy", request=1)
    machine.wait(limits.SESSION_IDLE_MS - 1)
    machine.do(INCR, client="busy", request=2)
    machine.wait(1)
    assert list(machine.state.sessions) == ["busy"]
    machine.wait(limits.SESSION_IDLE_MS - 1)
    assert not machine.state.sessions


def test_the_least_recently_used_session_gives_way(
    machine: MachineDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("titan.fsm.sessions.SESSIONS_MAX", 2)
    for client in ("a", "b", "a", "c"):
        machine.propose(Proposal(INCR, client=client, request=1))
    assert list(machine.state.sessions) == ["a", "c"]


def test_a_submission_repeated_by_its_client_takes_effect_once(machine: MachineDriver) -> None:
    submit = SubmitRun(run=RunId("r-1"), name="n", jobs=chain("a", "b"))
    assert machine.do(submit, client="c", request=1) == "r-1"
    assert machine.do(submit, client="c", request=1) == "r-1"
    assert machine.do(submit, client="other", request=1) == "r-1"
    assert len(machine.state.runs) == 1


# --- the digest and fail-stop ---------------------------------------------------------------------


def test_the_digest_covers_entries_and_outcomes(machine: MachineDriver) -> None:
    other = MachineDriver()
    assert machine.machine.digest == other.machine.digest
    machine.do(INCR)
    other.do(INCR)
    assert machine.machine.digest == other.machine.digest
    other.state.kv["n"].value = b"7"
    before = machine.machine.digest
    machine.do(INCR)
    other.do(INCR)
    assert machine.machine.digest != before
    assert machine.machine.digest != other.machine.digest


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"garbage",
        msgspec.msgpack.encode([1, 1, 0, [[{"!": "from.the.future"}]]]),
        msgspec.msgpack.encode([2, 1, 0, []]),
        msgspec.msgpack.encode([1, 1, 0, [[{"!": "kv.incr", "key": "x"}]]])[:-2] + b"\xa1\xff",
        b"\x94\x01\x01\x00\x91\x91\x82\xa1!\xa7kv.incr\xa3key\xa1\xff",
    ],
)
def test_what_this_version_cannot_read_stops_it(payload: bytes) -> None:
    machine = Machine()
    with pytest.raises(Fatal, match="too old for entry 1"):
        machine.apply(1, payload)
    assert machine.state.index == 0


def test_an_index_is_never_applied_twice(machine: MachineDriver) -> None:
    payload = encode_entry(Entry(1, 1, 0, ()))
    with pytest.raises(AssertionError, match="entry 2 after entry 2"):
        machine.machine.apply(2, payload)


def test_a_fault_in_a_handler_is_not_hidden(
    machine: MachineDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setitem(HANDLERS, FinishAttempt, broken)  # type: ignore[arg-type]
    with pytest.raises(ZeroDivisionError):
        machine.apply(FinishAttempt(attempt=1, exit_code=0))  # type: ignore[arg-type]


def test_every_command_has_a_handler() -> None:
    from typing import get_args

    from titan.fsm.commands import AnyCommand

    assert sorted(kind.__name__ for kind in get_args(AnyCommand)) == sorted(
        kind.__name__ for kind in HANDLERS
    )


@pytest.mark.parametrize(
    "payload", [b"", b"\x81\xa1!\xa1\xff", b"\x81\xa1?\xa1\xff", b"\x91" * 9999]
)
def test_a_clients_garbage_is_one_kind_of_error(payload: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        decode_client_command(payload)
    with pytest.raises(msgspec.DecodeError):
        decode_query(payload)
