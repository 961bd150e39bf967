"""Questions about pools, and the shapes of their answers."""

from __future__ import annotations

import msgspec

from titan.fsm.queries.base import Query


class ListPools(Query, frozen=True, kw_only=True, tag="pools"):
    """Pools by name → list[PoolView]."""


class PoolView(msgspec.Struct, frozen=True, kw_only=True):
    """A pool as people see it; its secret is nobody's to see."""

    name: str
    provider: str
    capabilities: tuple[str, ...]
    slots: int
    resources: dict[str, int]
    workers_min: int
    workers_max: int
    idle_ms: int
    cooldown_ms: int
    register_ms: int
    url: str
    permanent: bool
    state: str  # active, or removed while its workers leave
    workers: int  # that have registered
    starting: int  # launches whose worker has not registered yet
    failures: int  # launches in a row that came to nothing
    last_error: str
