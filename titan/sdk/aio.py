"""`AsyncClient`: the whole client by asyncio. Its parts are in one file per noun."""

from __future__ import annotations

from types import TracebackType

from titan.sdk.absent import KnowsWhatIsAbsent
from titan.sdk.audit import AuditApi
from titan.sdk.budgets import BudgetsApi
from titan.sdk.calls import CallsApi
from titan.sdk.fleet import FleetApi
from titan.sdk.locks import LocksApi
from titan.sdk.mutations import MutationsApi
from titan.sdk.schedules import SchedulesApi
from titan.sdk.services import ServicesApi
from titan.sdk.store import StoreApi
from titan.wire.messages import ClusterInfo, GetCluster


class AsyncClient(
    CallsApi,
    SchedulesApi,
    ServicesApi,
    MutationsApi,
    StoreApi,
    LocksApi,
    FleetApi,
    BudgetsApi,
    AuditApi,
    KnowsWhatIsAbsent,
):
    """A client of a Titan cluster, for one event loop.

    `masters`: "host:port,host:port" or a list; else `TITAN_MASTERS`, else `TITAN_HOST` and
    `TITAN_PORT`, else 127.0.0.1:9090. Any one master is enough; it learns the others.
    Every call is repeated through failovers until `deadline_s` has passed, and takes effect once.
    Close it, or use it in an `async with` block.
    """

    async def cluster_info(self) -> ClusterInfo:
        """The masters, and who leads."""
        info = await self._ask(GetCluster(), ClusterInfo)
        self._transport.learn(info)
        return info

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        await self.close()
