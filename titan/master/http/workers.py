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
    """`open` takes work, `cordoned` takes no new work, `draining` is to leave."""

    mode: Literal["open", "cordoned", "draining"]


async def list_workers(api: Api, call: Call) -> Page[WorkerView]:
    """By id."""
    return Page(api.read(ListWorkers()))


async def set_mode(api: Api, call: Call) -> Changed:
    """Whether the worker takes work."""
    command = SetWorkerMode(worker=WorkerId(call.path["worker"]), mode=call.body.mode)
    return Changed((await api.write(command, key=call.idempotency_key)).index)


ENDPOINTS: Final = (
    Endpoint("GET", "/api/v1/workers", list_workers, "Workers", Page[WorkerView], ReadQuery),
    Endpoint(
        "POST", "/api/v1/workers/{worker}/mode", set_mode, "Let a worker take work, or not", Changed,
        body=Mode,
    ),
)  # fmt: skip
