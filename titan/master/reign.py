"""What leading means: the ordered steps of a reign, and everything that exists only during one.

A reign begins when consensus says this master is ready and ends when it says otherwise. Nothing here
survives it: the planner, the lease table and the sessions are rebuilt from the state by the next
leader (flow 10). The events of apply drive it (flow 5); losing one costs latency, never correctness.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

from titan.errors import NotLeader, TitanError
from titan.fsm.commands import (
    AdvanceTime,
    AssignAttempt,
    Command,
    ExpireWorker,
    FinishAttempt,
    OpenEpoch,
)
from titan.fsm.events import AnyEvent, AttemptAssigned, AttemptRevoked, WorkerChanged, WorkerExpired
from titan.fsm.outcomes import Applied
from titan.fsm.state import State
from titan.ids import AttemptId, JobId, RunId, WorkerId
from titan.limits import RESULTS_WAIT_S
from titan.master.autoscaler import Autoscaler
from titan.master.fleet import Fleet, FleetWatch
from titan.master.proposer import Answer, Proposer, Settled
from titan.master.providers.base import Provider
from titan.master.replica import Replica
from titan.master.sessions import Sessions
from titan.sched import explain
from titan.sched.foresight import foresee
from titan.sched.liveness import Leases, online_workers
from titan.sched.planner import Planner
from titan.sched.verdicts import Why
from titan.wire.messages import Retract

log = logging.getLogger(__name__)

PLAN_LIMIT: Final = 128  # assignments proposed at once, 15 ms; the rest follows in the next turn
PLAN_WAIT_S: Final = 2 * RESULTS_WAIT_S  # a busy worker tells of the next results by then
WATCH_PERIOD_S: Final = 0.05  # how often leases, rests and overdue timers are looked at
TIMER_SLACK_MS: Final = 1  # a timer may fire this late, so that it never fires early


class Reign:
    """One reign of this master. Made by `Reigns` when leadership is ready."""

    def __init__(
        self,
        replica: Replica,
        proposer: Proposer,
        *,
        epoch: int,
        masters: tuple[str, ...],
        now_ms: Callable[[], int],
        providers: Mapping[str, Provider] | None = None,
        address: str = "",
    ) -> None:
        self.epoch = epoch
        self.is_on = False
        self._replica = replica
        self._proposer = proposer
        self._now_ms = now_ms
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._timer_due_ms: int | None = None
        self._advancing = False
        self._plan_scheduled = False
        self._plan_timer: asyncio.TimerHandle | None = None
        self._expiring: set[WorkerId] = set()
        self.sessions = Sessions(self, masters=masters)
        self.fleet = FleetWatch(address=address, now_ms=now_ms)
        self.autoscaler = Autoscaler(
            state=lambda: self.state,
            submit=self.submit,
            providers=providers or {},
            address=address,
            now_ms=now_ms,
        )
        self.planner: Planner | None = None
        self.leases: Leases | None = None

    @property
    def state(self) -> State:
        """The replicated state."""
        return self._replica.state

    async def run(self, *, address: str) -> None:
        """Reign until cancelled."""
        # 1. Open the epoch. From here on entries of earlier leaders are refused.
        cluster_id = os.urandom(8).hex()
        opening = OpenEpoch(epoch=self.epoch, leader=address, cluster_id=cluster_id)
        await self._proposer.open_epoch(opening)
        # 2. Rebuild what is not state from the state: ready queue, capacity, in one step with
        #    listening, so that no event falls between.
        self.planner = Planner(self.state)
        # 3. Every worker that was online gets a grace period to come back.
        self.leases = Leases(online_workers(self.state), now_ms=self._now_ms())
        self.is_on = True
        stop_listening = self._replica.listen(self.on_applied)
        log.info("reign of epoch %d begins: %d runs", self.epoch, len(self.state.runs))
        try:
            # 4. Timers that fell due meanwhile fire; workers may register from now on, and each is
            #    reconciled before it gets work (`Sessions.register`). 5. Plan.
            self._arm_timer()
            self._schedule_plan()
            await self._keep_watch()
        finally:
            stop_listening()
            self._end()
            await self.autoscaler.close()

    async def _keep_watch(self) -> None:
        while True:
            await asyncio.sleep(WATCH_PERIOD_S)
            self._expire_silent_workers()
            self._wake_planner()
            self._retract()
            self._advance_if_overdue()
            self._scale()

    def _end(self) -> None:
        self.is_on = False
        self._proposer.close_epoch()
        for timer in (self._timer, self._plan_timer):
            if timer is not None:
                timer.cancel()
        self.sessions.close()
        log.info("reign of epoch %d ends", self.epoch)

    # --- proposing ----------------------------------------------------------------------------

    def submit(self, command: Command) -> Answer:
        """Propose a command of the leader's own. Raises when this master does not reign."""
        return self._proposer.submit(command)

    async def propose(self, command: Command) -> Settled:
        """Propose and wait for the outcome."""
        return await self._proposer.submit(command)

    # --- events (flow 5) ----------------------------------------------------------------------

    def on_applied(self, index: int, events: Sequence[AnyEvent]) -> None:
        """An entry was applied on this master."""
        assert self.planner is not None
        if self.state.epoch != self.epoch:
            # Another leader reigns already and consensus has not told us yet: what it assigns is not
            # ours to send, least of all to workers that still sit on our connections.
            self.is_on = False
            return
        for event in events:
            if isinstance(event, AttemptAssigned):
                self.sessions.run(event.attempt, event.worker)
            elif isinstance(event, AttemptRevoked) and event.cause != "retracted":
                self.sessions.kill(event.attempt, event.worker, reason=event.cause)
            elif isinstance(event, WorkerChanged):
                self.sessions.ask_to_leave_if_draining(event.worker)
            elif isinstance(event, WorkerExpired) and self.leases is not None:
                self.leases.forget(event.worker)
        if events:
            self.autoscaler.observe(events)
            self.planner.observe(events)
            self._schedule_plan()
        self._arm_timer()

    # --- planning (flow 6) --------------------------------------------------------------------

    def _schedule_plan(self) -> None:
        """Soon; or, when nobody waits for it, with the next results, so that they share an entry."""
        if self._plan_scheduled or self.planner is None:
            return
        if not self.planner.may_wait:
            self._plan_scheduled = True
            self._loop.call_soon(self._plan)
        elif self._plan_timer is None:
            self._plan_timer = self._loop.call_later(PLAN_WAIT_S, self._plan)

    def _plan(self) -> None:
        self._plan_scheduled = False
        if self._plan_timer is not None:
            self._plan_timer.cancel()
            self._plan_timer = None
        if not self.is_on or self.planner is None:
            return
        for command in self.planner.plan(now_ms=self._now_ms(), limit=PLAN_LIMIT):
            self._assign(command)
        if self.planner.is_behind:
            self._schedule_plan()

    def _assign(self, command: AssignAttempt) -> None:
        try:
            answer = self._proposer.submit(command)
        except TitanError as error:
            log.info("assignment of %s/%s put off: %s", command.run, command.job, error)
            self._settle(command, accepted=False)
            return
        answer.add_done_callback(lambda done: self._settle(command, accepted=_was_applied(done)))

    def foresee(self, command: Command) -> None:
        """A command was just proposed: propose behind it what it will make possible."""
        if self.is_on and self.planner is not None:
            for assignment in foresee(self.state, self.planner, command):
                self._assign(assignment)
            if self._plan_timer is not None and isinstance(command, FinishAttempt):
                self._plan()

    def _settle(self, command: AssignAttempt, *, accepted: bool) -> None:
        if self.planner is not None:
            self.planner.settled(command, accepted=accepted)
            self._schedule_plan()

    def _wake_planner(self) -> None:
        assert self.planner is not None
        wake_at_ms = self.planner.wake_at_ms
        if wake_at_ms is not None and wake_at_ms <= self._now_ms():
            self._schedule_plan()

    def _retract(self) -> None:
        assert self.planner is not None
        for one in self.planner.retractions(now_ms=self._now_ms()):
            self.sessions.tell(one.worker, Retract(attempt=one.attempt, epoch=self.epoch))

    def why(self, run: RunId, job: JobId) -> Why:
        """Why the job waits: asks the planner. The run and the job exist."""
        if self.planner is None:
            raise NotLeader
        found = self.state.runs[run]
        return explain.why(
            self.state,
            self.planner,
            found,
            found.jobs[job],
            now_ms=self._now_ms(),
            standings=self.autoscaler.standings,
        )

    def look_at_fleet(self) -> Fleet:
        """How the workers fare and what waits."""
        if self.planner is None:
            raise NotLeader
        return self.fleet.look(self.state, self.planner)

    def _scale(self) -> None:
        assert self.planner is not None
        if self.is_on:
            self.autoscaler.look(self.planner)

    # --- workers (flow 12) --------------------------------------------------------------------

    def on_session_up(self, worker: WorkerId) -> None:
        """A worker has registered and may be given work."""
        assert self.planner is not None
        assert self.leases is not None
        self.leases.opened(worker, now_ms=self._now_ms())
        self.planner.session_up(worker)
        self._schedule_plan()

    def on_session_down(self, worker: WorkerId) -> None:
        """A worker's connection ended; it has a moment to come back."""
        if self.is_on and self.planner is not None and self.leases is not None:
            self.planner.session_down(worker)
            self.leases.closed(worker, now_ms=self._now_ms())

    def on_heartbeat(self, worker: WorkerId, *, started: Iterable[AttemptId]) -> None:
        """A worker lives."""
        assert self.planner is not None
        assert self.leases is not None
        self.leases.heard(worker, now_ms=self._now_ms())
        for attempt in started:
            self.planner.started(attempt)

    def _expire_silent_workers(self) -> None:
        assert self.leases is not None
        for worker in self.leases.expired(self._now_ms()):
            known = self.state.workers.get(worker)
            if known is None or not known.online:
                self.leases.forget(worker)
                continue
            if worker in self._expiring:
                continue
            log.warning("worker %s (%s) has been silent too long", worker, known.name)
            self._expire(ExpireWorker(worker=worker, incarnation=known.incarnation))

    def _expire(self, command: ExpireWorker) -> None:
        try:
            answer = self._proposer.submit(command)
        except TitanError:
            return  # the next look tries again
        self._expiring.add(command.worker)
        answer.add_done_callback(lambda _: self._expiring.discard(command.worker))
        session = self.sessions.get(command.worker)
        if session is not None and session.connection is not None:
            session.connection.close()

    # --- time (flow 11) -----------------------------------------------------------------------

    def _arm_timer(self) -> None:
        due_ms = self.state.next_due_ms
        if due_ms == self._timer_due_ms or self._advancing:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer_due_ms = due_ms
        if due_ms is not None:
            wait_ms = max(0, due_ms - self._now_ms()) + TIMER_SLACK_MS
            self._timer = self._loop.call_later(wait_ms / 1000, self._advance)

    def _advance(self) -> None:
        self._timer_due_ms = None
        if not self.is_on:
            return
        if self.state.next_due_ms is not None and self.state.next_due_ms > self._now_ms():
            self._arm_timer()  # the loop's clock ran ahead of the wall clock
            return
        try:
            answer = self._proposer.submit(AdvanceTime())
        except TitanError:
            return  # the watch looks again
        self._advancing = True
        answer.add_done_callback(self._advanced)

    def _advanced(self, done: Answer) -> None:
        self._advancing = False
        if not done.cancelled() and done.exception() is None and self.is_on:
            self._arm_timer()

    def _advance_if_overdue(self) -> None:
        """The armed timer is no help once the wall clock was set forward, or when the log did not take
        an advance: in a quiet cluster nothing else would ever arm it anew."""
        due_ms = self.state.next_due_ms
        if due_ms is not None and due_ms < self._now_ms() and not self._advancing:
            self._advance()


def _was_applied(done: Answer) -> bool:
    if done.cancelled() or done.exception() is not None:
        return False
    return isinstance(done.result().outcome, Applied)
