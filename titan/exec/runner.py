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
from pathlib import Path
from typing import Final

from titan.errors import TitanError
from titan.exec import environment
from titan.exec.drivers import CALL_FILE_NAME, CannotStart
from titan.exec.ends import Ends
from titan.exec.events import Event, ProcessEnded, ProcessStarted, StartFailed
from titan.exec.files.attempts import AttemptFiles
from titan.exec.functions.crews import Crews
from titan.exec.functions.orders import call_of, is_shared
from titan.exec.functions.protocol import encode
from titan.exec.functions.starting import KEYS_BELOW, Starter
from titan.exec.isolation.fences import Isolation
from titan.exec.log_shipping import Finished, LogShipper
from titan.exec.logs import LogStore
from titan.exec.services import ports
from titan.exec.services.care import ServiceCare
from titan.exec.tools import Tools
from titan.exec.warden_client import Warden
from titan.exec.workspace import Workspace
from titan.exec.workspaces import Workspaces
from titan.ids import AttemptId
from titan.limits import ERROR_TEXT_BYTES_MAX, LOG_INLINE_BYTES_MAX
from titan.wire.messages import RunAttempt, ServiceHealth

log = logging.getLogger(__name__)

_PROBE_MARGIN_S: Final = 1.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Surroundings:
    """What every attempt of a worker is started with."""

    python: str
    base_env: environment.Base
    masters: Callable[[], tuple[str, ...]]
    advertise: str  # where services are reached
    wall_clock_ns: Callable[[], int] = time.time_ns


class Runner:
    """See the module; implements the warden's `Reports` but for its death, which is the worker's."""

    def __init__(
        self,
        *,
        feed: Callable[[Event], None],
        workspaces: Workspaces,
        logs: LogStore,
        files: AttemptFiles,
        shipper: LogShipper,
        surroundings: Surroundings,
        isolation: Isolation,
        on_warden_lost: Callable[[], None],
        on_health: Callable[[ServiceHealth], None],
        on_broken: Callable[[BaseException], None],
    ) -> None:
        self._feed = feed
        self._workspaces = workspaces
        self._logs = logs
        self._transfers = files
        self._shipper = shipper
        self._around = surroundings
        self._on_warden_lost = on_warden_lost
        self._held: dict[AttemptId, tuple[RunAttempt, Workspace]] = {}
        self._files: dict[AttemptId, Path] = {}  # where their output goes
        self._running: set[AttemptId] = set()
        self._signalled: set[AttemptId] = set()
        self._preparing: dict[AttemptId, asyncio.Task[None]] = {}
        self.started: list[AttemptId] = []  # since the last heartbeat took them
        self._warden = Warden(self)
        self._tools = Tools(self._warden, folder=isolation.private / "tools")
        self._fences = isolation.open(self._tools, python=surroundings.python)
        self._ends = Ends(
            fences=self._fences,
            files=files,
            is_signalled=self._signalled.__contains__,
            over=self._ended,
        )
        self._care = ServiceCare(
            tools=self._tools,
            python=surroundings.python,
            host=surroundings.advertise,
            env_of=self._env,
            feed=feed,
            on_health=on_health,
            on_broken=on_broken,
        )
        self._crews = Crews(
            feed=feed,
            warden=self._warden,
            logs=logs,
            starter=self._make_starter(isolation.private / "calls"),
            ship=shipper.add,
            files=files,
            wall_clock_ns=surroundings.wall_clock_ns,
        )

    def _make_starter(self, folder: Path) -> Starter:
        """What starts processes that serve calls one after the other."""
        return Starter(
            warden=self._warden,
            workspaces=self._workspaces,
            logs=self._logs,
            fences=self._fences,
            around=self._around,
            fill=lambda order, workspace: self._workspaces.fill(workspace, order.bundle),
            folder=folder,
            remove=self._workspaces.give_back,
        )

    @property
    def running(self) -> tuple[AttemptId, ...]:
        """Attempts whose process runs."""
        return (*self._running, *self._crews.running)

    def take_started(self) -> tuple[AttemptId, ...]:
        """Attempts whose process, or call, started since this was asked before."""
        started = (*self.started, *self._crews.started)
        self.started, self._crews.started = [], []
        return started

    # --- orders -------------------------------------------------------------------------------

    def start(self, order: RunAttempt) -> None:
        """Prepare and spawn; at once when there is nothing to wait for."""
        if is_shared(order.spec):
            self._crews.start(order)
            return
        takes_time = self._fences.takes_time(order.spec) or self._transfers.needs_preparing(order)
        if not order.port and not takes_time and self._workspaces.is_ready(order.bundle):
            self._make_and_spawn(order)
            return
        task = asyncio.create_task(self._prepare(order), name=f"prepare attempt {order.attempt}")
        self._preparing[order.attempt] = task
        task.add_done_callback(lambda done: self._prepared(order.attempt, done))

    def terminate(self, attempt: AttemptId) -> None:
        """Stop preparing it, or ask its processes to end."""
        if attempt in self._crews:
            self._crews.terminate(attempt)
        elif (task := self._preparing.get(attempt)) is not None:
            task.cancel()
        elif attempt in self._running:
            self._signalled.add(attempt)
            self._warden.terminate(attempt)
        # else its process is being made: the core repeats the order once it exists

    def kill(self, attempt: AttemptId) -> None:
        """End its processes, or stop storing what it has left."""
        if attempt in self._crews:
            self._crews.kill(attempt)
        elif attempt in self._running:
            self._signalled.add(attempt)
            self._warden.kill(attempt)
        else:
            self._ends.give_up(attempt)

    def output_bytes_max(self, attempt: AttemptId) -> int | None:
        """How much it may print by its own declaration."""
        return self._fences.output_bytes_max(attempt)

    async def close(self) -> None:
        """Leave nothing: no process, no preparation, no folder being removed."""
        tasks = list(self._preparing.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._ends.close()
        await self._care.close()
        await self._crews.close()
        try:
            await self._warden.close()
        finally:
            self._crews.hang_up()
            await self._fences.close()
            await self._workspaces.close()

    @property
    def health(self) -> tuple[ServiceHealth, ...]:
        """What has been told of the services that run."""
        return self._care.health

    # --- preparing ----------------------------------------------------------------------------

    def _make_and_spawn(self, order: RunAttempt) -> None:
        try:
            workspace = self._make(order)
            self._spawn(order, workspace)
        except (TitanError, OSError, ValueError) as error:
            self._could_not_start(order.attempt, _one_line(error), cause=_cause(error))

    async def _prepare(self, order: RunAttempt) -> None:
        if order.port:
            await ports.wait_free(order.port)
        workspace = self._make(order)
        if order.bundle:
            await self._workspaces.fill(workspace, order.bundle)
        if self._transfers.needs_preparing(order):
            await self._transfers.prepare(order, workspace)
        if self._fences.takes_time(order.spec):
            await self._fences.prepare(order, workspace, log_to=self._files[order.attempt])
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
        workspace = self._workspaces.take(order.bundle)
        self._held[order.attempt] = (order, workspace)
        self._files[order.attempt] = self._logs.begin(order.run, order.spec.id, order.attempt)
        return workspace

    def _env(self, order: RunAttempt, workspace: Workspace) -> dict[bytes, bytes]:
        return environment.of_attempt(
            order,
            base=self._around.base_env,
            masters=",".join(self._around.masters()),
            tmp=workspace.tmp,
            output=workspace.output,
            checkpoint=workspace.checkpoint,
        )

    def _spawn(self, order: RunAttempt, workspace: Workspace) -> None:
        env = self._env(order, workspace)
        self._transfers.starts(order, workspace)
        if order.spec.call is not None:
            call = call_of(order, self._transfers.values.paths(order.attempt))
            (workspace.root / CALL_FILE_NAME).write_bytes(encode(call))
        launch = self._fences.launch(order, workspace, env=env)
        if self._fences.needs_look(order.attempt):
            self._warden.set_farewell(*self._fences.farewell())
        self._warden.spawn(
            order.attempt,
            argv=launch.argv,
            cwd=workspace.cwd,
            env=launch.env,
            log=self._files[order.attempt],
            how=launch.how,
        )
        if order.port:
            self._care.expect(order, workspace)

    def _could_not_start(
        self, attempt: AttemptId, detail: str, *, cause: str = "start_failed"
    ) -> None:
        self._clean_up(attempt)
        self._feed(StartFailed(attempt=attempt, detail=detail, cause=cause))

    def _clean_up(self, attempt: AttemptId, *, log_bytes: int | None = None) -> None:
        self._fences.forget(attempt)
        self._files.pop(attempt, None)
        self._transfers.over(attempt)
        now_ms = self._around.wall_clock_ns() // 1_000_000
        was_told = attempt not in self._signalled  # else nobody may want to hear how it ended
        # The leader asks for the log of an attempt that it killed, even for one that is empty.
        size_bytes = log_bytes if was_told else None
        path = self._logs.end(attempt, now_ms=now_ms, size_bytes=size_bytes)
        self._care.ended(attempt)
        order, workspace = self._held.pop(attempt, (None, None))
        self._signalled.discard(attempt)
        is_small = was_told and (log_bytes or 0) <= LOG_INLINE_BYTES_MAX
        if order is not None and path is not None and log_bytes and not is_small:
            self._shipper.add(Finished(order.run, order.spec.id, attempt, path, log_bytes))
        if workspace is not None:
            self._workspaces.give_back(workspace)

    # --- the warden's reports -----------------------------------------------------------------

    def on_started(self, attempt: AttemptId, pid: int) -> None:
        """The process runs."""
        if attempt < KEYS_BELOW:
            self._crews.on_started(attempt)
        if attempt < 0:
            return  # one of the worker's own
        log.debug("attempt %d is process %d", attempt, pid)
        self._running.add(attempt)
        self.started.append(attempt)
        self._feed(ProcessStarted(attempt=attempt))
        self._care.began(attempt)

    def on_start_failed(self, attempt: AttemptId, errno: int, text: str) -> None:
        """The process could not be made."""
        reason = os.strerror(errno) if errno else text
        if attempt < KEYS_BELOW:
            self._crews.on_start_failed(attempt, reason)
            return
        if attempt < 0:
            self._tools.on_start_failed(attempt, reason)
            return
        self._could_not_start(attempt, f"the process could not be started: {reason}")

    def on_exited(
        self, attempt: AttemptId, *, exit_code: int, duration_us: int, log_bytes: int, cpu_us: int
    ) -> None:
        """The process has ended and what it left behind has been killed."""
        if attempt < KEYS_BELOW:
            self._crews.on_exited(attempt, exit_code=exit_code, duration_us=duration_us)
            return
        if attempt < 0:
            self._tools.on_exited(attempt, exit_code=exit_code)
            return
        self._running.discard(attempt)
        ended = ProcessEnded(
            attempt=attempt,
            exit_code=exit_code,
            duration_us=duration_us,
            log_bytes=log_bytes,
            log=self._logs.read_small(attempt) if log_bytes else b"",
            cpu_us=cpu_us,
        )
        order, workspace = self._held[attempt]
        self._ends.take(ended, order=order, workspace=workspace, log_file=self._files[attempt])

    def _ended(self, end: ProcessEnded) -> None:
        self._clean_up(end.attempt, log_bytes=end.log_bytes)
        self._feed(end)

    def on_warden_lost(self) -> None:
        """No process can be controlled any more."""
        self._on_warden_lost()


def _cause(error: BaseException) -> str:
    """Only what the declaration is to blame for is hopeless; the rest may work elsewhere or later."""
    if isinstance(error, ports.PortInUse):
        return error.code
    return "start_failed" if isinstance(error, (CannotStart, ValueError)) else "not_prepared"


def _one_line(error: BaseException) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    hint = getattr(error, "hint", "")
    return (f"{text} ({hint})" if hint else text)[:ERROR_TEXT_BYTES_MAX]
