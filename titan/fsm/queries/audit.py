"""Questions about who did what; `audit.py` answers them."""

from __future__ import annotations

import msgspec

from titan.fsm.queries.base import Query


class ListOrders(Query, frozen=True, kw_only=True, tag="orders"):
    """Orders that took effect, newest first → list[OrderView]. `before` is the number of the last one of
    the page before; `who` and `object` are parts, in any case; `action` is the command's exact name."""

    limit: int = 100
    before: int = 0
    who: str = ""
    object: str = ""
    kind: str = ""
    action: str = ""
    since_ms: int = 0
    until_ms: int = 0


class OrderView(msgspec.Struct, frozen=True, kw_only=True):
    """Who did what. `who` is what the client says of itself: through what, and who is there."""

    number: int
    index: int  # of the log
    at_ms: int
    who: str
    action: str  # run.submit, worker.mode, …
    kind: str  # of the object
    object: str
    detail: str
