"""Carries out starts and kills: bundle, folder, environment, command, then the warden.

Owns the attempts between `Start` and the end of their process, with their workspaces. Tells the core
what became of them through `feed`; decides nothing itself.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Callable
from dataclasses import dataclass

from titan.errors import TitanError
from titan.exec import drivers, environment
from titan.exec.bundles import BundleCache
from titan.exec.drivers import CannotStart
from titan.exec.events import Event, ProcessEnded, ProcessStarted, StartFailed
from titan.exec.logs import LogStore
from titan.exec.warden_client import Warden
from titan.exec.workspace import Workspace, Workspaces
from titan.ids import AttemptId
from titan.limits import ERROR_TEXT_BYTES_MAX
from titan.wire.messages import RunAttempt

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class Surroundings:
    """What every attempt of a worker is started with."""

    python: str
    base_env: dict[str, str]
    masters: Callable[[], tuple[str, ...]]


class Runner:
    """See the module; implements the warden's `Reports` but for its death, which is the worker's."""

    def __init__(
        self,
        *,
        feed: Callable[[Event], None],
        workspaces: Workspaces,
        logs: LogStore,
        bundles: BundleCache,
        surroundings: Surroundings,
        on_warden_lost: Callable[[], None],
    ) -> None:
        self._feed = feed
        self._workspaces = workspaces
        self._logs = logs
        self._bundles = bundles
        self._around = surroundings
        self._on_warden_lost = on_warden_lost
        self._held: dict[AttemptId, Workspace] = {}
        self._running: set[AttemptId] = set()
        self._preparing: dict[AttemptId, asyncio.Task[None]] = {}
        self._removals: set[asyncio.Task[None]] = set()
        self.started: list[AttemptId] = []  # since the last heartbeat took them
        self._warden = Warden(self)

    @property
    def running(self) -> tuple[AttemptId, ...]:
        """Attempts whose process runs."""
        return tuple(self._running)

    # --- orders -------------------------------------------------------------------------------

    def start(self, order: RunAttempt) -> None:
        """Prepare and spawn; at once when there is no bundle to wait for."""
        if not order.bundle:
            self._make_and_spawn(order)
            return
        task = asyncio.create_task(self._prepare(order), name=f"prepare attempt {order.attempt}")
        self._preparing[order.attempt] = task
        task.add_done_callback(lambda done: self._prepared(order.attempt, done))

    def terminate(self, attempt: AttemptId) -> None:
        """Stop preparing it, or ask its processes to end."""
        if (task := self._preparing.get(attempt)) is not None:
            task.cancel()
        elif attempt in self._running:
            self._warden.terminate(attempt)
        # else its process is being made: the core repeats the order once it exists

    def kill(self, attempt: AttemptId) -> None:
        """End its processes."""
        if attempt in self._running:
            self._warden.kill(attempt)

    async def close(self) -> None:
        """Leave nothing: no process, no preparation, no folder being removed."""
        for task in self._preparing.values():
            task.cancel()
        await asyncio.gather(*self._preparing.values(), return_exceptions=True)
        try:
            await self._warden.close()
        finally:
            await asyncio.gather(*self._removals, return_exceptions=True)

    # --- preparing ----------------------------------------------------------------------------

    def _make_and_spawn(self, order: RunAttempt) -> None:
        try:
            workspace = self._make(order)
            self._spawn(order, workspace)
        except (TitanError, OSError, ValueError) as error:
            self._could_not_start(order.attempt, _one_line(error), cause=_cause(error))

    async def _prepare(self, order: RunAttempt) -> None:
        async with self._bundles.use(order.bundle) as files:
            workspace = self._make(order)
            copying = asyncio.ensure_future(asyncio.to_thread(workspace.fill, files))
            try:
                await asyncio.shield(copying)
            except asyncio.CancelledError:
                await asyncio.wait({copying})  # the folder is removed next: let the thread leave it
                raise
        self._spawn(order, workspace)

    def _prepared(self, attempt: AttemptId, done: asyncio.Task[None]) -> None:
        del self._preparing[attempt]
        if done.cancelled():
            self._could_not_start(attempt, "it was killed before it started")
        elif (error := done.exception()) is not None:
            if not isinstance(error, (TitanError, OSError, ValueError)):
                log.error("preparing attempt %d failed", attempt, exc_info=error)
            self._could_not_start(attempt, _one_line(error), cause=_cause(error))

    def _make(self, order: RunAttempt) -> Workspace:
        workspace = self._workspaces.take()
        self._held[order.attempt] = workspace
        return workspace

    def _spawn(self, order: RunAttempt, workspace: Workspace) -> None:
        env = environment.of_attempt(
            order,
            base=self._around.base_env,
            masters=",".join(self._around.masters()),
            tmp=workspace.tmp,
            output=workspace.output,
        )
        argv = drivers.command(order.spec, cwd=workspace.cwd, env=env, python=self._around.python)
        path = self._logs.begin(order.run, order.spec.id, order.attempt)
        is_script = drivers.is_script(order.spec)
        spawn = self._warden.spawn_script if is_script else self._warden.spawn
        spawn(order.attempt, argv=argv, cwd=workspace.cwd, env=env, log=path)

    def _could_not_start(
        self, attempt: AttemptId, detail: str, *, cause: str = "start_failed"
    ) -> None:
        self._clean_up(attempt)
        self._feed(StartFailed(attempt=attempt, detail=detail, cause=cause))

    def _clean_up(self, attempt: AttemptId, *, log_bytes: int | None = None) -> None:
        self._logs.end(attempt, now_ms=time.time_ns() // 1_000_000, size_bytes=log_bytes)
        workspace = self._held.pop(attempt, None)
        if workspace is not None and not self._workspaces.give_back(workspace):
            task = asyncio.create_task(
                asyncio.to_thread(workspace.remove), name=f"remove folder of attempt {attempt}"
            )
            self._removals.add(task)
            task.add_done_callback(self._removals.discard)

    # --- the warden's reports -----------------------------------------------------------------

    def on_started(self, attempt: AttemptId, pid: int) -> None:
        """The process runs."""
        log.debug("attempt %d is process %d", attempt, pid)
        self._running.add(attempt)
        self.started.append(attempt)
        self._feed(ProcessStarted(attempt=attempt))

    def on_start_failed(self, attempt: AttemptId, errno: int, text: str) -> None:
        """The process could not be made."""
        reason = os.strerror(errno) if errno else text
        self._could_not_start(attempt, f"the process could not be started: {reason}")

    def on_exited(
        self, attempt: AttemptId, *, exit_code: int, duration_us: int, log_bytes: int
    ) -> None:
        """The process has ended and what it left behind has been killed."""
        self._running.discard(attempt)
        output, problem = self._held[attempt].read_output()
        self._clean_up(attempt, log_bytes=log_bytes)
        self._feed(
            ProcessEnded(
                attempt=attempt,
                exit_code=exit_code,
                duration_us=duration_us,
                log_bytes=log_bytes,
                output=output,
                detail=problem,
            )
        )

    def on_warden_lost(self) -> None:
        """No process can be controlled any more."""
        self._on_warden_lost()


def _cause(error: BaseException) -> str:
    """Only what the declaration is to blame for is hopeless; the rest may work elsewhere or later."""
    return "start_failed" if isinstance(error, (CannotStart, ValueError)) else "not_prepared"


def _one_line(error: BaseException) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    hint = getattr(error, "hint", "")
    return (f"{text} ({hint})" if hint else text)[:ERROR_TEXT_BYTES_MAX]
