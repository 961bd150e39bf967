"""Locks: never too many holders, tokens that only grow, first come first served, nobody forgotten."""

from __future__ import annotations

from collections import deque
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fsm.driver import MachineDriver, job
from titan.fsm.commands import (
    AcquireLock,
    AssignAttempt,
    CommitEffects,
    ExpireWorker,
    FinishAttempt,
    KvPut,
    Proposal,
    ReleaseAttempt,
    ReleaseLock,
    RenewLock,
)
from titan.fsm.outcomes import Applied
from titan.fsm.queries import GetClaim, ListLocks
from titan.fsm.views import read
from titan.ids import AttemptId, JobId, WorkerId


class Locks(MachineDriver):
    def acquire(self, claim: str, *, name: str = "l", wait_ms: int = 60_000, **fields: Any) -> Any:
        proposal = {key: fields.pop(key) for key in ("attempt", "client") if key in fields}
        command = AcquireLock(
            name=name, claim=claim, wait_ms=wait_ms, ttl_ms=fields.pop("ttl_ms", 1000), **fields
        )
        return self.do(command, **proposal)

    def release(self, claim: str, name: str = "l") -> Any:
        return self.do(ReleaseLock(name=name, claim=claim))

    def view(self, claim: str) -> Any:  # type: ignore[override]
        return read(self.state, GetClaim(name="l", claim=claim))

    def is_fenced(self, token: int, name: str = "l") -> bool:
        outcome = self.apply(KvPut(key="k", value=b"", lock=name, token=token))
        return not isinstance(outcome, Applied)


@pytest.fixture
def locks() -> Locks:
    return Locks()


def test_a_free_lock_is_granted_with_the_log_index_as_its_token(locks: Locks) -> None:
    token, due_ms = locks.acquire("c")
    assert token == locks.state.index
    assert due_ms == locks.now_ms + 1000
    assert locks.acquire("c") == [token, due_ms]  # the same claim again learns the same


def test_a_held_lock_is_not_granted_and_its_queue_is_in_order(locks: Locks) -> None:
    locks.acquire("a")
    assert locks.acquire("b", wait_ms=0) == [0, 0]
    waits = [0, locks.now_ms + 60_000]
    assert [locks.acquire(claim) for claim in "bcd"] == [waits] * 3
    assert [locks.view(claim).position for claim in "abcd"] == [0, 1, 2, 3]
    assert locks.acquire("c") == waits
    assert locks.view("c").position == 2
    assert locks.release("c") is True
    assert locks.view("d").position == 2
    tokens = []
    for claim in "abd":
        tokens.append(locks.view(claim).token)
        locks.release(claim)
    assert tokens == sorted(tokens)
    assert tokens[0] > 0
    assert locks.state.locks == {}
    assert locks.release("a") is False


def test_a_hold_ends_with_its_time_and_the_next_one_has_the_lock_at_once(locks: Locks) -> None:
    first = locks.acquire("a", ttl_ms=1000)[0]
    locks.acquire("b", ttl_ms=1000)
    locks.wait(600)
    assert locks.do(RenewLock(name="l", claim="a", ttl_ms=1000)) == locks.now_ms + 1000
    locks.wait(999)
    assert locks.view("a").token == first
    locks.wait(1)
    assert locks.view("a") is None
    assert locks.view("b").token > first
    assert locks.refuse(RenewLock(name="l", claim="a", ttl_ms=1000)) == "lock_lost"
    assert locks.refuse(RenewLock(name="m", claim="a", ttl_ms=1000)) == "lock_lost"


def test_whoever_does_not_ask_again_loses_its_place(locks: Locks) -> None:
    locks.acquire("a", ttl_ms=10_000)
    locks.acquire("b", wait_ms=100)
    locks.acquire("c", wait_ms=100)
    locks.wait(60)
    locks.acquire("c", wait_ms=100)
    locks.wait(60)
    assert (locks.view("b"), locks.view("c").position) == (None, 1)


def test_two_grants_in_one_entry_have_two_tokens_also_of_a_lock_that_was_forgotten(
    locks: Locks,
) -> None:
    acquire = [AcquireLock(name="l", claim=claim, ttl_ms=1000) for claim in "abc"]
    release = [ReleaseLock(name="l", claim=claim) for claim in "abc"]
    outcomes = locks.propose(
        *[Proposal(one) for pair in zip(acquire, release, strict=True) for one in pair]
    )
    tokens = [one.value[0] for one in outcomes[::2] if isinstance(one, Applied)]
    assert tokens == sorted(set(tokens))
    assert len(tokens) == 3
    assert locks.acquire("d")[0] > tokens[-1]


def test_a_write_under_a_lock_is_refused_once_the_token_is_no_longer_current(locks: Locks) -> None:
    token = locks.acquire("a")[0]
    assert not locks.is_fenced(token)
    assert locks.is_fenced(token + 1)
    assert locks.is_fenced(token, name="other")
    locks.wait(1000)
    locks.acquire("b")
    assert locks.is_fenced(token)
    put = KvPut(key="k", value=b"late")
    for batch in (
        CommitEffects(effects=(put,), lock="l", token=token),
        CommitEffects(effects=(KvPut(key="k", value=b"", lock="l", token=token),)),
    ):
        assert locks.refuse(batch) == "lock_lost"
    assert locks.do(CommitEffects(effects=(put,), lock="l", token=locks.view("b").token))


def test_a_semaphore_has_as_many_holders_as_slots(locks: Locks) -> None:
    tokens = [locks.acquire(claim, slots=2)[0] for claim in "ab"]
    assert all(tokens)
    assert locks.acquire("c", slots=2)[0] == 0
    assert locks.refuse(AcquireLock(name="l", claim="d", ttl_ms=1, slots=1)) == "invalid"
    assert not locks.is_fenced(tokens[0])
    assert not locks.is_fenced(tokens[1])
    locks.release("a")
    assert locks.is_fenced(tokens[0])
    assert not locks.is_fenced(locks.view("c").token)


@pytest.mark.parametrize("end", ["finished", "released", "expired"])
def test_a_claim_of_a_task_ends_with_its_attempt(locks: Locks, end: str) -> None:
    run = locks.submit([job("a")])
    attempt = locks.assign(run, "a")
    locks.acquire("held", attempt=attempt, ttl_ms=10**9)
    locks.acquire("next", client="somebody")
    locks.acquire("waits", attempt=attempt, wait_ms=10**9)
    locks.acquire("m", name="m", attempt=attempt)
    locks.acquire("held", name="n", attempt=attempt)  # the same claim of another lock
    owner = read(locks.state, ListLocks())[0].holders[0].owner
    assert owner == f"{run}/a#{attempt}"
    commands = {
        "finished": FinishAttempt(attempt=attempt, exit_code=1),
        "released": ReleaseAttempt(attempt=attempt, cause="lost"),
        "expired": ExpireWorker(worker=WorkerId("w1"), incarnation=1),
    }
    locks.do(commands[end])
    assert (locks.view("held"), locks.view("waits")) == (None, None)
    assert locks.view("next").token > 0
    assert list(locks.state.locks) == ["l"]
    renew = RenewLock(name="l", claim="held", ttl_ms=1000)
    assert locks.refuse(renew, attempt=attempt) == "attempt_not_live"


def test_what_is_asked_of_locks_is_bounded(locks: Locks, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(**fields: Any) -> str:
        fields = {"name": "l", "claim": "x", "ttl_ms": 1000, "wait_ms": 1000} | fields
        return locks.refuse(AcquireLock(**fields))

    assert refused(name="") == "too_large"
    assert refused(name="n" * 513) == "too_large"
    assert refused(claim="") == "invalid"
    assert refused(ttl_ms=0) == "invalid"
    assert refused(wait_ms=-1) == "invalid"
    assert refused(slots=0) == "invalid"
    assert refused(data="d" * 4097) == "too_large"
    locks.acquire("a")
    locks.acquire("b")
    assert locks.refuse(RenewLock(name="l", claim="a", ttl_ms=0)) == "invalid"
    monkeypatch.setattr("titan.fsm.locks.LOCK_WAITERS_MAX", 1)
    assert refused() == "lock_queue_full"
    monkeypatch.setattr("titan.fsm.locks.CLAIMS_MAX", 2)
    assert refused() == "lock_limit"
    monkeypatch.setattr("titan.fsm.locks.LOCKS_MAX", 1)
    assert refused(name="m") == "lock_limit"
    assert locks.acquire("b")[0] == 0  # who is in stays in


# --- against a model ------------------------------------------------------------------------------

CLAIMS = "ABCDEFG"
STEP = st.tuples(
    st.sampled_from(["acquire", "acquire", "acquire", "release", "renew", "time", "end", "write"]),
    st.sampled_from(CLAIMS),
    st.integers(0, 2000),
)


class Model:
    """What a lock is, written down as plainly as can be: a list of holders and a queue."""

    def __init__(self, slots: int) -> None:
        self.slots = slots
        self.holders: dict[str, tuple[int, int]] = {}  # claim → token, due
        self.queue: deque[str] = deque()
        self.until: dict[str, int] = {}  # of those who wait
        self.tokens: list[int] = []  # of all grants ever

    def gone(self, claim: str) -> None:
        self.holders.pop(claim, None)
        if claim in self.queue:
            self.queue.remove(claim)

    def ended(self, now_ms: int) -> list[str]:
        return [one for one, (_, due_ms) in self.holders.items() if due_ms <= now_ms] + [
            one for one in self.queue if self.until[one] <= now_ms
        ]

    def check(self, locks: Locks) -> None:
        """Take over who holds the lock now, if that follows from what is known."""
        lock = locks.state.locks.get("l")
        holders = {} if lock is None else lock.holders
        assert len(holders) <= self.slots
        fresh = {one: claim for one, claim in holders.items() if one not in self.holders}
        assert set(self.holders) <= set(holders), "somebody lost the lock without cause"
        for claim in fresh.values():
            assert claim.id == self.queue.popleft(), "the lock went past the queue"
            assert claim.token > max(self.tokens, default=0), "a token came again"
            self.tokens.append(claim.token)
        self.holders = {one: (claim.token, claim.due_ms) for one, claim in holders.items()}
        waiting = [] if lock is None else list(lock.waiters)
        assert waiting == list(self.queue), "the queue is not what it should be"
        assert len(self.holders) == self.slots or not self.queue, "a waiter is forgotten"


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(STEP, max_size=60), st.integers(1, 3))
def test_any_interleaving_keeps_holders_few_tokens_growing_and_the_queue_fair(
    steps: list[tuple[str, str, int]], slots: int
) -> None:
    locks, model = Locks(), Model(slots)
    run = locks.submit([job(claim, retries=1000, retry_backoff_ms=0) for claim in CLAIMS])
    locks.join("w1", slots=len(CLAIMS))
    attempts = {claim: _assign(locks, run, claim) for claim in CLAIMS}
    for what, claim, number in steps:
        known = claim in model.holders or claim in model.queue
        if what == "acquire":
            wait_ms = number % 3 * 400
            fields = {"ttl_ms": number + 1, "wait_ms": wait_ms, "slots": slots}
            answer = locks.acquire(claim, attempt=attempts[claim], **fields)
            if not known and (wait_ms or answer[0]):
                model.queue.append(claim)  # at once first, when there is a free slot
            if wait_ms and claim in model.queue:
                model.until[claim] = locks.now_ms + wait_ms
        elif what == "release":
            assert locks.release(claim) is known
            model.gone(claim)
        elif what == "renew":
            outcome = locks.apply(RenewLock(name="l", claim=claim, ttl_ms=number + 1))
            assert isinstance(outcome, Applied) == (claim in model.holders)
            if claim in model.holders:
                model.holders[claim] = (model.holders[claim][0], locks.now_ms + number + 1)
        elif what == "time":
            locks.wait(0)
            _pass_time(locks, model, to_ms=locks.now_ms + number)
        elif what == "end":
            locks.do(FinishAttempt(attempt=attempts[claim], exit_code=1))
            model.gone(claim)
            attempts[claim] = _assign(locks, run, claim)
        else:
            tokens = [token for token, _ in model.holders.values()]
            assert not any(locks.is_fenced(token) for token in tokens)
            stale = [token for token in model.tokens if token not in tokens]
            assert all(locks.is_fenced(token) for token in stale)
        model.check(locks)


def _assign(locks: Locks, run: Any, claim: str) -> AttemptId:
    command = AssignAttempt(run=run, job=JobId(claim), worker=WorkerId("w1"))
    return AttemptId(locks.do(command))


def _pass_time(locks: Locks, model: Model, *, to_ms: int) -> None:
    """From one end of a claim to the next, so that each grant follows from what is known."""
    while locks.now_ms < to_ms:
        due = [due_ms for _, due_ms in model.holders.values()]
        due += [model.until[one] for one in model.queue]
        locks.wait(min([to_ms, *[one for one in due if one > locks.now_ms]]) - locks.now_ms)
        for claim in model.ended(locks.now_ms):
            model.gone(claim)
        model.check(locks)
