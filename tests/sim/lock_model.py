"""What locks promise, judged from the log alone: orders in, answers in, no look at the product's state.

A lock has at most as many holders as slots (by the log's own time), a token is larger than every token
before it, and a write under a token has no effect once that hold is known to be over. Counters that
are only written under a lock go up one by one: nobody overwrites what he has not read.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from titan.fsm.commands import (
    AcquireLock,
    AdvanceTime,
    CommitEffects,
    KvWrite,
    ReleaseLock,
    RenewLock,
)

FIRED_MAX: Final = 100  # timers by one entry; beyond, some that are due may be left for the next
GUARDED: Final = (
    "under-"  # the beginning of keys that are counters under the lock whose name follows
)


@dataclass(slots=True)
class Hold:
    """A grant as its holder was told of it."""

    claim: str
    token: int
    due_ms: int
    is_over: bool = False


@dataclass(slots=True)
class Known:
    """What is known of one lock. A grant is known once somebody was told."""

    slots: int
    holds: dict[str, Hold] = field(default_factory=dict)  # by claim

    def live(self, now_ms: int) -> list[Hold]:
        """Those that have not been released and are not due."""
        return [hold for hold in self.holds.values() if not hold.is_over and now_ms < hold.due_ms]


class LockModel:
    """Takes every command about locks that was applied, in the order of the log."""

    def __init__(self, *, violate: Callable[[str], None], happened: Callable[[str], None]) -> None:
        self._locks: dict[str, Known] = {}
        self._newest: dict[str, int] = {}  # the largest token that anybody was told, by lock
        self._counters: dict[str, int] = {}
        self._violate, self._happened = violate, happened

    def applied(self, command: Any, value: Any, *, now_ms: int, index: int) -> None:
        """A command took effect and answered `value`."""
        match command:
            case AcquireLock():
                self._told(command, *value, now_ms=now_ms, index=index)
            case RenewLock():
                hold = self._hold(command.name, command.claim)
                if hold is not None:
                    if hold.is_over:
                        self._violate(
                            f"I4 {command.claim} renews {command.name}, which it has lost"
                        )
                    hold.due_ms = value
            case ReleaseLock():
                hold = self._hold(command.name, command.claim)
                if hold is not None:
                    hold.is_over = True
            case AdvanceTime() if value <= FIRED_MAX:
                self._end_due(now_ms)
            case KvWrite() | CommitEffects() if command.lock:
                self._wrote(command, index=index)

    def refused(self, command: Any, code: str) -> None:
        """A command was refused."""
        if code != "lock_lost":
            return
        if isinstance(command, RenewLock):
            self._happened("lock expired")
        else:
            self._happened("stale token refused")

    def _end_due(self, now_ms: int) -> None:
        """The log has moved its time on, with everything that was due by then."""
        for lock in self._locks.values():
            for hold in lock.holds.values():
                hold.is_over = hold.is_over or hold.due_ms <= now_ms

    def _hold(self, name: str, claim: str) -> Hold | None:
        known = self._locks.get(name)
        return None if known is None else known.holds.get(claim)

    def _told(
        self, command: AcquireLock, token: int, due_ms: int, *, now_ms: int, index: int
    ) -> None:
        if not token:
            self._happened("lock contended")
            return
        name = command.name
        lock = self._locks.setdefault(name, Known(command.slots))
        hold = lock.holds.get(command.claim)
        if hold is not None and hold.token == token:
            hold.due_ms = due_ms
            return
        if hold is not None and hold in lock.live(now_ms):
            self._violate(f"I4 {name} at {index}: {command.claim} had {hold.token}, has {token}")
        others = [other for other in lock.live(now_ms) if other.claim != command.claim]
        if len(others) >= lock.slots:
            self._violate(f"I4 {name} at {index}: {command.claim} holds it, and so do {others}")
        if any(other.token == token for other in lock.holds.values()) or (
            lock.slots == 1 and token <= self._newest.get(name, 0)
        ):
            self._violate(f"I4 {name} at {index}: token {token} after {self._newest.get(name)}")
        self._newest[name] = max(token, self._newest.get(name, 0))
        lock.holds[command.claim] = Hold(command.claim, token, due_ms)
        self._happened("lock granted")

    def _wrote(self, command: Any, *, index: int) -> None:
        name, token = command.lock, command.token
        lock = self._locks.get(name)
        found = [] if lock is None else [h for h in lock.holds.values() if h.token == token]
        if not found or found[0].is_over:
            self._violate(f"I4 a write under token {token} of {name} at {index}, which is over")
        elif lock is not None and lock.slots == 1 and token < self._newest[name]:
            self._violate(
                f"I4 a write under token {token} of {name} at {index}, after {self._newest[name]}"
            )
        else:
            self._happened("write under a lock")
        key = getattr(command, "key", "")
        if key == GUARDED + name:
            self._count(key, int(command.value), index=index)

    def _count(self, key: str, value: int, *, index: int) -> None:
        if value != self._counters.get(key, 0) + 1:
            self._violate(f"I4 {key} is {value} at {index}, after {self._counters.get(key, 0)}")
        self._counters[key] = value
