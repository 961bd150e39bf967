"""Questions about services, and the shapes of their answers."""

from __future__ import annotations

import msgspec

from titan.fsm.queries.base import Query
from titan.ids import AttemptId, RunId, WorkerId


class ListServices(Query, frozen=True, kw_only=True, tag="services"):
    """Services that have not ended, oldest run first → list[ServiceView], at most a page."""

    name: str = ""  # exact
    run: str = ""


class GetService(Query, frozen=True, kw_only=True, tag="service"):
    """The service that others are to use under a name → ServiceView, or not_found.

    The deployed version; else that of the newest run that has a service of this name which has not ended.
    """

    name: str


class ServiceView(msgspec.Struct, frozen=True, kw_only=True):
    """A service as people see it. `version`: current or candidate for deployed ones, else ""."""

    name: str
    run: RunId
    run_name: str
    state: str  # of its job
    health: str  # starting, healthy, unhealthy, crash-loop
    address: str  # host:port where it listens, or listened last; "" before its first start
    worker: WorkerId
    reason: str
    restarts: int
    since_ms: int  # when its health changed last
    version: str
    attempt: AttemptId  # the live one, 0 when there is none
    deadline_ms: int = 0  # of a candidate
