"""What clients do with locks: take them, wait for them, keep them too long, and write under them.

The counter of a lock is read, raised by one and written under the lock's token, so that a holder who has
lost it and does not know would undo what another one counted.
"""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, Any, Final

from chaos.history import Op
from tests.sim.lock_model import GUARDED
from titan.errors import Conflict, TitanError
from titan.sdk.aio import AsyncClient
from titan.sdk.locks import AsyncLock

if TYPE_CHECKING:
    from tests.sim.workload import Workload

LOCKS: Final = ("l1", "l2")
SEMAPHORE: Final = "s2"  # two may hold it
TTL_S: Final = 0.6
PATIENCE_S: Final = (0.2, 1.5)
REST_S: Final = (0.0, 0.05, 0.2, 0.2, 0.9)  # the last is longer than the lock is held


class Locking:
    """One part of the workload."""

    def __init__(self, workload: Workload, rng: random.Random) -> None:
        self._workload, self._world, self._rng = workload, workload.world, rng

    async def use_one(self, name: str, client: AsyncClient) -> None:
        """From asking to giving back or forgetting to."""
        rng = self._rng
        which = rng.choice((*LOCKS, *LOCKS, SEMAPHORE))
        slots = 2 if which == SEMAPHORE else 1
        lock = client.lock(which, ttl_s=TTL_S, slots=slots, data=name)
        self._world.note(f"{name} asks for lock {which}")
        try:
            if not await lock.acquire(wait=rng.random() < 0.7, timeout=rng.choice(PATIENCE_S)):
                self._world.note(f"{name} does not get lock {which}")
                return
            await self._hold(name, lock, client, is_alone=slots == 1)
        except Conflict as error:
            self._world.note(f"{name} has lost lock {which}: {error.reason}")
        except TitanError as error:  # what it did is unknown: it goes away without a word
            self._world.note(f"{name} and lock {which}: {error}")

    async def _hold(
        self, name: str, lock: AsyncLock, client: AsyncClient, *, is_alone: bool
    ) -> None:
        rng, token = self._rng, lock.token
        self._world.note(f"{name} holds lock {lock.name} by token {token}")
        holding = self._believes(name, lock) if is_alone else None
        key = GUARDED + lock.name
        for _ in range(rng.choice((1, 2, 3))):
            await asyncio.sleep(rng.choice(REST_S))
            if rng.random() < 0.5:
                await lock.renew()
                if holding is not None:
                    holding.args[1] = lock._until_s - holding.invoked_s
            if is_alone:
                seen = await client.store_get(key)
                raised = str(int(seen or 0) + 1)
                await client.store_put(key, raised, if_lock=(lock.name, token))
            else:
                await client.store_incr("shared", if_lock=(lock.name, token))
        if rng.random() < 0.8:
            if holding is not None:
                holding.args[1] = min(holding.args[1], self._world.loop.now - holding.invoked_s)
            await lock.release()

    def _believes(self, name: str, lock: AsyncLock) -> Op:
        """For the checker of the history: when the client was entitled to act as the holder."""
        history = self._workload.history
        begin_s = lock._until_s - TTL_S
        args: list[Any] = [f"{lock.name} {lock.token}", TTL_S]
        op = Op(len(history.ops), name, "lock", lock.name, args, begin_s)
        op.known, op.value, op.ended_s = True, True, self._world.loop.time()
        history.ops.append(op)
        return op
