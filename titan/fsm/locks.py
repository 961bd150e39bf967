"""Locks: who holds what, for how long, who is next. Semaphores are locks with more than one slot.

A grant draws a fencing token: at least the log index of the grant, and larger than every token before it,
also when one entry grants several times or a lock was forgotten meanwhile. A hold ends by its time to
live, by release, or with its attempt, always in the log; the next of the queue holds the lock in that
same instant. (The attempts of a large run that is cancelled are closed over several entries, their locks
with them.) Whoever waits keeps its place by asking again (`LOCK_WAIT_MS`), so the dead leave the queue.
"""

from __future__ import annotations

from titan.fsm import timers
from titan.fsm.commands import AcquireLock, ReleaseLock, RenewLock
from titan.fsm.events import LockChanged
from titan.fsm.handling import Stamp, Turn, handles
from titan.fsm.outcomes import Applied, Outcome, Rejected
from titan.fsm.records.locks import Claim, Lock
from titan.fsm.state import Attempt, State
from titan.limits import (
    CLAIMS_MAX,
    DURATION_MS_MAX,
    KV_KEY_BYTES_MAX,
    LOCK_DATA_BYTES_MAX,
    LOCK_SLOTS_MAX,
    LOCK_WAITERS_MAX,
    LOCKS_MAX,
    NAME_CHARS_MAX,
)


@handles(AcquireLock)
def acquire_lock(state: State, cmd: AcquireLock, at: Stamp) -> Outcome:
    """Grant the lock or a place in the queue. Answers its token, 0 while it waits, and until when."""
    refusal = _why_not(cmd)
    if refusal is not None:
        return refusal
    lock = state.locks.get(cmd.name)
    if lock is not None and cmd.claim in lock.holders:
        return Applied(_answer(lock.holders[cmd.claim]))
    if lock is not None and lock.slots != cmd.slots:
        why = f"lock '{cmd.name}' has {lock.slots} slots while it is in use, not {cmd.slots}"
        return Rejected("invalid", why)
    if lock is not None and cmd.claim in lock.waiters:
        waiter = lock.waiters[cmd.claim]
        if cmd.wait_ms:
            _keep(Turn(state, at), lock, waiter, for_ms=cmd.wait_ms)
        return Applied(_answer(waiter))
    is_free = lock is None or len(lock.holders) < lock.slots
    if not is_free and not cmd.wait_ms:
        return Applied([0, 0])
    refusal = _why_no_room(state, lock, waits=not is_free)
    if refusal is not None:
        return refusal
    turn = Turn(state, at)
    lock = lock or state.locks.setdefault(cmd.name, Lock(name=cmd.name, slots=cmd.slots))
    claim = _enqueue(turn, lock, cmd)
    _grant(turn, lock)
    return turn.done(_answer(claim))


def _why_not(cmd: AcquireLock) -> Rejected | None:
    if not cmd.name or len(cmd.name.encode()) > KV_KEY_BYTES_MAX:
        return Rejected("too_large", f"the name of a lock has 1 to {KV_KEY_BYTES_MAX} bytes")
    if not cmd.claim or len(cmd.claim) > NAME_CHARS_MAX:
        return Rejected("invalid", f"a claim has 1 to {NAME_CHARS_MAX} characters")
    if not 1 <= cmd.slots <= LOCK_SLOTS_MAX:
        return Rejected("invalid", f"a lock has 1 to {LOCK_SLOTS_MAX} slots")
    if len(cmd.data.encode()) > LOCK_DATA_BYTES_MAX:
        return Rejected("too_large", f"a holder shows at most {LOCK_DATA_BYTES_MAX} bytes")
    if not 0 <= cmd.wait_ms <= DURATION_MS_MAX:
        return Rejected("invalid", f"wait_ms is 0 to {DURATION_MS_MAX}")
    return _why_not_ttl(cmd.ttl_ms)


def _why_not_ttl(ttl_ms: int) -> Rejected | None:
    if 1 <= ttl_ms <= DURATION_MS_MAX:
        return None
    return Rejected("invalid", f"ttl_ms is 1 to {DURATION_MS_MAX}")


def _why_no_room(state: State, lock: Lock | None, *, waits: bool) -> Rejected | None:
    if lock is None and len(state.locks) >= LOCKS_MAX:
        return Rejected("lock_limit", f"{LOCKS_MAX} locks are held already")
    if state.claims >= CLAIMS_MAX:
        return Rejected("lock_limit", f"{CLAIMS_MAX} claims hold locks or wait for them already")
    if waits and lock is not None and len(lock.waiters) >= LOCK_WAITERS_MAX:
        why = f"{LOCK_WAITERS_MAX} wait for lock '{lock.name}' already"
        return Rejected("lock_queue_full", why)
    return None


def _answer(claim: Claim) -> list[int]:
    return [claim.token, claim.due_ms]


def position(lock: Lock, claim: Claim) -> int:
    """1 for the claim that is next; 0 for one that does not wait. Counts: not for apply."""
    return list(lock.waiters).index(claim.id) + 1 if claim.id in lock.waiters else 0


def _enqueue(turn: Turn, lock: Lock, cmd: AcquireLock) -> Claim:
    state, at = turn.state, turn.at
    claim = Claim(
        id=cmd.claim, ttl_ms=cmd.ttl_ms, client=at.client, attempt=at.attempt, data=cmd.data
    )
    lock.waiters[claim.id] = claim
    state.claims += 1
    if at.attempt:
        state.attempts[at.attempt].claims.setdefault(lock.name, {})[claim.id] = None
    if len(lock.holders) >= lock.slots:  # else it is granted before anybody looks
        _keep(turn, lock, claim, for_ms=cmd.wait_ms)
    return claim


def _grant(turn: Turn, lock: Lock) -> None:
    """Fill free slots from the queue."""
    state = turn.state
    while lock.waiters and len(lock.holders) < lock.slots:
        claim = lock.waiters.pop(next(iter(lock.waiters)))
        claim.token = state.last_token = max(turn.at.index, state.last_token + 1)
        lock.holders[claim.id] = claim
        _keep(turn, lock, claim, for_ms=claim.ttl_ms)
        turn.events.append(LockChanged(lock.name, claim.id))


def _keep(turn: Turn, lock: Lock, claim: Claim, *, for_ms: int) -> None:
    claim.due_ms = turn.at.now_ms + for_ms
    timers.set_timer(turn.state, timers.LOCK, lock.name, claim.id, due_ms=claim.due_ms)


@handles(RenewLock)
def renew_lock(state: State, cmd: RenewLock, at: Stamp) -> Outcome:
    """Hold on. Answers when the hold ends."""
    refusal = _why_not_ttl(cmd.ttl_ms)
    if refusal is not None:
        return refusal
    lock = state.locks.get(cmd.name)
    claim = lock.holders.get(cmd.claim) if lock is not None else None
    if lock is None or claim is None:
        return Rejected("lock_lost", f"lock '{cmd.name}' is not held by this claim any more")
    turn = Turn(state, at)
    claim.ttl_ms = cmd.ttl_ms
    _keep(turn, lock, claim, for_ms=cmd.ttl_ms)
    return turn.done(claim.due_ms)


@handles(ReleaseLock)
def release_lock(state: State, cmd: ReleaseLock, at: Stamp) -> Outcome:
    """Let go, also of a place in the queue. Answers whether there was one."""
    turn = Turn(state, at)
    return turn.done(drop(turn, cmd.name, cmd.claim))


def drop(turn: Turn, name: str, ident: str) -> bool:
    """End a claim, if there is one, and let the next of the queue hold the lock."""
    state = turn.state
    lock = state.locks.get(name)
    claim = lock.claim(ident) if lock is not None else None
    if lock is None or claim is None:
        return False
    lock.holders.pop(ident, None)
    lock.waiters.pop(ident, None)
    state.claims -= 1
    if claim.attempt:
        _disown(state.attempts[claim.attempt], name, ident)
    turn.events.append(LockChanged(name, ident))
    _grant(turn, lock)
    if not lock.holders:
        del state.locks[name]
    return True


def _disown(attempt: Attempt, name: str, ident: str) -> None:
    del attempt.claims[name][ident]
    if not attempt.claims[name]:
        del attempt.claims[name]


def attempt_is_over(turn: Turn, attempt: Attempt) -> None:
    """Whatever the attempt held or waited for is free. The attempt is still in the state."""
    for name, claims in list(attempt.claims.items()):
        for ident in list(claims):
            drop(turn, name, ident)


def why_not_held(state: State, name: str, token: int) -> Rejected | None:
    """Why a write that is to happen only while `token` holds the lock is refused; "" asks for none."""
    if not name:
        return None
    lock = state.locks.get(name)
    if lock is not None and any(claim.token == token for claim in lock.holders.values()):
        return None
    return Rejected("lock_lost", f"token {token} does not hold lock '{name}' any more")
