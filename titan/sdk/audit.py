"""Who did what: the audit of the cluster."""

from __future__ import annotations

from titan.fsm.queries.audit import ListOrders, OrderView
from titan.limits import LIST_PAGE_MAX
from titan.sdk.core import Core


class AuditApi(Core):
    """The audit, as a client reads it."""

    async def audit(
        self,
        limit: int = 100,
        *,
        who: str = "",
        about: str = "",
        kind: str = "",
        action: str = "",
        since_ms: int = 0,
        until_ms: int = 0,
    ) -> list[OrderView]:
        """Orders of people and their programs that took effect, newest first.

        `who` and `about`, the object, are parts, in any case; `kind` of the object (run, job,
        worker, …) and `action` (run.cancel, worker.mode, …) are exact. The newest 2,000
        for each kind are kept.
        """
        found: list[OrderView] = []
        while len(found) < limit:
            size = min(LIST_PAGE_MAX, limit - len(found))
            query = ListOrders(
                limit=size,
                before=found[-1].number if found else 0,
                who=who,
                object=about,
                kind=kind,
                action=action,
                since_ms=since_ms,
                until_ms=until_ms,
            )
            page = await self._read(query, list[OrderView])
            found += page
            if len(page) < size:
                break
        return found
