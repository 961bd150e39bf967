"""Records of locks. What they mean and how they change: `titan.fsm.locks`."""

from __future__ import annotations

import msgspec

from titan.ids import AttemptId


class Claim(msgspec.Struct, kw_only=True):
    """Somebody's hold of a lock, or place in its queue."""

    id: str  # drawn by whoever claims
    ttl_ms: int  # of a hold, from its grant or last renewal
    token: int = 0  # the fencing token; 0 while it waits
    due_ms: int = 0  # when the hold or the place in the queue is lost
    client: str = ""  # who claims: a client session …
    attempt: AttemptId = AttemptId(0)  # … and the attempt that it belongs to, if any
    data: str = ""  # of the holder's, for others to read


class Lock(msgspec.Struct, kw_only=True):
    """A lock that somebody holds. Nobody waits while a slot is free."""

    name: str
    slots: int = 1  # how many may hold it at once
    holders: dict[str, Claim] = msgspec.field(default_factory=dict)  # by claim, oldest grant first
    waiters: dict[str, Claim] = msgspec.field(
        default_factory=dict
    )  # by claim, who came first first

    def claim(self, ident: str) -> Claim | None:
        """The claim, whether it holds or waits."""
        return self.holders.get(ident) or self.waiters.get(ident)
