"""Who did what, over HTTP."""

from __future__ import annotations

from typing import Final

import msgspec

from titan.fsm.queries.audit import ListOrders, OrderView
from titan.limits import LIST_PAGE_MAX
from titan.master.http.api import Api
from titan.master.http.table import Call, Endpoint, Page


class AuditQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which orders: `who` and `object` are parts, in any case; `before` is the cursor."""

    limit: int = 100
    before: int = 0
    who: str = ""
    object: str = ""
    kind: str = ""
    action: str = ""
    since_ms: int = 0
    until_ms: int = 0
    consistent: bool = False


async def list_orders(api: Api, call: Call) -> Page[OrderView]:
    """Newest first. Who it was is what the client says of itself."""
    asked: AuditQuery = call.query
    limit = max(1, min(asked.limit, LIST_PAGE_MAX))
    items: list[OrderView] = api.read(
        ListOrders(
            limit=limit,
            before=asked.before,
            who=asked.who,
            object=asked.object,
            kind=asked.kind,
            action=asked.action,
            since_ms=asked.since_ms,
            until_ms=asked.until_ms,
        )
    )
    return Page(items, str(items[-1].number) if len(items) == limit else None)


ENDPOINTS: Final = (
    Endpoint("GET", "/api/v1/audit", list_orders, "Who did what", Page[OrderView], AuditQuery),
)
