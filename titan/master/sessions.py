"""Workers that are connected to this leader: registering, results, orders, loss.

A session is one connection of one worker. It exists only while this master reigns; when the reign
ends every session is closed and the workers look for the new leader. Their processes go on.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, Any, Final

from titan.errors import Conflict, ConnectionLost, NotLeader, TitanError, Unavailable
from titan.fsm.commands import (
    Command,
    DescribeWorker,
    ExpireWorker,
    FinishAttempt,
    JoinWorker,
    ReleaseAttempt,
    SetServiceHealth,
    SetWorkerMode,
)
from titan.fsm.outcomes import Rejected
from titan.fsm.state import Attempt, State
from titan.ids import AttemptId, WorkerId
from titan.master.dispatch import kill_message, run_message
from titan.master.proposer import Answer
from titan.sched.reconcile import reconcile
from titan.wire.channel import Channel
from titan.wire.connection import Connection
from titan.wire.handler import Refusing
from titan.wire.messages import (
    AttemptEnded,
    AttemptReleased,
    Confirmed,
    GetBlob,
    Goodbye,
    Heartbeat,
    LeaveNow,
    Leaving,
    Message,
    Register,
    Registered,
    ServiceHealth,
)

if TYPE_CHECKING:
    from titan.master.blobs import BlobKeeper
    from titan.master.reign import Reign

log = logging.getLogger(__name__)

_STALE_EPOCH: Final = "stale_epoch"  # the state machine's word for an entry of a reign that is over
HEARTBEAT_MS: Final = 1000
FILES_SINCE: Final = 2  # the version of the cluster that knows small logs and artifacts
REPEAT_S: Final = 0.25  # until a result that the log did not take is proposed again


class Session(Refusing):
    """The handler of one worker's connection."""

    def __init__(self, sessions: Sessions, blobs: BlobKeeper) -> None:
        self._sessions = sessions
        self._blobs = blobs
        self._confirmed: list[AttemptId] = []
        self.connection: Connection | None = None
        self.worker = WorkerId("")
        self.incarnation = 0
        self.is_heard = False  # what it says counts: its registration is committed
        self.is_open = False  # it may be given orders: it has been told so

    def on_call(self, connection: Connection, message: Message) -> Awaitable[Message] | Message:
        """A worker calls once: to register."""
        if not isinstance(message, Register) or self.worker:
            return super().on_call(connection, message)
        self.connection = connection
        return self._sessions.register(self, message)

    async def on_channel(
        self, connection: Connection, message: Message, channel: Channel
    ) -> Message:
        """A worker fetches bundles."""
        if not isinstance(message, GetBlob):
            return await super().on_channel(connection, message, channel)
        return await self._blobs.get(message, channel, may_fetch=True)

    def on_note(self, connection: Connection, message: Message) -> None:
        """Results and heartbeats. What comes before the registration or after a reign is ignored."""
        if not self.is_heard:
            return
        match message:
            case Heartbeat():
                self._sessions.on_heartbeat(self, message)
            case AttemptEnded():
                self._sessions.on_ended(self, message)
            case AttemptReleased():
                self._sessions.on_released(self, message)
            case Leaving():
                self._sessions.on_leaving(self, message)
            case ServiceHealth():
                self._sessions.on_health(self, message)
            case Goodbye():
                self._sessions.on_goodbye(self)
            case _:
                super().on_note(connection, message)

    def on_closed(self, connection: Connection) -> None:
        """The worker is gone, or only its connection."""
        self._sessions.on_closed(self)

    def tell(self, message: Message) -> None:
        """Send an order; a lost connection is noticed elsewhere, and the order repeated by then."""
        if self.connection is not None and not self.connection.is_closed:
            self.connection.note(message)

    def confirm(self, attempt: AttemptId) -> None:
        """Tell the worker that a result is committed; those of one loop turn go together."""
        if not self._confirmed:
            asyncio.get_running_loop().call_soon(self._send_confirmed)
        self._confirmed.append(attempt)

    def _send_confirmed(self) -> None:
        confirmed, self._confirmed = tuple(self._confirmed), []
        self.tell(Confirmed(attempts=confirmed))


class Sessions:
    """Every worker's session during one reign."""

    def __init__(self, reign: Reign, *, masters: tuple[str, ...]) -> None:
        self._reign = reign
        self._masters = masters
        self._by_worker: dict[WorkerId, Session] = {}

    def get(self, worker: WorkerId) -> Session | None:
        """The worker's open session."""
        return self._by_worker.get(worker)

    def __len__(self) -> int:
        return len(self._by_worker)

    # --- registering --------------------------------------------------------------------------

    async def register(self, session: Session, message: Register) -> Registered:
        """Commit that the worker is here, then tell it what is still its own (flow 10)."""
        self._refuse_double(session, message)
        session.worker, session.incarnation = message.worker, message.incarnation
        self._by_worker[message.worker] = session
        settled = await self._reign.propose(self._join(message))
        if isinstance(settled.outcome, Rejected):
            if settled.outcome.code == _STALE_EPOCH:
                raise NotLeader
            raise Conflict(settled.outcome.why, reason=settled.outcome.code)
        if self._by_worker.get(message.worker) is not session or session.connection is None:
            raise ConnectionLost("replaced by a newer connection of the same worker")
        todo = reconcile(
            self._state, message.worker, incarnation=message.incarnation, holds=message.holds
        )
        # The reply is written when this coroutine returns. Orders must follow it, and what the worker
        # answers to it may be here before the next turn of the loop: it is said once in a session.
        session.is_heard = True
        asyncio.get_running_loop().call_soon(self._activate, session, todo.redispatch, message)
        return Registered(
            epoch=self._reign.epoch,
            live=todo.live,
            heartbeat_ms=HEARTBEAT_MS,
            masters=self._masters,
        )

    def _join(self, message: Register) -> JoinWorker:
        join = JoinWorker(
            worker=message.worker,
            incarnation=message.incarnation,
            name=message.name,
            capabilities=message.capabilities,
            slots=message.slots,
            resources=message.resources,
            holds=message.holds,
            version=message.version,
            ephemeral=message.ephemeral,
            idle_ms=message.idle_ms,
            launch=message.launch,
        )
        if join.needs_version() > self._state.version:
            raise Unavailable("not every master knows ephemeral workers yet")
        return join

    def _refuse_double(self, session: Session, message: Register) -> None:
        old = self._by_worker.get(message.worker)
        if old is None or old.connection is None or old.connection.is_closed:
            return
        if old.incarnation != message.incarnation:
            raise Conflict(
                f"a worker with the id {message.worker} is connected already",
                reason="worker_connected",
                hint="every worker needs a data directory of its own",
            )
        old.is_heard = old.is_open = False
        old.connection.close(ConnectionLost("the worker has connected anew"))

    def _activate(self, session: Session, redispatch: Iterable[Attempt], message: Register) -> None:
        if self._by_worker.get(session.worker) is not session or not self._reign.is_on:
            return
        session.is_open = True
        for attempt in redispatch:
            if attempt.id in self._state.attempts:
                session.tell(run_message(self._state, attempt, epoch=self._reign.epoch))
        self._describe(session, message)
        self._reign.on_session_up(session.worker)
        self.ask_to_leave_if_draining(session.worker)

    def _describe(self, session: Session, message: Register) -> None:
        """Commit where its services are reached; a worker without ports is too old for any."""
        if message.ports[1]:
            describe = DescribeWorker(
                worker=message.worker,
                host=message.host,
                machine=message.machine,
                ports=message.ports,
            )
            self._insist(session, describe)

    # --- what workers say ---------------------------------------------------------------------

    def on_heartbeat(self, session: Session, message: Heartbeat) -> None:
        """The worker lives."""
        self._reign.on_heartbeat(session.worker, started=message.started)
        self._reign.fleet.heard(session.worker, message)

    def on_ended(self, session: Session, message: AttemptEnded) -> None:
        """Propose the result; confirm it once it is committed, also when it was refused for good."""
        finish = FinishAttempt(
            attempt=message.attempt,
            exit_code=message.exit_code,
            cause=message.cause,
            detail=message.detail,
            duration_us=message.duration_us,
            cpu_us=message.cpu_us,
            log_bytes=message.log_bytes,
            output=message.output,
            **self._of_version_2(message),
        )
        self._insist(session, finish, then=lambda: session.confirm(message.attempt))

    def _of_version_2(self, message: AttemptEnded) -> dict[str, Any]:
        """What older masters would not see, and must not miss."""
        if self._state.version < FILES_SINCE:
            return {}
        return {"log": message.log, "artifacts": message.artifacts}

    def on_released(self, session: Session, message: AttemptReleased) -> None:
        """The worker gave an attempt back before it started."""
        self._insist(session, ReleaseAttempt(attempt=message.attempt, cause="retracted"))

    def on_health(self, session: Session, message: ServiceHealth) -> None:
        """Commit a change. One that comes late is of an attempt that ended, and is refused."""
        health = SetServiceHealth(
            attempt=message.attempt, health=message.health, detail=message.detail
        )
        self._insist(session, health)

    def _insist(
        self, session: Session, command: Command, *, then: Callable[[], None] = lambda: None
    ) -> None:
        """Propose until it is committed or the session ends: only a new session makes a worker repeat
        what it said, so what the log does not take now, be it for a full disk, would be lost."""

        def settled(done: Answer) -> None:
            if _was_taken(done):
                then()
            else:
                again()

        def again() -> None:
            asyncio.get_running_loop().call_later(REPEAT_S, once_more)

        def once_more() -> None:
            if session.is_heard:
                self._insist(session, command, then=then)

        if command.since > self._state.version:
            again()  # some master could not read it: the upgrade is not finished
            return
        try:
            answer = self._reign.submit(command)
        except TitanError as error:
            log.info("%r must wait: %s", command, error)
            again()
        else:
            answer.add_done_callback(settled)
            self._reign.foresee(command)

    def on_leaving(self, session: Session, message: Leaving) -> None:
        """The worker was told to stop: it gets nothing more, and what it queues goes elsewhere."""
        record = self._state.workers.get(session.worker)
        if record is not None and record.mode != "draining":
            self._insist(session, SetWorkerMode(worker=session.worker, mode="draining"))

    def on_goodbye(self, session: Session) -> None:
        """The worker leaves; nothing runs on it any more."""
        try:
            self._reign.submit(
                ExpireWorker(worker=session.worker, incarnation=session.incarnation, cause="left")
            )
        except TitanError as error:
            log.info("worker %s will be missed instead: %s", session.worker, error)

    def on_closed(self, session: Session) -> None:
        """A connection ended."""
        session.is_heard = session.is_open = False
        if self._by_worker.get(session.worker) is session:
            del self._by_worker[session.worker]
            self._reign.on_session_down(session.worker)

    # --- orders -------------------------------------------------------------------------------

    def run(self, attempt: AttemptId, worker: WorkerId) -> None:
        """Tell the worker to run an attempt that was just assigned."""
        session, live = self._by_worker.get(worker), self._state.attempts.get(attempt)
        if session is not None and session.is_open and live is not None:
            session.tell(run_message(self._state, live, epoch=self._reign.epoch))

    def kill(self, attempt: AttemptId, worker: WorkerId, *, reason: str) -> None:
        """Tell the worker to end an attempt that is no longer live."""
        session = self._by_worker.get(worker)
        if session is not None and session.is_open:
            session.tell(kill_message(attempt, epoch=self._reign.epoch, reason=reason))

    def tell(self, worker: WorkerId, message: Message) -> None:
        """Send an order to a worker if it is connected."""
        session = self._by_worker.get(worker)
        if session is not None and session.is_open:
            session.tell(message)

    def ask_to_leave_if_draining(self, worker: WorkerId) -> None:
        """A draining worker finishes what it runs and goes."""
        record = self._state.workers.get(worker)
        if record is not None and record.mode == "draining":
            self.tell(worker, LeaveNow(drain=True))

    def close(self) -> None:
        """The reign is over: let every worker look for the new leader."""
        sessions, self._by_worker = list(self._by_worker.values()), {}
        for session in sessions:
            session.is_heard = session.is_open = False
            if session.connection is not None:
                session.connection.close(NotLeader())

    @property
    def _state(self) -> State:
        return self._reign.state


def _was_taken(done: Answer) -> bool:
    """Whether the state machine has judged it, in whatever way: what came too late from a reign that
    is over was not looked at."""
    if done.cancelled() or done.exception() is not None:
        return False
    outcome = done.result().outcome
    return not (isinstance(outcome, Rejected) and outcome.code == _STALE_EPOCH)
