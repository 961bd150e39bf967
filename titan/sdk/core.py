"""Writes and reads: what every part of the client is made of."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncGenerator, Coroutine, Iterable
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from titan.errors import NotLeader, ProtocolError
from titan.fsm.commands import Command, encode_command
from titan.fsm.queries.base import Query
from titan.ids import AttemptId, Digest
from titan.limits import CLIENT_DEADLINE_S
from titan.sdk import given
from titan.sdk.context import attempt_id
from titan.sdk.discovery import first_masters
from titan.sdk.transport import Transport
from titan.wire.connection import Connection
from titan.wire.messages import (
    Follow,
    FollowUpdate,
    Message,
    Read,
    ReadDone,
    Write,
    WriteDone,
    decode,
)
from titan.wire.refusals import refusal
from titan.wire.session import Session

T = TypeVar("T")
M = TypeVar("M", bound=Message)


class Core:
    """One client of a cluster: its session and its transport. Belongs to one event loop.

    `masters`: "host:port,host:port" or a list; by default from the environment (`discovery.py`).
    `deadline_s`: how long every call is retried through failovers. `who`: what it says of itself in the
    audit, by default the program, the user and the machine.
    Inside a task every write carries the id of the attempt that this process is just then, and is
    refused once the attempt is superseded.
    """

    def __init__(
        self,
        masters: str | Iterable[str] | None = None,
        *,
        deadline_s: float = CLIENT_DEADLINE_S,
        who: str | None = None,
    ) -> None:
        self._who = given.who("sdk") if who is None else who
        self._session = Session()
        self._transport = Transport(
            first_masters(masters), client_id=self._session.client, deadline_s=deadline_s
        )
        self._stored: set[str] = set()  # bundles that this client has seen in the cluster
        self._travelled: dict[tuple[Path, int], Digest] = {}  # them, by folder and packing process
        self._side_tasks: set[asyncio.Task[None]] = set()

    @property
    def _attempt(self) -> AttemptId:
        """The attempt that this process is: a function's process is one after the other."""
        return AttemptId(attempt_id(os.environ))

    async def close(self) -> None:
        """End the connection, and what is done beside the calls."""
        tasks = tuple(self._side_tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._transport.close()

    def _beside(self, work: Coroutine[Any, Any, None], *, name: str) -> asyncio.Task[None]:
        """Do something beside the calls until it ends or the client closes. It must not raise."""
        task = asyncio.create_task(work, name=name)
        self._side_tasks.add(task)
        task.add_done_callback(self._side_tasks.discard)
        return task

    async def _write(
        self,
        command: Command,
        *,
        timeout_s: float | None = None,
        attempt: AttemptId | None = None,
    ) -> Any:
        """Give one command; answers its value. Raises what `refusals.py` makes of a refusal.

        `attempt` is whose effect it is, if not that of the task which this process is.
        """
        payload = encode_command(command)
        fenced_by = self._attempt if attempt is None else attempt
        async with self._session.request() as number:

            async def ask(connection: Connection, left_s: float) -> WriteDone:
                write = Write(
                    client=self._session.client,
                    request=number,
                    floor=self._session.floor,
                    command=payload,
                    attempt=fenced_by,
                    who="" if fenced_by else self._who,
                )
                reply = await connection.call(write, timeout_s=self._transport.try_s(left_s))
                done = _expect(reply, WriteDone)
                if done.rejected == "stale_epoch":  # that leader's reign is over
                    raise NotLeader("the leader has changed")
                return done

            done = await self._transport.retry(ask, timeout_s=timeout_s, changes=True)
        refused = refusal(done)
        if refused is not None:
            raise refused
        return done.value

    async def _read(self, query: Query, answer: type[T]) -> T:
        """Ask one question, linearizable; `answer` is the type of the view."""
        reply = await self._transport.call(Read(query=msgspec.msgpack.encode(query)))
        return msgspec.msgpack.decode(_expect(reply, ReadDone).value, type=answer)

    async def _follow(self, query: Query, answer: type[T]) -> AsyncGenerator[T, None]:
        """The answer to a question now and whenever it is another, through failovers, without end.

        `answer` is the type of the view. Quick changes may be told as one; what it was before is
        never told after what it is.
        """
        request = Follow(query=msgspec.msgpack.encode(query))
        told, last = -1, b""
        pieces = self._transport.stream(lambda: request)
        async with contextlib.aclosing(pieces):
            async for piece in pieces:
                update = decode(piece) if isinstance(piece, bytes) else piece
                if not isinstance(update, FollowUpdate):
                    raise ProtocolError(f"expected FollowUpdate, got {type(update).__name__}")
                if update.index >= told and update.value != last:
                    told, last = update.index, update.value
                    yield msgspec.msgpack.decode(update.value, type=answer)

    async def _ask(self, message: Message, answer: type[M]) -> M:
        return _expect(await self._transport.call(message), answer)


def _expect(reply: Message, kind: type[M]) -> M:
    if not isinstance(reply, kind):
        raise ProtocolError(f"expected {kind.__name__}, got {type(reply).__name__}")
    return reply
