"""`TitanClient`: the client for code without asyncio. Its parts are in one file per noun, `*_face.py`.

A face and nothing more: every method hands its call to one `AsyncClient` that lives in a background
thread (`portal.py`). What talks to the network is imported when the first client is made.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import AsyncIterator, Coroutine, Iterable, Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

from titan.limits import CLIENT_DEADLINE_S
from titan.sdk.absent import KnowsWhatIsAbsent
from titan.sdk.artifacts_face import ArtifactsFace
from titan.sdk.audit_face import AuditFace
from titan.sdk.budgets_face import BudgetsFace
from titan.sdk.calls_face import CallsFace
from titan.sdk.fleet_face import FleetFace
from titan.sdk.gates_face import GatesFace
from titan.sdk.handles_face import RunHandle
from titan.sdk.logs_face import LogsFace
from titan.sdk.mutations_face import MutationsFace
from titan.sdk.pipelines_face import PipelinesFace
from titan.sdk.runs_face import RunsFace
from titan.sdk.schedules_face import SchedulesFace
from titan.sdk.services_face import ServicesFace
from titan.sdk.signals_face import SignalsFace
from titan.sdk.store_face import StoreFace
from titan.sdk.views_face import ViewsFace

if TYPE_CHECKING:
    from titan.sdk.aio import AsyncClient
    from titan.sdk.handles import AsyncRunHandle
    from titan.sdk.nodes import Node
    from titan.sdk.portal import Portal
    from titan.wire.messages import ClusterInfo

T = TypeVar("T")


class TitanClient(
    CallsFace,
    RunsFace,
    ViewsFace,
    LogsFace,
    ArtifactsFace,
    SignalsFace,
    GatesFace,
    PipelinesFace,
    SchedulesFace,
    ServicesFace,
    MutationsFace,
    StoreFace,
    FleetFace,
    BudgetsFace,
    AuditFace,
    KnowsWhatIsAbsent,
):
    """A client of a Titan cluster. Safe to use from several threads.

    `masters`: "host:port,host:port" or a list; else `TITAN_MASTERS`, else `TITAN_HOST` and
    `TITAN_PORT`, else 127.0.0.1:9090. Any one master is enough; it learns the others.
    Every call is repeated through failovers until `deadline_s` has passed, and takes effect once.
    `who`: what the audit calls it; by default the program, the user and the machine. It connects with
    the first call. Closing is optional; a `with` block does it. After a fork the child gets a
    connection and an identity of its own.
    """

    def __init__(
        self,
        masters: str | Iterable[str] | None = None,
        *,
        deadline_s: float = CLIENT_DEADLINE_S,
        who: str | None = None,
    ) -> None:
        from titan.sdk.discovery import first_masters

        self._masters = first_masters(masters)
        self._deadline_s = deadline_s
        self._who = who
        self._open()

    def _open(self) -> None:
        from titan.sdk.aio import AsyncClient
        from titan.sdk.portal import Portal

        self._pid = os.getpid()
        self._portal = Portal()
        self._client = AsyncClient(self._masters, deadline_s=self._deadline_s, who=self._who)
        self._closer = weakref.finalize(self, _close, self._portal, self._client, self._pid)

    def _here(self) -> AsyncClient:
        """The client of this process: two processes must never number requests alike."""
        if os.getpid() != self._pid:
            self._closer.detach()
            self._open()
        return self._client

    def _call(self, work: Coroutine[Any, Any, T]) -> T:
        return self._portal.call(work)

    def _handle(self, work: Coroutine[Any, Any, AsyncRunHandle]) -> RunHandle:
        return RunHandle(self, self._call(work).id)

    def _run_handle(self, run_id: str, nodes: Iterable[Node[Any]]) -> RunHandle:
        return RunHandle(self, run_id, nodes)

    def _iterate(self, source: AsyncIterator[T]) -> Iterator[T]:
        return self._portal.iterate(source)

    def close(self) -> None:
        """End the connection and the thread; again does nothing."""
        self._closer()

    def __enter__(self) -> TitanClient:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.close()

    def cluster_info(self) -> ClusterInfo:
        """The masters, and who leads."""
        return self._call(self._here().cluster_info())


def _close(portal: Portal, client: AsyncClient, pid: int) -> None:
    if os.getpid() != pid:
        return  # the thread belongs to the parent
    portal.close(client.close())
