"""An event loop on virtual time that a whole cluster shares, and the lives that run on it.

A `Life` is one process between its start and its death. Everything that a life does is scheduled in its
context, so the loop knows whose turn each callback is: the dead are dropped, the paused wait, and a life
whose disk is busy is held up as a blocking call would hold it up. Nothing here reads a real clock.
"""

from __future__ import annotations

import asyncio
import contextvars
import heapq
import itertools
import random
import sys
from collections import deque
from collections.abc import AsyncGenerator, Callable, Coroutine
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from tests.sim.network import Network

EPOCH_S: Final = 1_700_000_000.0  # what the wall clock says when a simulation begins
CALLBACKS_MAX: Final = 400_000  # at one instant; more is a loop that never yields to time
IO_DELAY_S: Final = 0.0005  # of work handed to a thread


class ProcessGone(BaseException):
    """Unwinds the stack of a life that ended in the middle of a callback."""


class Life:
    """One process of a host: from its start to its death."""

    def __init__(self, host: str, number: int) -> None:
        self.host = host
        self.number = number
        self.is_alive = True
        self.is_paused = False
        self.wall_offset_s = 0.0
        self.busy_until = 0.0
        self.held_calls: deque[asyncio.Handle] = deque()
        self.held_timers: deque[asyncio.Handle] = deque()
        self.context = contextvars.copy_context()
        self.context.run(LIFE.set, self)

    def __repr__(self) -> str:
        return f"{self.host}#{self.number}"

    def hold(self, handle: asyncio.Handle) -> None:
        """Keep a callback until this life may go on: what the kernel has comes before timers."""
        is_timer = isinstance(handle, asyncio.TimerHandle)
        (self.held_timers if is_timer else self.held_calls).append(handle)


LIFE: contextvars.ContextVar[Life | None] = contextvars.ContextVar("life", default=None)


class SimTask(asyncio.Task[Any]):
    """Hashes by its number: product code keeps tasks in sets, whose order must not vary."""

    numbers = itertools.count(1)

    def __init__(self, coro: Any, **settings: Any) -> None:
        self.number = next(SimTask.numbers)
        self.life = LIFE.get()
        super().__init__(coro, **settings)

    def __hash__(self) -> int:
        return self.number

    def __eq__(self, other: object) -> bool:
        return self is other


class SimFuture(asyncio.Future[Any]):
    """Hashes by its number, like `SimTask`."""

    numbers = itertools.count(1)

    def __init__(self, **settings: Any) -> None:
        self.number = next(SimFuture.numbers)
        super().__init__(**settings)

    def __hash__(self) -> int:
        return self.number

    def __eq__(self, other: object) -> bool:
        return self is other


class SimLoop(asyncio.AbstractEventLoop):
    """`run` is driven by the simulation; everything else is what asyncio and the product call."""

    def __init__(
        self,
        *,
        on_error: Callable[[Life | None, dict[str, Any]], None],
        rng: random.Random | None = None,
    ) -> None:
        self.now = 0.0
        self.rng = rng or random.Random(0)  # in which order a life that was held finds its sockets
        self.current: Life | None = None
        self.network: Network
        self.callbacks = 0
        self._on_error = on_error
        self._ready: deque[asyncio.Handle] = deque()
        self._timers: list[tuple[float, int, asyncio.Handle]] = []
        self._numbers = itertools.count(1)
        self._graveyard: list[
            asyncio.Task[Any]
        ] = []  # the dead must not be unwound by the collector

    # --- time ------------------------------------------------------------------------------

    def time(self) -> float:
        """Virtual seconds; while the current life waits for its disk, the end of that wait."""
        life = self.current
        return self.now if life is None else max(self.now, life.busy_until)

    def wall_s(self) -> float:
        """The current life's wall clock."""
        life = self.current
        return EPOCH_S + self.time() + (0.0 if life is None else life.wall_offset_s)

    def run(self, until_s: float) -> None:
        """Let virtual time pass until `until_s`."""
        asyncio._set_running_loop(self)
        hooks = sys.get_asyncgen_hooks()
        sys.set_asyncgen_hooks(finalizer=self._finish_generator)
        try:
            while True:
                self._run_ready()
                if not self._timers or self._timers[0][0] > until_s:
                    self.now = max(self.now, until_s)
                    return
                when, _, handle = heapq.heappop(self._timers)
                if not handle.cancelled():
                    self.now = max(self.now, when)
                    self._ready.append(handle)
        finally:
            sys.set_asyncgen_hooks(*hooks)
            asyncio._set_running_loop(None)

    def _run_ready(self) -> None:
        ready, left = self._ready, CALLBACKS_MAX
        while ready:
            left -= 1
            if left < 0:
                raise RuntimeError(f"{CALLBACKS_MAX} callbacks at one instant: {ready[0]!r}")
            handle = ready.popleft()
            if handle.cancelled():
                continue
            self.callbacks += 1
            life = handle._context.get(LIFE)
            if life is None:
                handle._run()
            elif not life.is_alive:
                continue
            elif life.is_paused or life.busy_until > self.now:
                life.hold(handle)
            else:
                self.current = life
                handle._run()
                self.current = None

    # --- lives -----------------------------------------------------------------------------

    def spawn(self, life: Life, work: Coroutine[Any, Any, Any], *, name: str) -> None:
        """Start a life's first task."""
        life.context.run(self.create_task, work, name=name)

    def kill(self, life: Life) -> None:
        """End a life without a word. Its tasks stay as they are, for ever."""
        life.is_alive = False
        tasks = (task for task in asyncio.all_tasks(self) if getattr(task, "life", None) is life)
        self._graveyard += sorted(tasks, key=lambda task: task.number)
        life.held_calls.clear()
        life.held_timers.clear()

    def busy(self, life: Life, seconds: float) -> None:
        """The life blocks in a call for so long, from the moment that its clock shows."""
        if seconds > 0:
            life.busy_until = max(self.now, life.busy_until) + seconds
            self._at(life.busy_until, self.wake, life)

    def wake(self, life: Life) -> None:
        """Let a life go on with what was held for it, unless something else still holds it.

        It reads its sockets one after another, each to the end: what one peer said late may be read
        before what another said early.
        """
        if life.is_alive and not life.is_paused and life.busy_until <= self.now:
            self._ready.extend(self._by_socket(life.held_calls))
            self._ready.extend(life.held_timers)
            life.held_calls.clear()
            life.held_timers.clear()

    def _by_socket(self, held: deque[asyncio.Handle]) -> list[asyncio.Handle]:
        others: list[asyncio.Handle] = []
        sockets: dict[asyncio.Transport, list[asyncio.Handle]] = {}
        for handle in held:
            owner = getattr(handle._callback, "__self__", None)
            if isinstance(owner, asyncio.Transport):
                sockets.setdefault(owner, []).append(handle)
            else:
                others.append(handle)
        groups = list(sockets.values())
        self.rng.shuffle(groups)
        return others + list(itertools.chain.from_iterable(groups))

    def post(self, life: Life, callback: Callable[..., Any], *args: Any) -> None:
        """Something reached the life from outside: a packet, the end of a child."""
        if life.is_alive:
            self._ready.append(asyncio.Handle(callback, args, self, life.context))

    def later(self, delay_s: float, callback: Callable[..., Any], *args: Any) -> None:
        """Schedule for nobody: the network, the kernel, the fault plan."""
        self._at(self.now + delay_s, callback, *args)

    def _at(self, when: float, callback: Callable[..., Any], *args: Any) -> None:
        handle = asyncio.Handle(callback, args, self, _NOBODY)
        heapq.heappush(self._timers, (when, next(self._numbers), handle))

    # --- what asyncio calls ----------------------------------------------------------------

    def call_soon(self, callback: Any, *args: Any, context: Any = None) -> asyncio.Handle:
        handle = asyncio.Handle(callback, args, self, context)
        self._ready.append(handle)
        return handle

    call_soon_threadsafe = call_soon

    def call_later(
        self, delay: float, callback: Any, *args: Any, context: Any = None
    ) -> asyncio.TimerHandle:
        return self.call_at(self.time() + delay, callback, *args, context=context)

    def call_at(
        self, when: float, callback: Any, *args: Any, context: Any = None
    ) -> asyncio.TimerHandle:
        handle = asyncio.TimerHandle(when, callback, args, self, context)
        heapq.heappush(self._timers, (when, next(self._numbers), handle))
        return handle

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        pass  # dropped when its time comes

    def create_future(self) -> asyncio.Future[Any]:
        return SimFuture(loop=self)

    def create_task(self, coro: Any, *, name: Any = None, context: Any = None) -> Any:
        if context is None:
            return SimTask(coro, loop=self, name=name)
        return SimTask(coro, loop=self, name=name, context=context)

    def run_in_executor(self, executor: Any, func: Any, *args: Any) -> asyncio.Future[Any]:
        """Threads do not exist here: the work is done a little later, in one step."""
        answer = self.create_future()

        def work() -> None:
            if answer.cancelled():
                return
            try:
                result = func(*args)
            except Exception as error:
                answer.set_exception(error)
            else:
                answer.set_result(result)

        self.call_later(IO_DELAY_S, work)
        return answer

    async def create_connection(
        self, protocol_factory: Any, host: Any = None, port: Any = None, **settings: Any
    ) -> Any:
        assert settings.pop("ssl", None) is None
        assert not settings, settings
        answer = self.create_future()
        assert self.current is not None
        self.network.connect(self.current, protocol_factory, host, port, answer)
        return await answer

    async def create_server(
        self, protocol_factory: Any, host: Any = None, port: Any = None, **settings: Any
    ) -> Any:
        assert settings.pop("ssl", None) is None
        assert self.current is not None
        return self.network.serve(self.current, protocol_factory, host, port)

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        life = self.current if self.current is not None else LIFE.get()
        if isinstance(context.get("exception"), ProcessGone) or (life and not life.is_alive):
            return
        self._on_error(life, context)

    def _finish_generator(self, generator: AsyncGenerator[Any, Any]) -> None:
        self.create_task(generator.aclose(), name="close generator")

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return True

    def is_closed(self) -> bool:
        return False


_NOBODY: Final = contextvars.Context()
