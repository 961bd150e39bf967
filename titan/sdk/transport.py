"""The one place that knows of connections, leaders, failovers and retries.

One connection at a time, to the leader when it can be reached, else to any master (a follower
forwards). Whatever fails in a way that a later try may mend is tried again, with jittered back-off,
until the caller's deadline. Repeating is safe because requests carry their own ids (`session.py`);
this module repeats them as they are and never looks inside.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from typing import Final, TypeVar

from titan.errors import (
    ConnectionLost,
    DiskFull,
    NotLeader,
    ProtocolError,
    TimedOut,
    TitanError,
    Unavailable,
    UnknownOutcome,
)
from titan.limits import (
    CLIENT_ATTEMPT_TIMEOUT_S,
    CLIENT_BACKOFF_CAP_MS,
    CLIENT_BACKOFF_MS,
    CLIENT_DEADLINE_S,
    CLIENT_DISK_FULL_PATIENCE_S,
)
from titan.wire.connection import Connection
from titan.wire.endpoint import dial
from titan.wire.handler import Refusing
from titan.wire.messages import ROLE_CLIENT, ClusterInfo, Hello, Message, Welcome

T = TypeVar("T")

_DIAL_TIMEOUT_S: Final = 2.0
_STRIKES_MAX: Final = 2  # failures in a row that do not end the connection, before another master


class _Patience:
    """The deadline of one exchange and the pauses between its tries."""

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._failures = 0
        self._until = time.monotonic() + timeout_s

    @property
    def left_s(self) -> float:
        return self._until - time.monotonic()

    @property
    def spent_s(self) -> float:
        return self._timeout_s - self.left_s

    def renew(self) -> None:
        """There was progress: the deadline starts anew."""
        self._failures = 0
        self._until = time.monotonic() + self._timeout_s

    async def pause(self) -> bool:
        """Wait before the next try; False when the deadline leaves no room for one."""
        ceiling_ms = min(CLIENT_BACKOFF_CAP_MS, CLIENT_BACKOFF_MS * 2 ** min(self._failures, 10))
        self._failures += 1
        pause_s = ceiling_ms / 1000 * random.uniform(0.5, 1.0)
        if pause_s >= self.left_s:
            return False
        await asyncio.sleep(pause_s)
        return True


class Transport:
    """A client's way to the cluster. Belongs to one event loop."""

    def __init__(
        self, masters: Sequence[str], *, client_id: str, deadline_s: float = CLIENT_DEADLINE_S
    ) -> None:
        self.deadline_s = deadline_s
        self._client_id = client_id
        self._masters = list(masters)  # in the order in which they are tried
        self._leader = ""
        self._cluster_id = ""
        self._connection: Connection | None = None
        self._address = ""  # of the connection
        self._dialling = asyncio.Lock()
        self._strikes = 0
        self._is_closed = False

    # --- exchanges ------------------------------------------------------------------------------

    async def call(self, message: Message, *, timeout_s: float | None = None) -> Message:
        """One question and its reply, through failovers; see `retry`."""

        async def ask(connection: Connection, left_s: float) -> Message:
            return await connection.call(message, timeout_s=self.try_s(left_s))

        return await self.retry(ask, timeout_s=timeout_s)

    @staticmethod
    def _is_hopeless(error: TitanError, patience: _Patience) -> bool:
        """A full disk may pass to another leader in a moment; it does not empty itself."""
        return isinstance(error, DiskFull) and patience.spent_s > CLIENT_DISK_FULL_PATIENCE_S

    @staticmethod
    def try_s(left_s: float) -> float:
        """How long one try may take of the time that is left."""
        return max(0.0, min(left_s, CLIENT_ATTEMPT_TIMEOUT_S))

    async def retry(
        self,
        work: Callable[[Connection, float], Awaitable[T]],
        *,
        timeout_s: float | None = None,
        changes: bool = False,
    ) -> T:
        """Do `work(connection, seconds left)` until it succeeds or fails for good.

        Raises what the cluster answers for good. When the deadline passes: `UnknownOutcome` if it
        `changes` something and may have been taken, else the last failure (an `Unavailable`).
        """
        patience = _Patience(self.deadline_s if timeout_s is None else timeout_s)
        uncertain = False
        while True:
            connection = None
            try:
                connection = await self._connected(patience.left_s)
                result = await work(connection, patience.left_s)
            except TitanError as error:
                uncertain = uncertain or (connection is not None and _may_have_happened(error))
                if not error.retryable or self._is_hopeless(error, patience):
                    raise
                self._judge(connection, error)
                if not await patience.pause():
                    raise _given_up(error, uncertain=uncertain and changes) from error
            else:
                self._strikes = 0
                return result

    async def stream(
        self, request: Callable[[], Message], *, timeout_s: float | None = None
    ) -> AsyncGenerator[bytes | Message, None]:
        """Pieces of a channel and then its last reply; opened again with `request()` when it breaks.

        The deadline counts from the last piece, or from the break of a channel that was quiet for
        long. What comes twice after a break is the caller's to notice, or to avoid by asking from
        where it stopped.
        """
        patience = _Patience(self.deadline_s if timeout_s is None else timeout_s)
        while True:
            connection = channel = None
            try:
                connection = await self._connected(patience.left_s)
                opened_s = time.monotonic()
                channel = connection.open(request())
                async for piece in channel:
                    patience.renew()
                    yield piece
                last = await channel.result(CLIENT_ATTEMPT_TIMEOUT_S)
                self._strikes = 0
            except TitanError as error:
                if not error.retryable or self._is_hopeless(error, patience):
                    raise
                self._judge(connection, error)
                if channel is not None and time.monotonic() - opened_s > CLIENT_ATTEMPT_TIMEOUT_S:
                    patience.renew()  # nothing was wrong, there was only nothing to say
                if not await patience.pause():
                    raise _given_up(error, uncertain=False) from error
            else:
                yield last
                return
            finally:
                if channel is not None:
                    channel.cancel()

    # --- masters --------------------------------------------------------------------------------

    def learn(self, about: Welcome | ClusterInfo) -> None:
        """Remember which masters there are and who leads."""
        known = [master.address for master in about.masters if master.address]
        self._masters += [address for address in known if address not in self._masters]
        self._leader = about.leader
        self._cluster_id = self._cluster_id or about.cluster_id

    @property
    def masters(self) -> tuple[str, ...]:
        """Every address known so far."""
        return tuple(self._masters)

    async def close(self) -> None:
        """End the connection; later exchanges fail."""
        self._is_closed = True
        if self._connection is not None:
            self._connection.close()
            await self._connection.wait_closed()

    async def _connected(self, left_s: float) -> Connection:
        known = self._connection
        if known is not None and not known.is_closed and not self._is_closed:
            return known  # the common case, without a deadline of its own
        try:
            async with asyncio.timeout(left_s), self._dialling:
                if self._is_closed:
                    raise ProtocolError("this client has been closed")
                if self._connection is None or self._connection.is_closed:
                    self._connection = await self._dial_any()
                    self._strikes = 0
                return self._connection
        except TimeoutError:
            raise TimedOut(f"no master answered: {', '.join(self._masters)}") from None

    async def _dial_any(self) -> Connection:
        last: TitanError = Unavailable("no master is known")
        for address in self._candidates():
            try:
                connection = await self._dial(address)
            except (Unavailable, ProtocolError) as error:
                last = error
                continue
            return await self._prefer_leader(connection)
        hint = "is the cluster up, and are TITAN_MASTERS the right addresses?"
        if isinstance(last, ProtocolError):
            raise last
        raise Unavailable(f"no master could be reached; the last one: {last}", hint=hint)

    def _candidates(self) -> list[str]:
        """The leader, then the others, the one that failed last at the end."""
        rest = [
            address for address in self._masters if address not in (self._leader, self._address)
        ]
        ordered = [self._leader, *rest, self._address]
        return list(dict.fromkeys(address for address in ordered if address))

    async def _prefer_leader(self, connection: Connection) -> Connection:
        leader = self._leader
        if not leader or leader == self._address:
            return connection
        try:
            direct = await self._dial(leader)
        except TitanError:
            return connection  # a follower forwards
        connection.close()
        return direct

    async def _dial(self, address: str) -> Connection:
        hello = Hello(role=ROLE_CLIENT, id=self._client_id, cluster_id=self._cluster_id)
        connection = await dial(address, hello, Refusing(), timeout_s=_DIAL_TIMEOUT_S)
        self._address = address
        self.learn(connection.welcome)
        return connection

    def _judge(self, connection: Connection | None, error: TitanError) -> None:
        """After a failure: stay, or go to another master for the next try."""
        if connection is None or connection is not self._connection:
            return  # not connected, or somebody else has judged it
        self._strikes += 1
        if isinstance(error, NotLeader):
            self._leader = error.leader or ""
            leave = bool(self._leader) and self._leader != self._address
        elif isinstance(error, ConnectionLost):
            leave = connection.is_closed
        else:
            leave = False
        if leave or self._strikes >= _STRIKES_MAX:
            if self._leader == self._address and not isinstance(error, NotLeader):
                self._leader = ""  # whoever fails twice is not tried first
            self._connection = None
            connection.close()


def _may_have_happened(error: TitanError) -> bool:
    """Whether a request that failed like this may have been taken all the same."""
    return isinstance(error, ConnectionLost | TimedOut | UnknownOutcome)


def _given_up(error: TitanError, *, uncertain: bool) -> TitanError:
    if uncertain:
        return UnknownOutcome(
            f"the deadline passed before an answer came ({error}); it may have taken effect",
            hint="look whether it did before doing it again",
        )
    kind = type(error) if isinstance(error, Unavailable) else TimedOut
    return kind(f"gave up: {error}", hint=error.hint)
