"""Orders about locks. Handlers: `locks.py`."""

from __future__ import annotations

from typing import ClassVar

from titan.fsm.commands.base import ClientCommand


class AcquireLock(ClientCommand, frozen=True, kw_only=True, tag="lock.acquire"):
    """Take a lock, or with `wait_ms` a place in its queue. Answers [token, due_ms]: the token is 0 while
    it waits, and due_ms says when the hold or the place is lost; [0, 0] when it got neither.

    `claim` is drawn by whoever asks; the same claim again keeps its place, waits `wait_ms` more, and
    learns whether it holds the lock by now. A claim of a task ends with its attempt.
    """

    since: ClassVar[int] = 2
    name: str
    claim: str
    ttl_ms: int  # of the hold, from its grant
    wait_ms: int = 0  # how long a place in the queue is kept; 0 asks for none
    slots: int = 1  # how many may hold it at once; the same for all who ask
    data: str = ""


class RenewLock(ClientCommand, frozen=True, kw_only=True, tag="lock.renew"):
    """Hold a lock for `ttl_ms` from now. Answers when it ends; refused when it was lost."""

    since: ClassVar[int] = 2
    name: str
    claim: str
    ttl_ms: int


class ReleaseLock(ClientCommand, frozen=True, kw_only=True, tag="lock.release"):
    """Give up a hold or a place in the queue. Answers whether there was one."""

    since: ClassVar[int] = 2
    name: str
    claim: str
