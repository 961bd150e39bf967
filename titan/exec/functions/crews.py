"""Warm function processes: which may make which call, their starts, their ends.

Owns a *crew* for each bundle and Python: processes that have imported the same code. A process makes one
call at a time and waits for the next, so there are never more busy ones than the worker has slots. They are
the warden's children like all jobs. A call that is killed takes its process with it and nobody else's.
Tells the core through `feed` what it is told of other attempts, and decides nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from titan.errors import TitanError
from titan.exec.drivers import CannotStart
from titan.exec.environments import of_pip
from titan.exec.events import Event, ProcessEnded, ProcessStarted, StartFailed
from titan.exec.files.attempts import NOT_STORED, AttemptFiles, Ending
from titan.exec.files.values import large_values
from titan.exec.functions.orders import call_of
from titan.exec.functions.process import FunctionProcess
from titan.exec.functions.protocol import CallEnd, CallOrder
from titan.exec.functions.starting import Starter
from titan.exec.log_shipping import Finished
from titan.exec.logs import LogStore
from titan.exec.warden_client import Warden
from titan.ids import AttemptId
from titan.limits import CALL_PROCESS_IDLE_S, CALL_PROCESSES_IDLE_MAX
from titan.wire.messages import RunAttempt

log = logging.getLogger(__name__)

_SWEEP_S: Final = 5.0
_KILLED: Final = "it was killed before its result was stored"
_NO_RESULT: Final = 1  # of a process that left with 0 in the middle of a call
Key = tuple[object, ...]


class Crew:
    """Processes that can stand in for one another, and the calls that wait for one of them."""

    def __init__(self, key: Key) -> None:
        self.key = key
        self.idle: deque[FunctionProcess] = deque()  # the longest idle first


class Crews:
    """See the module."""

    def __init__(
        self,
        *,
        feed: Callable[[Event], None],
        warden: Warden,
        logs: LogStore,
        starter: Starter,
        ship: Callable[[Finished], None],
        files: AttemptFiles,
        wall_clock_ns: Callable[[], int],
    ) -> None:
        self._feed = feed
        self._warden = warden
        self._logs = logs
        self._starter = starter
        self._ship = ship  # stores what is too long to travel with the result
        self._files = files
        self._wall_clock_ns = wall_clock_ns
        self._crews: dict[Key, Crew] = {}
        self._processes: dict[AttemptId, FunctionProcess] = {}  # by the warden's key
        self._crew_of: dict[AttemptId, Crew] = {}
        self._busy: dict[AttemptId, FunctionProcess] = {}  # by attempt
        self._starting: dict[AttemptId, asyncio.Task[None]] = {}  # by attempt
        self._storing: dict[AttemptId, asyncio.Task[Ending]] = {}  # large results, by attempt
        self._orders: dict[AttemptId, RunAttempt] = {}
        self._sweeping: asyncio.TimerHandle | None = None
        self._is_closing = False
        self.started: list[AttemptId] = []  # since the last heartbeat took them

    @property
    def running(self) -> tuple[AttemptId, ...]:
        """Attempts that are being called."""
        return tuple(self._busy)

    def __contains__(self, attempt: AttemptId) -> bool:
        return attempt in self._orders

    # --- orders -------------------------------------------------------------------------------

    def start(self, order: RunAttempt) -> None:
        """Make the call, at once when a process waits for one."""
        attempt = order.attempt
        self._orders[attempt] = order
        if not large_values(order):
            try:
                call = call_of(order, {})
            except CannotStart as error:
                self._could_not_start(attempt, str(error), "start_failed")
                return
            process = self._idle(self._crew(order))
            if process is not None:
                self._call(process, order, call)
                return
        task = asyncio.create_task(self._start(order), name=f"function process {attempt}")
        self._starting[attempt] = task
        task.add_done_callback(lambda done: self._started(attempt, done))

    def _idle(self, crew: Crew) -> FunctionProcess | None:
        """A process that waits for a call; it waits no more."""
        while crew.idle:
            process = crew.idle.pop()  # the one used last is the warmest
            if process.masters != self._starter.masters:
                process.close()  # its environment names masters of the past
            if not process.is_closed:
                return process
        return None

    def terminate(self, attempt: AttemptId) -> None:
        """Stop preparing its process, or end it."""
        if (task := self._starting.get(attempt)) is not None:
            task.cancel()
        elif (process := self._busy.get(attempt)) is not None:
            process.is_doomed = True  # should the call end first, nobody else's is to be hit
            self._warden.terminate(process.key)

    def kill(self, attempt: AttemptId) -> None:
        """End its process, or stop storing what it has put out."""
        if (storing := self._storing.get(attempt)) is not None:
            storing.cancel()
        elif (process := self._busy.get(attempt)) is not None:
            process.is_doomed = True
            self._warden.kill(process.key)

    async def close(self) -> None:
        """Stop starting. The warden ends what runs."""
        self._is_closing = True
        if self._sweeping is not None:
            self._sweeping.cancel()
        tasks: list[asyncio.Task[Any]] = [*self._starting.values(), *self._storing.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def hang_up(self) -> None:
        """The warden is gone, and with it every process."""
        for process in self._processes.values():
            process.close()

    # --- starting a process -------------------------------------------------------------------

    def _crew(self, order: RunAttempt) -> Crew:
        spec = order.spec
        pip = tuple(sorted(of_pip(spec.env).items())) if spec.requirements else ()
        key = (order.bundle, spec.python, spec.requirements, spec.requirements_file, pip)
        crew = self._crews.get(key)
        if crew is None:
            crew = self._crews[key] = Crew(key)
        return crew

    async def _start(self, order: RunAttempt) -> None:
        """Make the call in a new process, or in one that waits once its large values are here."""
        if large_values(order):
            call = call_of(order, await self._files.values.bring(order))
            process = self._idle(self._crew(order))
            if process is not None:
                self._call(process, order, call)
                return
        else:
            call = call_of(order, {})
        process = await self._starter.start(
            order, on_end=self._on_end, on_hang_up=self._sweep_later
        )
        crew = self._crew(order)
        self._processes[process.key] = process
        self._crew_of[process.key] = crew
        self._call(process, order, call)
        self._evict()

    def _started(self, attempt: AttemptId, done: asyncio.Task[None]) -> None:
        del self._starting[attempt]
        if done.cancelled():
            self._could_not_start(attempt, "it was killed before it started", "start_failed")
        elif (error := done.exception()) is not None:
            if not isinstance(error, (TitanError, OSError, ValueError)):
                log.error("starting a function process failed", exc_info=error)
            is_hopeless = isinstance(error, (CannotStart, ValueError))
            cause = "start_failed" if is_hopeless else "not_prepared"
            self._could_not_start(attempt, " ".join(str(error).split()), cause)

    def _could_not_start(self, attempt: AttemptId, detail: str, cause: str) -> None:
        self._end_log(attempt, log_bytes=0, is_wanted=True)  # a build may have begun one
        self._forget(attempt)
        self._feed(StartFailed(attempt=attempt, detail=detail, cause=cause))

    # --- calls --------------------------------------------------------------------------------

    def _call(self, process: FunctionProcess, order: RunAttempt, call: CallOrder) -> None:
        attempt = order.attempt
        self._busy[attempt] = process
        self._logs.begin(order.run, order.spec.id, attempt, at=process.output)
        process.call(call)
        if process.is_up:
            self._is_running(attempt)

    def _is_running(self, attempt: AttemptId) -> None:
        self.started.append(attempt)
        self._feed(ProcessStarted(attempt=attempt))

    def _on_end(self, process: FunctionProcess, end: CallEnd) -> None:
        """A call has returned or raised; its process takes the next, unless it has grown old."""
        attempt = AttemptId(end.attempt)
        if not process.is_up:
            self.on_started(process.key)  # it was quicker than the warden's word
        value, detail = self._value_of(process) if end.is_large else (None, end.detail)
        process.attempt = AttemptId(0)
        text = self._end_log(attempt, log_bytes=end.log_bytes, is_wanted=not process.is_doomed)
        if end.log_bytes:
            process.next_output()
        if end.is_last or process.is_doomed:
            process.close()
        else:
            process.idle_since_s = time.monotonic()
            self._crew_of[process.key].idle.append(process)
            self._sweep_later()
        ended = ProcessEnded(
            attempt=attempt,
            exit_code=end.exit_code,
            duration_us=end.duration_us,
            log_bytes=end.log_bytes,
            log=text,
            output=end.output,
            detail=detail,
            cause=NOT_STORED if end.is_large and value is None else "",
        )
        if value is not None:
            self._store(ended, value)
            return
        self._forget(attempt)
        self._feed(ended)

    # --- large results ------------------------------------------------------------------------

    def _value_of(self, process: FunctionProcess) -> tuple[Path | None, str]:
        """The file that holds what the call has put out, or why there is none."""
        if process.is_doomed:
            return None, _KILLED
        try:
            return process.take_value(), ""
        except OSError as error:
            return None, f"its result is gone: {error.strerror}"

    def _store(self, end: ProcessEnded, value: Path) -> None:
        """The attempt has not ended before its result is stored: then nothing of it is lost."""
        self._busy.pop(end.attempt, None)
        task = asyncio.create_task(
            self._files.finish_call(end.attempt, value), name=f"store result of {end.attempt}"
        )
        self._storing[end.attempt] = task
        task.add_done_callback(lambda done: self._stored(end, value, done))

    def _stored(self, end: ProcessEnded, value: Path, done: asyncio.Task[Ending]) -> None:
        del self._storing[end.attempt]
        value.unlink(missing_ok=True)
        self._forget(end.attempt)
        ending = Ending(cause=NOT_STORED, detail=_KILLED) if done.cancelled() else done.result()
        self._feed(
            replace(end, cause=ending.cause, detail=ending.detail, artifacts=ending.artifacts)
        )

    def _end_log(self, attempt: AttemptId, *, log_bytes: int, is_wanted: bool) -> bytes:
        """What the call has printed, if that is little; else it is stored."""
        text = self._logs.read_small(attempt) if log_bytes and is_wanted else b""
        now_ms = self._wall_clock_ns() // 1_000_000
        path = self._logs.end(attempt, now_ms=now_ms, size_bytes=log_bytes)
        order = self._orders[attempt]
        if path is not None and log_bytes and not text:
            self._ship(Finished(order.run, order.spec.id, attempt, path, log_bytes))
        return text

    def _forget(self, attempt: AttemptId) -> None:
        del self._orders[attempt]
        self._busy.pop(attempt, None)
        self._files.values.let_go(attempt)

    # --- the warden's reports -----------------------------------------------------------------

    def on_started(self, key: AttemptId) -> None:
        """A process runs, and with it its first call."""
        process = self._processes[key]
        if not process.is_up:
            process.is_up = True
            if process.attempt:
                self._is_running(process.attempt)

    def on_start_failed(self, key: AttemptId, reason: str) -> None:
        """A process could not be made."""
        process = self._processes[key]
        attempt = process.attempt
        self._gone(process)
        if attempt:
            self._could_not_start(
                attempt, f"its process could not be started: {reason}", "not_prepared"
            )

    def on_exited(self, key: AttemptId, *, exit_code: int, duration_us: int) -> None:
        """A process has ended. If in the middle of a call, that attempt has ended and no other."""
        process = self._processes[key]
        process.receive()  # its last result may not have been read yet
        attempt, output = process.attempt, process.output
        if attempt:
            log_bytes = output.stat().st_size if output.exists() else 0
            text = self._end_log(attempt, log_bytes=log_bytes, is_wanted=not process.is_doomed)
            self._forget(attempt)
        self._gone(process)
        if attempt:
            self._feed(
                ProcessEnded(
                    attempt=attempt,
                    exit_code=exit_code or _NO_RESULT,
                    duration_us=duration_us,
                    log_bytes=log_bytes,
                    log=text,
                    detail="the process ended in the middle of the call",
                )
            )

    def _gone(self, process: FunctionProcess) -> None:
        process.close()
        del self._processes[process.key]
        crew = self._crew_of.pop(process.key, None)
        if crew is not None:
            with contextlib.suppress(ValueError):
                crew.idle.remove(process)
            if crew not in self._crew_of.values():
                self._crews.pop(crew.key, None)
        self._starter.clear(process)

    # --- idle processes -----------------------------------------------------------------------

    def _sweep_later(self) -> None:
        if self._sweeping is None and not self._is_closing:
            loop = asyncio.get_running_loop()
            self._sweeping = loop.call_later(_SWEEP_S, self._sweep)

    def _sweep(self) -> None:
        """Let go of what has been idle too long; kill what was let go and has not gone."""
        self._sweeping = None
        now_s = time.monotonic()
        for process in list(self._processes.values()):
            if process.is_closed:
                self._warden.kill(process.key)  # also in a call: it can tell nobody how that ends
            elif process.attempt:
                continue
            elif now_s - process.idle_since_s > CALL_PROCESS_IDLE_S:
                process.close()
        if any(process.is_closed or not process.attempt for process in self._processes.values()):
            self._sweep_later()

    def _evict(self) -> None:
        idle = [one for crew in self._crews.values() for one in crew.idle if not one.is_closed]
        idle.sort(key=lambda one: one.idle_since_s)
        for process in idle[: max(0, len(idle) - CALL_PROCESSES_IDLE_MAX)]:
            process.close()
