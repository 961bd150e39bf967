"""The worker process: the core and everything it needs, put together, started and taken apart.

Owns the event loop's side of things: events go to the core one at a time, and its instructions are
carried out in order before the next event is looked at. `core.py` decides, `runner.py` runs, `session.py`
talks to the leader. Whichever way `run` ends, nothing that the worker started is left running.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import time
from collections import deque
from collections.abc import Iterator
from typing import Any, Final

import titan
from titan.errors import Fatal, ProtocolError
from titan.exec import environment, host
from titan.exec.attempt import Phase
from titan.exec.bundles import BundleCache
from titan.exec.config import WorkerConfig
from titan.exec.core import WorkerCore
from titan.exec.datadir import DataDir
from titan.exec.events import (
    Escalate,
    Event,
    Forget,
    Instruction,
    Kill,
    OutputTooLarge,
    RefuseLeader,
    Report,
    Send,
    Start,
    Stop,
    TimePassed,
)
from titan.exec.files.attempts import AttemptFiles
from titan.exec.files.cache import FileCache
from titan.exec.files.links import Links
from titan.exec.isolation.detect import detect
from titan.exec.isolation.fences import Isolation
from titan.exec.isolation.techniques import Techniques
from titan.exec.log_reader import serve_log
from titan.exec.log_shipping import LogShipper
from titan.exec.logs import LogStore
from titan.exec.orphans import watch_for_a_leader
from titan.exec.outbox import Outbox
from titan.exec.reports import Reports
from titan.exec.runner import Runner, Surroundings
from titan.exec.session import Session
from titan.exec.warden_client import kill_leftovers
from titan.exec.workspaces import Workspaces
from titan.ids import AttemptId, new_incarnation
from titan.wire.channel import Channel
from titan.wire.messages import (
    PROTOCOL,
    ROLE_WORKER,
    Confirmed,
    Heartbeat,
    Hello,
    KillAttempt,
    LeaveNow,
    Message,
    ReadLog,
    Register,
    Registered,
    Retract,
    RunAttempt,
    ServiceHealth,
)

log = logging.getLogger(__name__)

_TICK_S: Final = 0.05  # how late a time-out or an output limit may be noticed
_LEADER_SAYS: Final = (RunAttempt, KillAttempt, Retract, Confirmed, LeaveNow)


class Worker:
    """One worker. `run` it once; `stop` it from anywhere on the same loop."""

    def __init__(self, config: WorkerConfig) -> None:
        self._config = config
        self._incarnation = new_incarnation()
        self._events: deque[Event] = deque()
        self._is_feeding = False
        self._over = asyncio.Event()
        self._finished = asyncio.Event()
        self._asked_to_stop: LeaveNow | None = None
        self._busy = asyncio.Event()
        self._fatal: Exception | None = None
        self._is_open = False

    # --- life ---------------------------------------------------------------------------------

    async def run(self) -> None:
        """Work until `stop`, a leader's `LeaveNow`, or cancellation, which kills at once.

        Raises `Fatal` when the data directory is another worker's, when another worker uses this
        one's id, or when the warden has died.
        """
        self._data = DataDir(self._config.data_dir)
        with contextlib.closing(self._data):
            self._open()
            tasks = [
                asyncio.create_task(self._session.run(), name="leader session"),
                asyncio.create_task(self._tick(), name="worker clock"),
                asyncio.create_task(
                    self._files.checkpoints.run(period_s=self._config.checkpoint_s),
                    name="checkpoints",
                ),
                asyncio.create_task(self._shipper.run(), name="finished logs"),
                asyncio.create_task(self._over.wait(), name="worker end"),
            ]
            if self._config.ephemeral:
                watch = watch_for_a_leader(
                    self._session,
                    self._core,
                    orphan_ms=self._config.orphan_ms,
                    leave=lambda: self._feed(LeaveNow(drain=True)),
                )
                tasks.append(asyncio.create_task(watch, name="orphan watch"))
            try:
                if self._asked_to_stop is not None:
                    self._feed(self._asked_to_stop)
                done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
                if self._fatal is not None:
                    raise self._fatal
            finally:
                await self._close(tasks)
                self._finished.set()

    async def stop(self, *, drain: bool = False) -> None:
        """Take no more work, end what runs (with `drain`, let it end) and say goodbye.

        Returns when nothing is left of it; a second call without `drain` hurries the first.
        """
        self._asked_to_stop = LeaveNow(drain=drain)
        if self._is_open:
            self._feed(self._asked_to_stop)
            await self._finished.wait()

    def _open(self) -> None:
        config, data = self._config, self._data
        if left := kill_leftovers(data.root):
            log.warning("killed %d processes that an earlier life of this worker left", left)
        self._resources = host.detect_resources(config.resources)
        self._outbox = Outbox(data.outbox)
        self._logs = LogStore(data.logs, bytes_max=config.logs_bytes_max, files_max=config.logs_max)
        self._core = WorkerCore(
            slots=config.slots,
            kill_grace_ms=config.kill_grace_ms,
            outbox=self._outbox.attempts,
        )
        self._open_links()
        techniques = detect(config, worker=data.worker, data_dir=data.root)
        self._offered = (*config.offered, *techniques.offered())
        self._open_files()
        self._open_runner(techniques)
        self._is_open = True

    def _open_links(self) -> None:
        """The session with the leader, and the ways to masters for data."""
        config, data = self._config, self._data
        hello = Hello(
            role=ROLE_WORKER,
            id=data.worker,
            protocol=PROTOCOL,
            cluster_id=config.cluster_id,
            incarnation=self._incarnation,
        )
        self._session = Session(self, config=config, hello=hello)
        self._reports = Reports(self._session.send)
        self._links = Links(
            lambda: self._session.masters,
            worker=data.worker,
            cluster_id=config.cluster_id,
            tls=config.tls,
        )

    def _open_files(self) -> None:
        """What comes from the cluster for jobs, and what goes there."""
        config, data = self._config, self._data
        self._bundles = BundleCache(
            data.bundles, source=self._links, bytes_max=config.bundles_bytes_max
        )
        self._cache = FileCache(data.files, source=self._links, bytes_max=config.files_bytes_max)
        self._files = AttemptFiles(links=self._links, cache=self._cache, scratch=data.scratch)
        self._shipper = LogShipper(self._links, logs=data.logs, scratch=data.scratch)

    def _open_runner(self, techniques: Techniques) -> None:
        """What starts jobs, with all that is around them."""
        config, data = self._config, self._data
        self._runner = Runner(
            feed=self._feed,
            workspaces=Workspaces(data.work, bundles=self._bundles),
            logs=self._logs,
            files=self._files,
            shipper=self._shipper,
            surroundings=Surroundings(
                python=config.python,
                base_env=environment.base(
                    os.environ,
                    worker=data.worker,
                    data_dir=data.root,
                    capabilities=self._offered,
                ),
                masters=lambda: self._session.masters,
                advertise=config.advertise,
                wall_clock_ns=config.wall_clock_ns,
            ),
            isolation=Isolation(
                private=data.private,
                environments=data.environments,
                techniques=techniques,
                env=environment.of_helpers(os.environ, data_dir=data.root),
                environments_max=config.environments_max,
                build_timeout_s=config.build_timeout_s,
                has_left=data.root / "containers",
            ),
            on_warden_lost=self._on_warden_lost,
            on_health=self._on_health,
            on_broken=self._on_broken,
        )

    async def _close(self, tasks: list[asyncio.Task[Any]]) -> None:
        self._is_open = False
        self._over.set()
        self._reports.send_now()
        self._session.close()
        for task in tasks:
            task.cancel()
        try:
            await self._runner.close()
        finally:
            await self._bundles.close()
            await self._cache.close()
            self._links.close()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._outbox.close()

    def _on_warden_lost(self) -> None:
        self._fatal = Fatal("the warden died, so its processes were killed and this worker leaves")
        self._over.set()

    def _on_health(self, told: ServiceHealth) -> None:
        self._session.send(told)  # what nobody hears now is told after the next registration

    def _on_broken(self, error: BaseException) -> None:
        self._fatal = Fatal(f"a part of this worker has a defect: {error!r}")
        self._over.set()

    # --- events in, instructions out ----------------------------------------------------------

    def _feed(self, event: Event) -> None:
        """Give the core an event. One that arises while instructions are carried out waits its turn."""
        self._events.append(event)
        if self._is_feeding or not self._is_open:
            return
        self._is_feeding = True
        try:
            while self._events:
                for instruction in self._core.handle(self._events.popleft(), now_ms=_now_ms()):
                    self._carry_out(instruction)
        except Exception as error:  # half-done instructions are no state to go on from
            log.exception("the worker cannot go on")
            self._fatal = error
            self._over.set()
        finally:
            self._is_feeding = False
        self._busy.set()

    def _carry_out(self, instruction: Instruction) -> None:
        match instruction:
            case Start(order):
                self._runner.start(order)
            case Report(result):
                with _disk_trouble("keep a result"):
                    self._outbox.add(result)
                self._reports.add(result, may_wait=self._core.has_plenty)
            case Forget(attempts):
                with _disk_trouble("forget a result"):
                    self._outbox.remove(attempts)
            case Kill(attempt):
                self._runner.terminate(attempt)
            case Escalate(attempt):
                self._runner.kill(attempt)
            case Send(message):
                self._reports.send_now()
                self._session.send(message)
            case RefuseLeader(epoch):
                log.warning("a leader of epoch %d is behind %d", epoch, self._core.epoch_seen)
                self._session.leave_leader()
            case Stop():
                self._reports.send_now()
                self._over.set()

    async def _tick(self) -> None:
        """Look at the clock and at the logs while there is anything to look after."""
        while True:
            await asyncio.sleep(_TICK_S)
            limit_bytes = self._config.output_bytes_max
            sizes = list(self._logs.sample(now_ms=self._config.wall_clock_ns() // 1_000_000))
            for attempt, size_bytes in sizes:
                own_bytes = self._runner.output_bytes_max(attempt)
                if size_bytes > min(limit_bytes, own_bytes or limit_bytes):
                    self._feed(OutputTooLarge(attempt=attempt))
            due_ms = self._core.due_ms()
            if due_ms is not None and due_ms <= _now_ms():
                self._feed(TimePassed())
            if due_ms is None and not sizes:
                self._busy.clear()
                await self._busy.wait()

    # --- the session's questions --------------------------------------------------------------

    def registration(self) -> Register:
        """What to register as, now."""
        return Register(
            worker=self._data.worker,
            incarnation=self._incarnation,
            name=self._config.name or socket.gethostname(),
            capabilities=self._offered,
            slots=self._config.slots,
            resources=self._resources,
            holds=self._core.holds(),
            epoch_seen=self._core.epoch_seen,
            version=titan.__version__,
            ephemeral=self._config.ephemeral,
            idle_ms=self._config.idle_ms,
            launch=self._config.launch,
            host=self._config.advertise,
            machine=host.machine_id(),
            ports=self._config.service_ports,
        )

    def heartbeat(self) -> Heartbeat:
        """What to say at the next beat."""
        return host.heartbeat(self._data.root, started=self._runner.take_started())

    def on_registered(self, registered: Registered) -> None:
        """Settle what is held against what the leader knows, then repeat what it may have missed."""
        self._reports.forget()
        self._feed(registered)
        self._runner.started = list(self._runner.running)
        for result in self._outbox:
            self._session.send(result)
        for health in self._runner.health:
            self._session.send(health)

    def on_message(self, message: Message) -> None:
        """The leader said something."""
        if not isinstance(message, _LEADER_SAYS):
            raise ProtocolError(f"unexpected note {type(message).__name__}")
        self._feed(message)

    async def on_channel(self, message: Message, channel: Channel) -> Message:
        """The leader wants a log."""
        if not isinstance(message, ReadLog):
            raise ProtocolError(f"unexpected channel {type(message).__name__}")
        if message.follow:
            await self._wait_for_log(message.attempt)
        return await serve_log(message, channel, logs=self._logs)

    async def _wait_for_log(self, attempt: AttemptId) -> None:
        """A follower may ask before the attempt has been started."""
        while self._core.phase(attempt) in (Phase.QUEUED, Phase.STARTING):
            if self._logs.is_running(attempt):
                return
            await asyncio.sleep(_TICK_S)


@contextlib.contextmanager
def _disk_trouble(what: str) -> Iterator[None]:
    """A full disk does not stop the worker: memory has the result, and at worst its job runs again."""
    try:
        yield
    except OSError as error:
        log.error("could not %s on disk: %s", what, error)


def _now_ms() -> int:
    return time.monotonic_ns() // 1_000_000
