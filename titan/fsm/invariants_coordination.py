"""What must be true of locks and mailboxes in every state; part of `invariants.py`."""

from __future__ import annotations

from titan import limits
from titan.fsm import timers
from titan.fsm.state import State


def validate_locks(state: State, counted: dict[tuple[str, tuple[str, ...]], int]) -> None:
    """Raise `AssertionError` unless every lock is held as it may be, by claims that are known."""
    tokens: list[int] = []
    owned: dict[int, dict[str, dict[str, None]]] = {}
    for name, lock in state.locks.items():
        assert name == lock.name, f"lock '{name}' is filed wrongly"
        assert 1 <= len(lock.holders) <= lock.slots, (
            f"lock '{name}' has {len(lock.holders)} holders"
        )
        is_full = len(lock.holders) == lock.slots
        assert is_full or not lock.waiters, f"'{name}' is free and {list(lock.waiters)} wait for it"
        assert len(lock.waiters) <= limits.LOCK_WAITERS_MAX, f"too many wait for lock '{name}'"
        granted = [claim.token for claim in lock.holders.values()]
        assert granted == sorted(granted), f"lock '{name}' was granted out of order: {granted}"
        assert min(granted) > 0, f"lock '{name}' is held without a token"
        tokens += granted
        for ident, claim in (*lock.holders.items(), *lock.waiters.items()):
            assert ident == claim.id, f"claim {ident} of lock '{name}' is filed wrongly"
            due_ms = counted.get((timers.LOCK, (name, ident)))
            assert due_ms == claim.due_ms, f"claim {ident} of '{name}' ends at {due_ms}"
            if claim.attempt:
                assert claim.attempt in state.attempts, f"claim {ident} of '{name}' has no attempt"
                owned.setdefault(claim.attempt, {}).setdefault(name, {})[ident] = None
        assert not any(claim.token for claim in lock.waiters.values()), f"'{name}': token in queue"
    total = sum(len(lock.holders) + len(lock.waiters) for lock in state.locks.values())
    assert state.claims == total, f"there are {total} claims, not {state.claims}"
    assert len(dict.fromkeys(tokens)) == len(tokens), "two holders share a token"
    assert max(tokens, default=0) <= state.last_token, "a token was never drawn"
    for number, attempt in state.attempts.items():
        assert attempt.claims == owned.get(number, {}), f"attempt {number} claims {attempt.claims}"


def validate_mail(state: State) -> None:
    """Raise `AssertionError` unless mailboxes are bounded, in order, and of runs that live."""
    size = 0
    seqs: list[int] = []
    for run, boxes in state.mail.items():
        assert run in state.runs, f"there is mail for {run}, which does not exist"
        assert not state.runs[run].ended_ms, f"there is mail for {run}, which has ended"
        assert boxes, f"run {run} has no mailbox but an entry"
        for job, box in boxes.items():
            assert not job or job in state.runs[run].jobs, f"there is mail for {run}/{job}"
            assert 1 <= len(box) <= limits.SIGNALS_PER_MAILBOX_MAX, f"{run}/{job}: {len(box)}"
            order = [signal.seq for signal in box]
            assert order == sorted(order), f"mail of {run}/{job} is out of order: {order}"
            seqs += order
            size += sum(len(signal.payload) for signal in box)
    assert len(dict.fromkeys(seqs)) == len(seqs), "two signals share a number"
    assert max(seqs, default=0) < state.next_signal, "next_signal was drawn already"
    assert state.mail_bytes == size, f"{size} bytes of mail, not {state.mail_bytes}"
