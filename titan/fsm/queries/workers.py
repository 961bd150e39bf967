"""Questions about workers, and the shapes of their answers."""

from __future__ import annotations

import msgspec

from titan.fsm.queries.base import Query
from titan.ids import WorkerId


class ListWorkers(Query, frozen=True, kw_only=True, tag="workers"):
    """Workers by id → list[WorkerView]."""


class WorkerView(msgspec.Struct, frozen=True, kw_only=True):
    """A worker as people see it. `state`: online, cordoned, draining, lost."""

    id: WorkerId
    name: str
    state: str
    capabilities: tuple[str, ...]
    slots: int
    resources: dict[str, int]
    running: int
    jobs: list[str]  # "run/job" of what it holds, at most a page
    ephemeral: bool = False  # leaves when it has been idle for long
    pool: str = ""  # that started it
    used: dict[str, int] = {}  # of its resources
    host: str = ""  # where its services are reached
