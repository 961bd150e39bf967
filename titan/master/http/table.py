"""One row per endpoint: what it takes, what it answers, who serves it.

The router and the OpenAPI document are both made from these rows, so that neither can lie.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Generic, NamedTuple, TypeVar

import msgspec
from aiohttp import web

from titan.errors import UserError
from titan.limits import HTTP_BODY_BYTES_MAX
from titan.master.http.api import Api

T = TypeVar("T")


class Call(NamedTuple):
    """One request, taken apart and checked."""

    request: web.Request
    path: dict[str, str]
    query: Any  # an instance of the endpoint's `query`
    body: Any  # an instance of the endpoint's `body`

    @property
    def idempotency_key(self) -> str:
        """What makes a repeat of this request the same request; "" when the caller gave none."""
        return self.request.headers.get("Idempotency-Key", "")


Serve = Callable[[Api, Call], Awaitable[Any]]


class NoQuery(msgspec.Struct, frozen=True):
    """The endpoint takes nothing in its query string."""


class Page(msgspec.Struct, Generic[T], frozen=True):
    """A part of a list. `next` is the cursor of the following page, null after the last one."""

    items: list[T]
    next: str | None = None


class Endpoint(NamedTuple):
    """What `method` on `path` does. `answers` is the type of the JSON, None for other content."""

    method: str
    path: str
    serve: Serve
    about: str
    answers: Any = None
    query: type[msgspec.Struct] = NoQuery
    body: Any = None
    status: int = 200
    content: str = "application/json"

    @property
    def changes(self) -> bool:
        """Whether it may change something."""
        return self.method not in ("GET", "HEAD")


async def take(endpoint: Endpoint, request: web.Request) -> Call:
    """The request in the endpoint's own types. Raises `UserError` that names the field."""
    given = _given(request, endpoint.query)
    unknown = sorted(set(given) - set(endpoint.query.__struct_fields__))
    if unknown:
        known = ", ".join(endpoint.query.__struct_fields__) or "nothing"
        raise UserError(f"unknown query parameter {unknown[0]!r}", hint=f"it takes {known}")
    query = _convert(given, endpoint.query, where="query string")
    body = await _body(endpoint, request) if endpoint.body is not None else None
    return Call(request, dict(request.match_info), query, body)


def _given(request: web.Request, query: type[msgspec.Struct]) -> dict[str, Any]:
    """The query string; what may be there several times, as a list."""
    several = {one.name for one in msgspec.structs.fields(query) if isinstance(one.default, tuple)}
    asked = request.query
    return {name: asked.getall(name) if name in several else asked[name] for name in asked}


def _convert(value: Any, kind: Any, *, where: str) -> Any:
    try:
        return msgspec.convert(value, kind, strict=False)
    except msgspec.ValidationError as error:
        raise UserError(f"{where}: {error}") from None


async def _body(endpoint: Endpoint, request: web.Request) -> Any:
    raw = await request.read()
    if len(raw) > HTTP_BODY_BYTES_MAX:
        raise UserError(f"the body is larger than {HTTP_BODY_BYTES_MAX} bytes")
    try:
        return msgspec.json.decode(raw or b"{}", type=endpoint.body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UserError(f"body: {error}") from None
