"""The audit, for code without asyncio: the twin of `audit.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from titan.sdk.face import Face

if TYPE_CHECKING:
    from titan.fsm.queries.audit import OrderView


class AuditFace(Face):
    """The audit, as a client reads it."""

    def audit(
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
        work = self._here().audit(
            limit,
            who=who,
            about=about,
            kind=kind,
            action=action,
            since_ms=since_ms,
            until_ms=until_ms,
        )
        return self._call(work)
