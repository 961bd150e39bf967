"""Locks, as a client sees them: acquired, kept and given up; their fencing tokens.

The cluster decides who holds a lock (`titan.fsm.locks`). A holder that is cut off or paused loses it when
its time is over and may not notice: give the lock to writes as `if_lock`, then they are refused.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from types import TracebackType
from typing import Final

from titan.errors import Conflict, TimedOut, TitanError
from titan.fsm.commands import AcquireLock, ReleaseLock, RenewLock
from titan.fsm.queries import ClaimView, GetClaim, ListLocks, LockView
from titan.ids import new_claim_id
from titan.limits import LIST_PAGE_MAX, LOCK_WAIT_MS
from titan.sdk.core import Core
from titan.sdk.store import ttl_ms_of

_PARTS: Final = 3  # a hold and a place in a queue are renewed when a third of their time is over
_RELEASE_TIMEOUT_S: Final = 5.0  # whoever gives up does not wait long; time does the rest


class LocksApi(Core):
    """Locks of a client."""

    def lock(
        self,
        name: str,
        *,
        ttl_s: float = 30.0,
        timeout: float | None = None,
        slots: int = 1,
        data: str = "",
    ) -> AsyncLock:
        """A lock that nobody else can hold, for an `async with` block or to acquire by hand.

        In the block it is kept for as long as the block runs. `timeout` is how long to wait for it
        there; `TimedOut` is raised after it. It ends `ttl_s` after the holder was last heard of, and
        inside a task with the attempt. `slots` makes a semaphore that so many may hold; `data` is
        shown to others by `list_locks`.
        """
        return AsyncLock(self, name, ttl_s=ttl_s, timeout=timeout, slots=slots, data=data)

    async def list_locks(self, prefix: str = "") -> list[LockView]:
        """The locks that are held, by name, with their holders and how many wait."""
        found: list[LockView] = []
        while True:
            after = found[-1].name if found else ""
            query = ListLocks(prefix=prefix, limit=LIST_PAGE_MAX, after=after)
            page = await self._read(query, list[LockView])
            found += page
            if len(page) < LIST_PAGE_MAX:
                return found


class AsyncLock:
    """A lock in the hand of code with asyncio. Made by `AsyncClient.lock`; not shared between tasks."""

    def __init__(
        self,
        client: LocksApi,
        name: str,
        *,
        ttl_s: float,
        timeout: float | None,
        slots: int,
        data: str,
    ) -> None:
        self.name = name
        self.token = 0  # the fencing token of the hold; grows with every grant
        self._client = client
        self._ttl_ms = ttl_ms_of(ttl_s)
        self._timeout_s = timeout
        self._slots = slots
        self._data = data
        self._claim = ""
        self._until_s = 0.0  # by this clock it is held that long at least
        self._keeper: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"<lock {self.name!r}, {f'token {self.token}' if self.is_held else 'not held'}>"

    @property
    def is_held(self) -> bool:
        """Whether it is certainly held at this moment. A pause may follow: use `if_lock` to be safe."""
        return self.token > 0 and time.monotonic() < self._until_s

    async def acquire(self, *, wait: bool = True, timeout: float | None = None) -> bool:
        """Take the lock; answers whether it was got. Waits its turn unless `wait` is false.

        It is held for `ttl_s`, until `renew` or `release`.
        """
        if self._claim:
            raise Conflict(f"lock {self.name!r} is acquired already", reason="lock_held")
        self._claim = new_claim_id()
        try:
            async with asyncio.timeout(timeout):
                got = await self._ask(wait=wait) or (wait and await self._wait_turn())
        except TimeoutError:
            got = False
        except BaseException:
            await self._let_go()
            raise
        if not got:
            await self._let_go()
        return got

    async def renew(self) -> None:
        """Hold it for `ttl_s` from now. Raises `Conflict` (`lock_lost`) when it was lost."""
        sent_s = time.monotonic()
        command = RenewLock(name=self.name, claim=self._claim, ttl_ms=self._ttl_ms)
        try:
            await self._client._write(command)
        except Conflict:
            self._until_s = 0.0
            raise
        self._until_s = sent_s + self._ttl_ms / 1000

    async def release(self) -> bool:
        """Give it up; answers whether it was still held."""
        await self._stop_keeping()
        claim, self._claim, self.token, self._until_s = self._claim, "", 0, 0.0
        if not claim:
            return False
        return bool(await self._client._write(ReleaseLock(name=self.name, claim=claim)))

    async def __aenter__(self) -> AsyncLock:
        if not await self.acquire(timeout=self._timeout_s):
            raise TimedOut(f"lock {self.name!r} was not free within {self._timeout_s} s")
        self._keeper = self._client._beside(self._keep(), name=f"keep lock {self.name}")
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        if error is not None:
            await self._stop_keeping()
            await self._let_go()
        elif not await self.release():
            raise Conflict(
                f"lock {self.name!r} was lost before the block ended",
                reason="lock_lost",
                hint="whatever must not happen without the lock is written with if_lock=lock",
            )

    # --- getting it ---------------------------------------------------------------------------

    async def _ask(self, *, wait: bool) -> bool:
        """Whether the lock is ours now; asking again keeps the place in the queue."""
        sent_s = time.monotonic()
        command = AcquireLock(
            name=self.name,
            claim=self._claim,
            ttl_ms=self._ttl_ms,
            wait_ms=LOCK_WAIT_MS if wait else 0,
            slots=self._slots,
            data=self._data,
        )
        token, _ = await self._client._write(command)
        if not token:
            return False
        self.token, self._until_s = token, sent_s + self._ttl_ms / 1000
        return True

    async def _wait_turn(self) -> bool:
        """Until the lock is ours. It is pushed; only the place in the queue is kept by asking."""
        query = GetClaim(name=self.name, claim=self._claim)
        answers = self._client._follow(query, ClaimView | None)  # type: ignore[arg-type]
        async with contextlib.aclosing(answers):
            pushed = asyncio.ensure_future(anext(answers))
            try:
                while True:
                    done, _ = await asyncio.wait({pushed}, timeout=LOCK_WAIT_MS / 1000 / _PARTS)
                    if done:
                        view = pushed.result()
                        pushed = asyncio.ensure_future(anext(answers))
                        if view is not None and not view.token:
                            continue  # nearer, but not there
                    if await self._ask(wait=True) and await self._is_fresh():
                        return True
            finally:
                pushed.cancel()
                await asyncio.wait({pushed})

    async def _is_fresh(self) -> bool:
        """It was granted some time ago: count its time from now, if it is not over."""
        try:
            await self.renew()
        except Conflict as error:
            if error.reason != "lock_lost":
                raise
            return False
        return True

    # --- keeping it and letting go ------------------------------------------------------------

    async def _keep(self) -> None:
        while self.is_held:
            await asyncio.sleep(self._ttl_ms / 1000 / _PARTS)
            try:
                await self.renew()
            except Conflict:
                return  # lost; the end of the block says so
            except TitanError:
                continue  # the next try is before its time is over, or it is lost

    async def _stop_keeping(self) -> None:
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.wait({self._keeper})
            self._keeper = None

    async def _let_go(self) -> None:
        """Release without a fuss: time does it too."""
        claim, self._claim, self.token, self._until_s = self._claim, "", 0, 0.0
        work = self._release_quietly(claim)
        await asyncio.shield(self._client._beside(work, name=f"let go of lock {self.name}"))

    async def _release_quietly(self, claim: str) -> None:
        command = ReleaseLock(name=self.name, claim=claim)
        with contextlib.suppress(TitanError):
            await self._client._write(command, timeout_s=_RELEASE_TIMEOUT_S)
