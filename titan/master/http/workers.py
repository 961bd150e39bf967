"""Workers over HTTP."""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from titan.fsm.commands import SetWorkerMode
from titan.fsm.queries import ListWorkers, WorkerView
from titan.ids import WorkerId
from titan.master.http.api import Api
from titan.master.http.runs import Changed, ReadQuery
from titan.master.http.table import Call, Endpoint, Page


class Mode(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`open` takes work, `cordoned` takes no new work, `draining` is to leave.

    `timeout_ms`, of a drain: what still runs then is killed and runs elsewhere; 0 kills at once.
    """

    mode: Literal["open", "cordoned", "draining"]
    timeout_ms: int | None = None


async def list_workers(api: Api, call: Call) -> Page[WorkerView]:
    """By id."""
    return Page(api.read(ListWorkers()))


async def set_mode(api: Api, call: Call) -> Changed:
    """Whether the worker takes work."""
    body: Mode = call.body
    worker = WorkerId(call.path["worker"])
    command = SetWorkerMode(worker=worker, mode=body.mode, timeout_ms=body.timeout_ms)
    return Changed((await api.write(command, key=call.idempotency_key)).index)


ENDPOINTS: Final = (
    Endpoint("GET", "/api/v1/workers", list_workers, "Workers", Page[WorkerView], ReadQuery),
    Endpoint(
        "POST", "/api/v1/workers/{worker}/mode", set_mode, "Let a worker take work, or not", Changed,
        body=Mode,
    ),
)  # fmt: skip
