"""Services over HTTP: where they are, and stopping one. New versions come from files: the SDK's and the
command line's to deploy.
"""

from __future__ import annotations

from typing import Final

from titan.fsm.commands import StopService
from titan.fsm.queries import GetService, ListServices, ServiceView
from titan.ids import JobId, RunId
from titan.master.http.api import Api
from titan.master.http.runs import Changed, ReadQuery
from titan.master.http.table import Call, Endpoint, Page


async def list_services(api: Api, call: Call) -> Page[ServiceView]:
    """Those that have not ended."""
    return Page(api.read(ListServices()))


async def get_service(api: Api, call: Call) -> ServiceView:
    """The version that others are to use."""
    view: ServiceView = api.read(GetService(name=call.path["name"]))
    return view


async def stop_service(api: Api, call: Call) -> Changed:
    """End the service of one run for good."""
    command = StopService(run=RunId(call.path["run"]), job=JobId(call.path["name"]))
    return Changed((await api.write(command, key=call.idempotency_key)).index)


ENDPOINTS: Final = (
    Endpoint("GET", "/api/v1/services", list_services, "Services", Page[ServiceView], ReadQuery),
    Endpoint(
        "GET", "/api/v1/services/{name}", get_service, "The service of a name", ServiceView, ReadQuery
    ),
    Endpoint(
        "POST", "/api/v1/runs/{run}/services/{name}/stop", stop_service, "Stop a service", Changed
    ),
)  # fmt: skip
