"""The HTTP server of one master, assembled: the guard, the API, operations, the dashboard's files."""

from __future__ import annotations

import asyncio
import hashlib
from typing import Final

from aiohttp import web

from titan.config import split_address
from titan.limits import HTTP_BODY_BYTES_MAX
from titan.master.http.api import Api
from titan.master.http.endpoints import ENDPOINTS
from titan.master.http.guard import Guard, json_response, who_asks
from titan.master.http.openapi import document
from titan.master.http.operations import Operations
from titan.master.http.pages import Pages
from titan.master.http.table import Endpoint, take

LEARN_TIMEOUT_S: Final = 1.0
LEARN_AGAIN_S: Final = 0.5  # while some master has not said where it serves pages
LEARN_PERIOD_S: Final = 5.0


class Http:
    """The aiohttp application of one master."""

    def __init__(self, *, address: str, api: Api, operations: Operations) -> None:
        self._address = address
        self._api = api
        self._operations = operations
        self._runner: web.AppRunner | None = None
        self._pages = Pages()

    async def open(self) -> str:
        """Bind and serve; answers "host:port" with the real port. Raises `OSError`."""
        guard = Guard(address=self._address, masters=self._api.masters)
        self._api.headers = guard.headers
        app = web.Application(middlewares=[guard.middleware], client_max_size=HTTP_BODY_BYTES_MAX)
        app.add_routes(self._operations.routes())
        app.add_routes([_route(self._api, each) for each in ENDPOINTS])
        app.add_routes([web.get("/api/v1/openapi.json", _openapi)])
        app.add_routes([web.get("/{page:.*}", self._page)])
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        host, port = split_address(self._address)
        await web.TCPSite(self._runner, host, port).start()
        self._address = f"{host}:{self._runner.addresses[0][1]}"
        guard.address = self._address
        return self._address

    async def run(self) -> None:
        """Keep knowing where the other masters serve pages: theirs may come here when they die."""
        while True:
            await self._api.learn_masters(timeout_s=LEARN_TIMEOUT_S)
            await asyncio.sleep(LEARN_PERIOD_S if self._api.knows_masters else LEARN_AGAIN_S)

    async def _page(self, request: web.Request) -> web.Response:
        """A file of the dashboard. A page may connect to those masters only that its headers name."""
        if not self._api.knows_masters:
            await self._api.learn_masters(timeout_s=LEARN_TIMEOUT_S)
        return await self._pages.serve(request)

    async def close(self) -> None:
        """Stop serving."""
        if self._runner is not None:
            await self._runner.cleanup()


async def _openapi(_request: web.Request) -> web.Response:
    return json_response(document(ENDPOINTS))


def _route(api: Api, endpoint: Endpoint) -> web.RouteDef:
    async def serve(request: web.Request) -> web.StreamResponse:
        call = await take(endpoint, request)
        if getattr(call.query, "consistent", False):
            await api.catch_up()
        mine = api.asked_by(who_asks(request)) if endpoint.changes else api
        answer = await endpoint.serve(mine, call)
        if isinstance(answer, web.StreamResponse):
            return answer
        return _labelled(api, request, json_response(answer, status=endpoint.status))

    return web.route(endpoint.method, endpoint.path, serve)


def _labelled(api: Api, request: web.Request, response: web.Response) -> web.Response:
    """Say how far this master is, and spare the body when the caller has it already."""
    response.headers["X-Titan-Index"] = str(api.state.index)
    response.headers["X-Titan-Age-Ms"] = str(api.age_ms)
    if request.method != "GET":
        return response
    body = response.body
    assert isinstance(body, bytes)
    tag = '"' + hashlib.blake2b(body, digest_size=12).hexdigest() + '"'
    response.headers["ETag"] = tag
    if request.headers.get("If-None-Match") == tag:
        headers = {
            name: response.headers[name] for name in ("X-Titan-Index", "X-Titan-Age-Ms", "ETag")
        }
        return web.Response(status=304, headers=headers)
    return response
