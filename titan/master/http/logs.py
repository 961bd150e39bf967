"""A job's output over HTTP: raw bytes from an offset, or followed as server-sent events."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final

import msgspec
from aiohttp import web

from titan.errors import TitanError
from titan.ids import AttemptId, JobId, RunId, strip_v1_prefix
from titan.master.http.api import Api
from titan.master.http.table import Call, Endpoint
from titan.wire.channel import Stream
from titan.wire.messages import LogEnd, ReadLog


class LogQuery(msgspec.Struct, frozen=True, kw_only=True):
    """`attempt` 0 is the newest; `offset` in bytes; with `follow` it goes on until the job has ended.
    `grep`: lines with this text; `since_ms` and `until_ms`: what was written in between."""

    attempt: int = 0
    offset: int = 0
    follow: bool = False
    grep: str = ""
    since_ms: int = 0
    until_ms: int = 0


class _Sink(Stream):
    """The reader's end: what is read goes into the response as it comes."""

    def __init__(self, response: web.StreamResponse) -> None:
        self._response = response

    async def send(self, piece: bytes) -> None:
        """Waits while the reader is slow."""
        await self._response.write(piece)

    async def finish(self) -> None:
        """Nothing to say."""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        return
        yield b""  # makes this a generator


async def read_log(api: Api, call: Call) -> web.StreamResponse:
    """The bytes as the job wrote them. Errors before the first byte are JSON; a break afterwards cuts
    the answer short, and the reader goes on from the offset that it has."""
    query: LogQuery = call.query
    message = ReadLog(
        run=RunId(call.path["run"]),
        job=JobId(strip_v1_prefix(call.path["job"])),
        attempt=AttemptId(query.attempt),
        offset=query.offset,
        follow=query.follow,
        grep=query.grep,
        since_ms=query.since_ms,
        until_ms=query.until_ms,
    )
    response = _LazyResponse(api, call.request)
    end = await api.gateway.channel(message, response, forwarded=False)
    if not isinstance(end, LogEnd):
        raise TitanError("the log did not end as it should")
    return await response.close()


class _LazyResponse(_Sink):
    """Prepared with the first byte, so that an error before it still has a status of its own."""

    def __init__(self, api: Api, request: web.Request) -> None:
        # Never HTML, whatever the job printed; `nosniff` keeps browsers from guessing.
        response = web.StreamResponse(headers={"Content-Type": "text/plain; charset=utf-8"})
        response.headers.update(api.headers(request))
        super().__init__(response)
        self._request = request

    async def send(self, piece: bytes) -> None:
        """Waits while the reader is slow."""
        if not self._response.prepared:
            await self._response.prepare(self._request)
        await super().send(piece)

    async def close(self) -> web.StreamResponse:
        """All is sent."""
        if not self._response.prepared:
            await self._response.prepare(self._request)
        await self._response.write_eof()
        return self._response


ENDPOINTS: Final = (
    Endpoint(
        "GET",
        "/api/v1/runs/{run}/jobs/{job}/log",
        read_log,
        "What a job has written",
        query=LogQuery,
        content="text/plain",
    ),
)
