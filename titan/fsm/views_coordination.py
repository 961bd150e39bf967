"""Reading locks and signals; part of `views.py`."""

from __future__ import annotations

from titan.fsm.locks import position
from titan.fsm.queries import ClaimView, GetClaim, ListLocks, LockView, PeekSignal, SignalView
from titan.fsm.records.locks import Claim, Lock
from titan.fsm.signals import oldest
from titan.fsm.state import State
from titan.limits import LIST_PAGE_MAX


def list_locks(state: State, query: ListLocks) -> list[LockView]:
    """Answer `ListLocks`."""
    names = sorted(
        name for name in state.locks if name.startswith(query.prefix) and name > query.after
    )
    limit = max(1, min(query.limit, LIST_PAGE_MAX))
    return [_lock_view(state, state.locks[name]) for name in names[:limit]]


def _lock_view(state: State, lock: Lock) -> LockView:
    return LockView(
        name=lock.name,
        slots=lock.slots,
        holders=[_claim_view(state, lock, claim) for claim in lock.holders.values()],
        waiting=len(lock.waiters),
    )


def _claim_view(state: State, lock: Lock, claim: Claim) -> ClaimView:
    return ClaimView(
        token=claim.token,
        due_ms=claim.due_ms,
        position=position(lock, claim),
        owner=_owner(state, claim),
        data=claim.data,
    )


def _owner(state: State, claim: Claim) -> str:
    attempt = state.attempts.get(claim.attempt)
    if attempt is None:
        return claim.client
    return f"{attempt.run}/{attempt.job}#{attempt.id}"


def get_claim(state: State, query: GetClaim) -> ClaimView | None:
    """Answer `GetClaim`."""
    lock = state.locks.get(query.name)
    claim = lock.claim(query.claim) if lock is not None else None
    return None if lock is None or claim is None else _claim_view(state, lock, claim)


def peek_signal(state: State, query: PeekSignal) -> SignalView | None:
    """Answer `PeekSignal`."""
    signal = oldest(state, query.run, query.job, query.name)
    if signal is None:
        return None
    return SignalView(
        seq=signal.seq,
        name=signal.name,
        payload=signal.payload,
        sent_ms=signal.sent_ms,
        sender=signal.sender,
    )
