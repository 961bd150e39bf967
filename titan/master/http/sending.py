"""Bytes that users made, on their way into a response: never HTML, whatever they are."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping

from aiohttp import web

from titan.master.http.api import Api
from titan.wire.channel import Stream


class Sending(Stream):
    """The reader's end of a channel: what is read goes into the response as it comes.

    Prepared with the first byte, so that an error before it still has a status of its own. The headers
    name a type that no browser runs; `nosniff`, which every answer has, keeps them from guessing.
    """

    def __init__(self, api: Api, request: web.Request, headers: Mapping[str, str]) -> None:
        self._response = web.StreamResponse(headers=headers)
        self._response.headers.update(api.headers(request))
        self._request = request

    async def send(self, piece: bytes) -> None:
        """Waits while the reader is slow."""
        await self._prepare()
        await self._response.write(piece)

    async def finish(self) -> None:
        """Nothing to say."""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        return
        yield b""  # makes this a generator

    async def close(self) -> web.StreamResponse:
        """All is sent."""
        await self._prepare()
        await self._response.write_eof()
        return self._response

    async def _prepare(self) -> None:
        if not self._response.prepared:
            await self._response.prepare(self._request)
