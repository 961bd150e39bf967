"""The worker's connections to all masters for files: the load of transfers is everybody's.

One connection per master, dialled when it is first needed. Transfers take the masters in turn; one that
failed rests a moment. The connection over which the worker takes orders is another one (`session.py`).
"""

from __future__ import annotations

import asyncio
import os
import random
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Final, TypeVar

from titan.errors import (
    Conflict,
    NotFound,
    NotLeader,
    ProtocolError,
    TimedOut,
    TitanError,
    Unavailable,
)
from titan.fsm.commands import Command, encode_command
from titan.ids import AttemptId, Digest, new_client_id
from titan.limits import (
    BLOB_STALL_S,
    FETCH_SPAN_BYTES,
    MASTER_REST_S,
    UPLOAD_BYTES_PER_S_MIN,
)
from titan.wire.blob_transfer import upload
from titan.wire.connection import Connection
from titan.wire.endpoint import dial
from titan.wire.handler import Refusing
from titan.wire.messages import ROLE_CLIENT, GetBlob, Hello, Write, WriteDone

T = TypeVar("T")

_DIAL_TIMEOUT_S: Final = 2.0
_QUESTION_TIMEOUT_S: Final = 5.0
_BACKOFF_S: Final = 0.05
_BACKOFF_CAP_S: Final = 1.0
_TAKES_S: Final = 60.0  # besides what its size takes


class Links:
    """See the module; implements `download.BlobSource`."""

    def __init__(
        self,
        masters: Callable[[], tuple[str, ...]],
        *,
        worker: str,
        cluster_id: str,
        tls: ssl.SSLContext | None,
    ) -> None:
        self._masters = masters
        self._hello = Hello(role=ROLE_CLIENT, id=worker, cluster_id=cluster_id)
        self._tls = tls
        self._connections: dict[str, Connection] = {}
        self._dialling: dict[str, asyncio.Lock] = {}
        self._rests: dict[str, float] = {}  # address → until when
        self._turn = random.randrange(1024)
        self._client = new_client_id()
        self._requests = 0
        self._writing = asyncio.Lock()

    def close(self) -> None:
        """End every connection."""
        for connection in self._connections.values():
            connection.close()

    # --- down ---------------------------------------------------------------------------------

    async def wait_ready(self) -> None:
        """There is always some master to try."""

    async def fetch(self, digest: Digest, *, offset: int) -> AsyncIterator[bytes]:
        """A blob's bytes from `offset`, a span from each master in turn.

        Raises `NotFound` when every master says so, `Unavailable` after the first other failure.
        """
        unknown: dict[str, None] = {}
        while True:
            got = 0
            address, connection = await self._next(unknown)
            try:
                async for piece in self._span(connection, digest, offset):
                    got += len(piece)
                    offset += len(piece)
                    yield piece
            except NotFound:
                unknown[address] = None
                if len(unknown) >= len(self._masters()):
                    raise
                continue
            except TitanError as error:
                self._rest(address)
                raise Unavailable(f"{address}: {error}") from error
            if got < FETCH_SPAN_BYTES:
                return

    @staticmethod
    async def _span(connection: Connection, digest: Digest, offset: int) -> AsyncIterator[bytes]:
        channel = connection.open(GetBlob(digest=digest, offset=offset, length=FETCH_SPAN_BYTES))
        pieces = aiter(channel)
        try:
            while True:
                try:
                    async with asyncio.timeout(BLOB_STALL_S):
                        piece = await anext(pieces)
                except StopAsyncIteration:
                    break
                except TimeoutError:
                    raise TimedOut("the master has stopped sending a blob") from None
                yield piece
            await channel.result(BLOB_STALL_S)
        finally:
            channel.cancel()

    # --- up -----------------------------------------------------------------------------------

    async def upload(self, digest: Digest, path: Path) -> int:
        """Store a file in the cluster, unless it is there; how many bytes were sent.

        Goes on at another master where one has failed. Raises `Unavailable` when none takes it in time.
        """
        with path.open("rb") as stream:
            size = os.fstat(stream.fileno()).st_size
            time_s = _TAKES_S + size / UPLOAD_BYTES_PER_S_MIN

            async def put(connection: Connection) -> int:
                return await upload(
                    connection,
                    digest,
                    size,
                    stream,
                    timeout_s=time_s,
                    question_s=_QUESTION_TIMEOUT_S,
                )

            return await self._insist(put, time_s=time_s)

    async def write(self, command: Command, *, attempt: AttemptId, time_s: float = 30.0) -> object:
        """Give one command; answers its value. Raises `Conflict` with the code of a refusal."""
        async with self._writing:
            self._requests += 1
            message = Write(
                client=self._client,
                request=self._requests,
                floor=self._requests,
                command=encode_command(command),
                attempt=attempt,
            )

            async def ask(connection: Connection) -> WriteDone:
                done = await connection.call(message, timeout_s=_QUESTION_TIMEOUT_S)
                if not isinstance(done, WriteDone):
                    raise ProtocolError(f"expected WriteDone, got {type(done).__name__}")
                if done.rejected == "stale_epoch":
                    raise NotLeader("the leader has changed")
                return done

            done = await self._insist(ask, time_s=time_s)
        if done.rejected:
            raise Conflict(done.why, reason=done.rejected)
        return done.value

    async def _insist(self, work: Callable[[Connection], Awaitable[T]], *, time_s: float) -> T:
        """Try one master after the other until it works or the time is over."""
        until_s = time.monotonic() + time_s
        pause_s = _BACKOFF_S
        while True:
            address = ""
            try:
                address, connection = await self._next({})
                return await work(connection)
            except TitanError as error:
                if not error.retryable or time.monotonic() + pause_s > until_s:
                    raise
                if address:
                    self._rest(address)
            await asyncio.sleep(pause_s * random.uniform(0.5, 1.0))
            pause_s = min(2 * pause_s, _BACKOFF_CAP_S)

    # --- masters ------------------------------------------------------------------------------

    def _rest(self, address: str) -> None:
        self._rests[address] = time.monotonic() + MASTER_REST_S

    async def _next(self, but: dict[str, None]) -> tuple[str, Connection]:
        """A connection to the next master in turn; those that rest come last."""
        masters = [one for one in self._masters() if one not in but]
        self._turn += 1
        start = self._turn % max(1, len(masters))
        now_s = time.monotonic()
        in_turn = [*masters[start:], *masters[:start]]
        in_turn.sort(key=lambda one: self._rests.get(one, 0.0) > now_s)
        problem: TitanError = Unavailable("no master is known")
        for address in in_turn:
            try:
                return address, await self._connect(address)
            except TitanError as error:
                self._rest(address)
                problem = error
        raise Unavailable(f"no master could be reached; the last one: {problem}")

    async def _connect(self, address: str) -> Connection:
        async with self._dialling.setdefault(address, asyncio.Lock()):
            known = self._connections.get(address)
            if known is None or known.is_closed:
                known = await dial(
                    address, self._hello, Refusing(), timeout_s=_DIAL_TIMEOUT_S, tls=self._tls
                )
                self._connections[address] = known
            return known
