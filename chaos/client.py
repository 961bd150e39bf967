"""Clients whose every message is spelled out here, so that a test can choose ids, masters and repeats.

`PinnedClient` talks to one master only and never retries: what an isolated or a slow master answers is
seen, which a client that follows the leader would hide. Commands and questions are written as they
travel (docs: tags and field names of the wire format), without the product's own classes for them.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

import msgspec

from titan.errors import TitanError
from titan.ids import new_client_id
from titan.wire.connection import Connection
from titan.wire.endpoint import dial
from titan.wire.handler import Refusing
from titan.wire.messages import Hello, Message, Read, ReadDone, Write, WriteDone

DIAL_TIMEOUT_S: Final = 1.5
WRITE_TIMEOUT_S: Final = 3.0
# Short: a master that was paused answers on waking what waited in its socket. Only a question that was
# asked after others had written can show that its answer is old, so the last one must be young.
READ_TIMEOUT_S: Final = 0.5

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder().decode


class Refused(Exception):
    """The state machine said no; `code` is its word for why."""

    def __init__(self, code: str, why: str) -> None:
        super().__init__(f"{code}: {why}")
        self.code = code


class NotSent(Exception):
    """The master could not be reached: the request has not left this process."""


class PinnedClient:
    """One session at one master. One request at a time."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.id = new_client_id()
        self._request = 0
        self._connection: Connection | None = None
        self._busy = asyncio.Lock()

    async def write(self, command: dict[str, Any], *, request: int = 0, client: str = "") -> Any:
        """Give a command once; answers its value. Raises `Refused`, `NotSent` or a `TitanError`.

        With `client` and `request` it pretends to be another session: a repeat.
        """
        async with self._busy:
            if not request:
                self._request += 1
            number = request or self._request
            message = Write(
                client=client or self.id, request=number, floor=number, command=_encode(command)
            )
            done = await self._call(message, WRITE_TIMEOUT_S)
        assert isinstance(done, WriteDone), done
        if done.rejected:
            raise Refused(done.rejected, done.why)
        return done.value

    async def read(
        self, question: dict[str, Any], *, stale: bool = False, timeout_s: float = WRITE_TIMEOUT_S
    ) -> tuple[int, Any]:
        """Ask; answers the index as of which it is true, and the view as plain data."""
        async with self._busy:
            done = await self._call(Read(query=_encode(question), stale=stale), timeout_s)
        assert isinstance(done, ReadDone), done
        return done.index, _decode(done.value)

    async def _call(self, message: Message, timeout_s: float) -> Message:
        if self._connection is None or self._connection.is_closed:
            hello = Hello(role="client", id=self.id)
            self._connection = await self._reach(hello)
        try:
            return await self._connection.call(message, timeout_s=timeout_s)
        except TitanError:
            if self._connection.is_closed:
                self._connection = None
            raise

    async def _reach(self, hello: Hello) -> Connection:
        try:
            return await dial(self.address, hello, Refusing(), timeout_s=DIAL_TIMEOUT_S)
        except TitanError as error:
            raise NotSent(str(error)) from None

    async def close(self) -> None:
        """Hang up."""
        if self._connection is not None:
            self._connection.close()
            await self._connection.wait_closed()

    # --- the store, with the names of the SDK's client -------------------------------------------

    async def store_put(self, key: str, value: str) -> int:
        return int(await self.write({"!": "kv.put", "key": key, "value": value.encode()}))

    async def store_get(self, key: str) -> str | None:
        _, item = await self.read({"?": "kv.get", "key": key}, timeout_s=READ_TIMEOUT_S)
        return None if item is None else str(item["value"])

    async def store_cas(
        self, key: str, expected: str | None, value: str, *, ttl_s: float | None = None
    ) -> bool:
        command = {
            "!": "kv.cas",
            "key": key,
            "expected": None if expected is None else expected.encode(),
            "value": value.encode(),
            "ttl_ms": round((ttl_s or 0) * 1000),
        }
        return bool(await self.write(command))

    async def store_delete(self, key: str) -> bool:
        return bool(await self.write({"!": "kv.delete", "key": key}))

    async def store_incr(self, key: str, by: int = 1) -> int:
        return int(await self.write({"!": "kv.incr", "key": key, "by": by}))

    async def store_sadd(self, key: str, member: str) -> int:
        return int(await self.write({"!": "kv.sadd", "key": key, "member": member}))

    async def store_srem(self, key: str, member: str) -> int:
        return int(await self.write({"!": "kv.srem", "key": key, "member": member}))

    async def store_smembers(self, key: str) -> list[str]:
        _, item = await self.read({"?": "kv.get", "key": key}, timeout_s=READ_TIMEOUT_S)
        return [] if item is None else list(item["members"])
