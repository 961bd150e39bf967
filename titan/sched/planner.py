"""What the leader should propose next: assignments, and attempts to pull back.

Incremental: events say what changed, and only that is looked at. Everything here can be rebuilt from
the state, which is what an election does. Reads the state, never changes it. Read `placement.py` next.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from titan.fsm import settling
from titan.fsm.commands import AssignAttempt
from titan.fsm.events import (
    AnyEvent,
    AttemptAssigned,
    AttemptFinished,
    AttemptRevoked,
    Event,
    JobReady,
    JobsChanged,
    JobsReady,
    JobWithdrawn,
    RunForgotten,
    RunSettled,
    WorkerChanged,
    WorkerExpired,
    WorkerJoined,
)
from titan.fsm.service_life import gives_up_on_port
from titan.fsm.state import Attempt, Job, Run, State, is_ready
from titan.ids import AttemptId, JobId, RunId, WorkerId
from titan.limits import INTAKE_PER_PLAN_MAX, REFUSED_REST_MS
from titan.sched.durations import Durations, is_short, prefill_depth
from titan.sched.fleet import Fleet
from titan.sched.intake import Intake
from titan.sched.line import Ready
from titan.sched.nearness import nearest, parents_worker
from titan.sched.need import Need, need_of
from titan.sched.placement import Placement, pinned_seat
from titan.sched.queue import Lane, ReadyQueue
from titan.sched.retraction import Retraction, Retractions
from titan.sched.seat import Hold, JobKey, Seat


class Planner:
    """The scheduler of one leader's reign. Workers get work once `session_up` has named them."""

    def __init__(self, state: State, *, durations: Durations | None = None) -> None:
        """Build from the state; costs time in proportion to its live runs and attempts. Their jobs are
        taken in by the calls of `plan` that follow."""
        self.queue = ReadyQueue()
        self.fleet = Fleet()
        self.durations = durations or Durations()
        self._state = state
        self._placement = Placement(self.fleet, self.queue, ports=state.ports)
        self._retractions = Retractions(self.fleet)
        self._in_flight: dict[JobKey, WorkerId] = {}
        self._intake = Intake()
        self._set_aside: dict[RunId, list[JobId]] = {}  # jobs of runs that have to be settled first
        self._has_more = False
        self._now_ms = 0
        self._reactions: dict[type[Event], Callable[[Any], None]] = {
            JobReady: self._on_job,
            JobWithdrawn: self._on_job,
            JobsChanged: self._on_jobs,
            JobsReady: self._on_jobs,
            RunSettled: self._on_settled,
            RunForgotten: self._on_settled,
            AttemptAssigned: self._on_assigned,
            AttemptFinished: self._on_finished,
            AttemptRevoked: self._on_ended,
            WorkerJoined: self._on_worker,
            WorkerChanged: self._on_worker,
            WorkerExpired: self._on_worker,
        }
        for worker in state.workers:
            self._count_afresh(worker)
        for run in state.runs.values():
            if not run.ended_ms:
                self._intake.add(run.id, list(run.jobs))
        self._take_in()

    @classmethod
    def twin(cls, state: State, *, durations: Durations) -> Planner:
        """One that plans over `state` and knows nothing of it yet: `rehearsal.py` fills it."""
        made = cls(State(), durations=durations)
        made._state = state
        return made

    # --- what the leader tells -----------------------------------------------------------------

    def observe(self, events: Iterable[AnyEvent]) -> None:
        """Take in what an applied entry changed. Events that do not concern planning are ignored.

        Of events about many jobs at once, the calls of `plan` that follow take in the rest.
        """
        was_behind = self.is_behind
        for event in events:
            reaction = self._reactions.get(type(event))
            if reaction is not None:
                reaction(event)
        if not was_behind:
            self._take_in()

    def session_up(self, worker: WorkerId) -> None:
        """The worker is connected to this leader and has registered."""
        self.fleet.set_session(worker, is_up=True)

    def session_down(self, worker: WorkerId) -> None:
        """The worker's connection ended: it gets nothing, and keeps what it has until it expires."""
        self.fleet.set_session(worker, is_up=False)
        seat = self.fleet.seats.get(worker)
        for attempt in () if seat is None else seat.held:
            self._retractions.forget(attempt)

    def started(self, attempt: AttemptId) -> None:
        """The worker says that the attempt's process has started: it cannot be pulled back."""
        live = self._state.attempts.get(attempt)
        seat = None if live is None else self.fleet.seats.get(live.worker)
        if seat is not None and attempt in seat.held:
            seat.started[attempt] = None
        self._retractions.forget(attempt)

    def settled(self, command: AssignAttempt, *, accepted: bool) -> None:
        """A proposal was applied, or was refused or failed on its way.

        When the job is still to be placed, the refusal was about the worker: it rests for a moment,
        so that a disagreement with the state machine cannot become a hot loop.
        """
        key = (command.run, command.job)
        if self._in_flight.get(key) != command.worker:
            return
        del self._in_flight[key]
        run = self._state.runs.get(command.run)
        job = None if run is None else run.jobs.get(command.job)
        live = None if job is None else self._state.attempts.get(job.live)
        if accepted and live is not None:
            self._hold(live)
        self.fleet.unreserve(command.worker, key)
        if run is not None and job is not None and is_ready(job):
            self._enqueue(run, job)
            if not accepted:
                self.fleet.rest(command.worker, until_ms=self._now_ms + REFUSED_REST_MS)

    # --- what the leader asks ------------------------------------------------------------------

    def plan(self, *, now_ms: int, limit: int) -> list[AssignAttempt]:
        """At most `limit` proposals, most urgent first. Each counts as made until it is `settled`.

        While `is_behind` afterwards it is to be called again, though not before others had their turn.
        """
        self._now_ms = now_ms
        self._take_in()
        self.fleet.end_rests(now_ms)
        self._wake_lanes()
        proposals: list[AssignAttempt] = []
        self._has_more = False
        stale = 0
        while len(proposals) < limit:
            lane = self.queue.best()
            if lane is None:
                break
            if stale > INTAKE_PER_PLAN_MAX:
                self._has_more = True
                break
            job = self._ready_head(lane)
            if job is None:
                stale += 1  # one of many that were withdrawn at once
                continue
            proposal = self._place_head(lane, *job)
            if proposal is not None:
                proposals.append(proposal)
        self._placement.done()
        self.fleet.prune(self.queue.has_shape)
        return proposals

    def retractions(self, *, now_ms: int) -> list[Retraction]:
        """Queued attempts to ask back, once planning has left idle workers without work."""
        if self.is_behind or self.queue.best() is not None or self.fleet.freed:
            return []
        return self._retractions.propose(now_ms=now_ms)

    @property
    def is_behind(self) -> bool:
        """Whether jobs wait to be looked at: `plan` takes in a few thousand at a time."""
        return bool(self._intake) or self._has_more

    @property
    def may_wait(self) -> bool:
        """Whether planning would only make queues on workers longer that are long enough for a moment."""
        if self.is_behind or self.queue.best() is not None:
            return False
        freed = [self.fleet.seats[worker] for worker in self.fleet.freed]
        return bool(freed) and all(seat.has_plenty for seat in freed)

    @property
    def wake_at_ms(self) -> int | None:
        """When to plan again although nothing happened: a resting worker is back then."""
        rests = [self.fleet.seats[w].rests_until_ms for w in self.fleet.resting]
        return min(rests, default=None)

    def proposed_to(self, run: RunId, job: JobId) -> WorkerId | None:
        """The worker that the job has been proposed for, while that is unsettled."""
        return self._in_flight.get((run, job))

    # --- placing -------------------------------------------------------------------------------

    def _ready_head(self, lane: Lane) -> tuple[Run, Job] | None:
        """The lane's most urgent job; None when it need not be placed any more: then it is dropped."""
        head = self.queue.head(lane)
        run = self._state.runs.get(head.run)
        job = None if run is None else run.jobs.get(head.job)
        if run is None or job is None or not is_ready(job):
            self.queue.discard(head.seq)
            return None
        if settling.is_closed(self._state, head.run):
            self.queue.discard(head.seq)
            self._set_aside.setdefault(head.run, []).append(head.job)
            return None
        return run, job

    def _place_head(self, lane: Lane, run: Run, job: Job) -> AssignAttempt | None:
        """Place the lane's most urgent job, or park the lane when there is no room for it."""
        head = self.queue.head(lane)
        typical_us = None if lane.is_of_services else self.durations.typical_us(run.name)
        near = nearest(self._state, run, job)
        seat = self._placement.choose(lane, head, typical_us=typical_us, near=near)
        if seat is None and lane.port > 0 and gives_up_on_port(self._state, run, job):
            seat = self._placement.anyone(lane)  # the proposal will show that there is no such port
        if seat is None:
            lane.park(self._placement.waiting_room(lane), head=head)
            lane.give_way(self._placement.gave_way.values())
            return None
        self.queue.discard(head.seq)
        hold = Hold((head.run, head.job), lane.need, is_short(typical_us), lane.prefers == seat.id)
        return self._propose(seat, hold)

    def propose(
        self, key: JobKey, seat: Seat, need: Need, *, run_name: str, is_pinned: bool = False
    ) -> AssignAttempt:
        """Count a proposal for a job that will be ready (`foresight.py`) until it is `settled`."""
        is_quick = is_short(self.durations.typical_us(run_name))
        return self._propose(seat, Hold(key, need, is_quick, is_pinned))

    def _propose(self, seat: Seat, hold: Hold) -> AssignAttempt:
        self._in_flight[hold.job] = seat.id
        self.fleet.reserve(seat, hold)
        return AssignAttempt(run=hold.job[0], job=hold.job[1], worker=seat.id)

    def _wake_lanes(self) -> None:
        """Let lanes compete again for which a worker that changed may have room."""
        for seat in self.fleet.take_freed():
            for lane in list(seat.waiting.values()):
                if pinned_seat(self.fleet, lane) is not seat or self._has_place(seat, lane):
                    self.queue.wake(lane)
            if seat.is_closed:
                continue
            for pool in seat.pools:
                for lane in list(pool.parked.values()):
                    if self._has_place(seat, lane):
                        self.queue.wake(lane)

    def _has_place(self, seat: Seat, lane: Lane) -> bool:
        head = self.queue.head(lane)
        found = self._placement.has_place(seat, lane, head, typical_us=self._typical_us(head.run))
        if (
            not found and lane.parked_in is not None
        ):  # not woken meanwhile with one that it gave way to
            lane.give_way(self._placement.gave_way.values())
        return found

    def _typical_us(self, run: RunId) -> int | None:
        found = self._state.runs.get(run)
        return None if found is None else self.durations.typical_us(found.name)

    # --- keeping up ----------------------------------------------------------------------------

    def _on_job(self, event: JobReady | JobWithdrawn | AttemptAssigned) -> None:
        run = self._state.runs.get(event.run)
        job = None if run is None else run.jobs.get(event.job)
        if run is not None and job is not None:
            self._enqueue(run, job)

    def _on_jobs(self, event: JobsReady | JobsChanged) -> None:
        self._intake.add(event.run, event.jobs)

    def _on_settled(self, event: RunSettled | RunForgotten) -> None:
        self._intake.add(event.run, self._set_aside.pop(event.run, ()))

    def _take_in(self) -> None:
        """Look at the next jobs that wait for it."""
        for run_id, job_id in self._intake.take(INTAKE_PER_PLAN_MAX):
            run = self._state.runs.get(run_id)
            job = None if run is None else run.jobs.get(job_id)
            if run is not None and job is not None:
                self._enqueue(run, job)

    def _on_worker(self, event: WorkerJoined | WorkerChanged | WorkerExpired) -> None:
        self._count_afresh(event.worker)

    def _enqueue(self, run: Run, job: Job) -> None:
        """Queue the job if it is to be placed; make sure that it is not queued otherwise."""
        if not is_ready(job) or (run.id, job.id) in self._in_flight:
            self._withdraw(job)
            return
        entry = Ready(-job.priority, job.seq, run.id, job.id)
        service = run.services.get(job.id) if run.services else None
        if service is not None:
            self.queue.add(entry, demand=job.demand, prefers=job.worker, port=service.port)
            return
        prefers = parents_worker(run, job) if job.affinity else WorkerId("")
        lane = self.queue.add(entry, demand=job.demand, prefers=prefers)
        self._look_again(lane)

    def _withdraw(self, job: Job) -> None:
        known = self.queue.find(job.seq)
        if known is None:
            return
        self.queue.discard(job.seq)
        self._look_again(known[1])

    def _look_again(self, lane: Lane) -> None:
        """A parked lane may have another head now, which may wait on a worker where the one before might
        not: it is more urgent than what that gave way to, or of a run of shorter jobs."""
        if lane.size and lane.parked_in is not None and lane.need.slots == 1:
            head = self.queue.head(lane)
            if head is not lane.parked_with and prefill_depth(self._typical_us(head.run)):
                self.queue.wake(lane)

    def _on_assigned(self, event: AttemptAssigned) -> None:
        key = (event.run, event.job)
        live = self._state.attempts.get(event.attempt)
        if live is not None:
            self._hold(live)
        if self._in_flight.get(key) == event.worker:
            del self._in_flight[key]
            self.fleet.unreserve(event.worker, key)
        self._on_job(event)

    def _on_finished(self, event: AttemptFinished) -> None:
        run = self._state.runs.get(event.run)
        if run is not None and event.job not in run.services:
            self.durations.observe(run.name, event.duration_us)
        self._on_ended(event)

    def _on_ended(self, event: AttemptFinished | AttemptRevoked) -> None:
        self.fleet.release(event.worker, event.attempt)
        run = self._state.runs.get(event.run)
        if run is not None and event.job in run.services:
            self.fleet.free_machine(event.worker)
        self._retractions.forget(event.attempt)

    def _hold(self, attempt: Attempt) -> None:
        job = self._state.job(attempt.run, attempt.job)
        if job is None:
            return
        key = (attempt.run, attempt.job)
        if self.fleet.confirm(attempt.worker, attempt.id, key, demand=job.demand):
            return
        hold = self._hold_of(attempt)
        if hold is not None:
            self.fleet.hold(attempt.worker, attempt.id, hold)

    def _hold_of(self, attempt: Attempt) -> Hold | None:
        run = self._state.runs.get(attempt.run)
        job = None if run is None else run.jobs.get(attempt.job)
        if run is None or job is None:
            return None
        is_service = job.id in run.services
        short = not is_service and is_short(self.durations.typical_us(run.name))
        return Hold(
            job=(run.id, job.id),
            need=need_of(job.demand),
            is_short=short,
            is_pinned=job.affinity and parents_worker(run, job) == attempt.worker,
        )

    def _count_afresh(self, worker: WorkerId) -> None:
        """The worker came, changed or went: start again from its record."""
        record = self._state.workers.get(worker)
        if record is None:
            seat = self.fleet.remove(worker)
            for lane in [] if seat is None else list(seat.waiting.values()):
                self.queue.wake(lane)
            return
        known = self.fleet.seats.get(worker)
        holds: dict[AttemptId, Hold] = {}
        for attempt in record.live:
            hold = None if known is None else known.held.get(attempt)
            live = self._state.attempts.get(attempt)
            if hold is None and live is not None:
                hold = self._hold_of(live)
            if hold is not None:
                holds[attempt] = hold
        self.fleet.replace(record, holds)
