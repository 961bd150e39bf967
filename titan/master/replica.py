"""This master's copy of the replicated state, and who hears of what happens to it.

Owns the `Machine` that consensus drives. Listeners run right after each apply, in the loop, in the
order they were added; they get events as hints and must not raise or block.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence

import msgspec

from titan.errors import TimedOut
from titan.fsm.events import AnyEvent, StateReplaced
from titan.fsm.machine import Machine, Result
from titan.fsm.state import State
from titan.master.blocks import FramedFreeze, unframed

Listener = Callable[[int, Sequence[AnyEvent]], None]


class AppliedEntry(msgspec.Struct, frozen=True):
    """What `raft.propose` resolves to: where the entry landed and what it did."""

    index: int
    result: Result


class Replica:
    """Implements `titan.consensus.api.ReplicatedMachine` over `titan.fsm`."""

    def __init__(self) -> None:
        self._machine = Machine()
        self._listeners: list[Listener] = []
        self._waiting: list[tuple[int, asyncio.Future[None]]] = []

    @property
    def state(self) -> State:
        """The state at the last applied entry. Read it, never change it, never keep parts of it."""
        return self._machine.state

    @property
    def digest(self) -> bytes:
        """Equal on every master at the same index."""
        return self._machine.digest

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Call `listener(index, events)` after each apply; the answer is how to stop it."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def apply(self, index: int, payload: bytes) -> AppliedEntry:
        """Apply one committed entry and tell the listeners."""
        result = self._machine.apply(index, payload)
        for listener in tuple(self._listeners):
            listener(index, result.events)
        self._wake(index)
        return AppliedEntry(index, result)

    def freeze(self) -> FramedFreeze:
        """The state of now as pieces that may be cut anywhere."""
        return FramedFreeze(self._machine.freeze())

    def restore(self, blocks: Iterable[bytes]) -> None:
        """Replace the state; listeners hear of that one event and look anew."""
        self._machine.restore(unframed(blocks))
        for listener in tuple(self._listeners):
            listener(self.state.index, (StateReplaced(),))
        self._wake(self.state.index)

    async def wait_applied(self, index: int, *, timeout_s: float) -> None:
        """Until this master has applied `index`. Raises `TimedOut`."""
        if self.state.index >= index:
            return
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((index, waiter))
        try:
            async with asyncio.timeout(timeout_s):
                await waiter
        except TimeoutError:
            raise TimedOut(f"this master has not caught up with index {index}") from None
        finally:
            self._waiting = [pair for pair in self._waiting if pair[1] is not waiter]

    def _wake(self, index: int) -> None:
        for wanted, waiter in self._waiting:
            if wanted <= index and not waiter.done():
                waiter.set_result(None)
