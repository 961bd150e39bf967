"""Questions about locks, and the shapes of their answers."""

from __future__ import annotations

import msgspec

from titan.fsm.queries.base import Query


class ListLocks(Query, frozen=True, kw_only=True, tag="locks"):
    """Locks that are held, by name → list[LockView]. `after` continues a page."""

    prefix: str = ""
    limit: int = 1000
    after: str = ""


class GetClaim(Query, frozen=True, kw_only=True, tag="lock.claim"):
    """A claim of a lock → ClaimView, or None when it neither holds nor waits."""

    name: str
    claim: str


class ClaimView(msgspec.Struct, frozen=True, kw_only=True):
    """A claim of a lock: it holds when it has a token, else `position` says how soon it will."""

    token: int
    due_ms: int  # when it ends unless it is renewed
    position: int  # 1 is next; 0 when it holds
    owner: str  # "run/job#attempt", or the client session
    data: str


class LockView(msgspec.Struct, frozen=True, kw_only=True):
    """A lock that is held. Holders in order of their grants."""

    name: str
    slots: int
    holders: list[ClaimView]
    waiting: int
