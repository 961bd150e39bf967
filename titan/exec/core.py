"""The worker's mind: events in, instructions out. No IO, no clock, no asyncio; time is an argument.

It owns which attempts exist here and in which phase. Slots are not counted, they are a consequence:
the sum over live attempts. Queued attempts start strictly in order, so a large one is never passed by
small ones for ever. An attempt id is run at most once by this process, whatever is repeated.
`worker.py` carries the instructions out; `events.py` lists both vocabularies.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Any, Final

from titan.exec.attempt import Attempt, CoreFault, Phase
from titan.exec.events import (
    Escalate,
    Event,
    Forget,
    Hopeless,
    Instruction,
    Kill,
    OutputTooLarge,
    ProcessEnded,
    ProcessStarted,
    RefuseLeader,
    Report,
    Send,
    Start,
    StartFailed,
    Stop,
    TimePassed,
)
from titan.ids import AttemptId
from titan.limits import PREFILL_PER_SLOT_MAX, PREFILL_PLENTY
from titan.wire.messages import (
    AttemptEnded,
    AttemptReleased,
    Confirmed,
    Goodbye,
    KillAttempt,
    LeaveNow,
    Leaving,
    Registered,
    Retract,
    RunAttempt,
)

# Ended or refused attempts that a late repeat, which comes within seconds, must not start again.
REMEMBERED_MAX: Final = 16_384
CONFIRMATION_PATIENCE_MS: Final = 3_000  # a leaving worker waits so long; results stay on disk
_UNWANTED: Final = "unwanted"  # killed for the leader or for leaving: nobody waits for the result
_TERMINATED: Final = 128 + 15
_FAILED: Final = 1  # of a job that ended with 0 and did not leave what it has declared
_NEVER_STARTED: Final = -1


class WorkerCore:
    """See the module. `slots` and `kill_grace_ms` are the configuration it needs."""

    def __init__(self, *, slots: int, kill_grace_ms: int, outbox: Iterable[AttemptId] = ()) -> None:
        self.slots = slots
        self.epoch_seen = 0
        self.is_leaving = False
        self._kill_grace_ms = kill_grace_ms
        self._queue_max = (slots + 1) * PREFILL_PER_SLOT_MAX
        self._queue: dict[AttemptId, Attempt] = {}  # waiting for slots, in order of arrival
        self._live: dict[AttemptId, Attempt] = {}  # with a process, or about to have one
        self._unconfirmed: dict[AttemptId, Attempt | None] = dict.fromkeys(outbox)
        self._remembered: OrderedDict[AttemptId, bool] = OrderedDict()  # → was it given back?
        self._stop_by_ms: int | None = None  # while only unconfirmed results hold up the exit
        self._has_stopped = False
        self._now_ms = 0
        self._out: list[Instruction] = []
        self._handlers: dict[type, Callable[[Any], None]] = {
            RunAttempt: self._on_run,
            KillAttempt: self._on_kill,
            Retract: self._on_retract,
            Confirmed: self._on_confirmed,
            Registered: self._on_registered,
            LeaveNow: self._on_leave,
            ProcessStarted: self._on_started,
            StartFailed: self._on_start_failed,
            ProcessEnded: self._on_ended,
            OutputTooLarge: self._on_output_too_large,
            Hopeless: self._on_hopeless,
            TimePassed: self._on_time_passed,
        }

    def handle(self, event: Event, *, now_ms: int) -> list[Instruction]:
        """What follows from `event`, in the order in which it must be done."""
        self._now_ms = now_ms
        self._handlers[type(event)](event)
        self._start_what_fits()
        self._stop_when_empty()
        out, self._out = self._out, []
        return out

    # --- what others may ask ------------------------------------------------------------------

    @property
    def slots_taken(self) -> int:
        """By attempts that have, or are about to have, a process."""
        return sum(attempt.slots for attempt in self._live.values())

    def holds(self) -> tuple[AttemptId, ...]:
        """Every attempt that this worker answers for: queued, live, or with an unconfirmed result."""
        return (*self._queue, *self._live, *self._unconfirmed)

    def phase(self, attempt: AttemptId) -> Phase | None:
        """Where the attempt stands, None when it is unknown or forgotten."""
        if attempt in self._unconfirmed:
            return Phase.ENDED
        found = self._held(attempt)
        return found.phase if found is not None else None

    @property
    def has_plenty(self) -> bool:
        """Whether so many short attempts wait that no slot will be free for a while."""
        return len(self._queue) >= self.slots * PREFILL_PLENTY

    def is_idle(self) -> bool:
        """Whether nothing is queued or live."""
        return not self._queue and not self._live

    def due_ms(self) -> int | None:
        """When to come back with `TimePassed`, None when only other events matter."""
        dues = [attempt.due_ms for attempt in self._live.values()]
        return min((due for due in (*dues, self._stop_by_ms) if due is not None), default=None)

    # --- the leader's messages ----------------------------------------------------------------

    def _on_run(self, order: RunAttempt) -> None:
        if not self._is_current(order.epoch):
            return
        if self._is_known(order.attempt):
            self._repeat_release(order.attempt)
            return
        if self.is_leaving or len(self._queue) >= self._queue_max:
            self._give_back(order.attempt)
            return
        attempt = Attempt(order, now_ms=self._now_ms)
        if attempt.slots > self.slots:
            self._refuse(
                attempt, f"it needs {attempt.slots} slots and this worker has {self.slots}"
            )
            return
        self._queue[attempt.id] = attempt

    def _on_kill(self, message: KillAttempt) -> None:
        if not self._is_current(message.epoch):
            return
        attempt = self._held(message.attempt)
        if attempt is not None:
            self._discard(attempt, why=message.reason or "killed by the leader")
        elif message.attempt not in self._unconfirmed:
            self._remember(message.attempt)  # should its order still come, it is too late

    def _on_retract(self, message: Retract) -> None:
        if not self._is_current(message.epoch):
            return
        if self._queue.pop(message.attempt, None) is not None:
            self._give_back(message.attempt)
        elif not self._is_known(message.attempt):
            self._give_back(message.attempt)  # its order was lost on the way here
        else:
            self._repeat_release(message.attempt)

    def _on_confirmed(self, message: Confirmed) -> None:
        known = tuple(a for a in dict.fromkeys(message.attempts) if a in self._unconfirmed)
        for attempt in known:
            del self._unconfirmed[attempt]
            self._remember(attempt)
        if known:
            self._out.append(Forget(known))

    def _on_registered(self, message: Registered) -> None:
        if not self._is_current(message.epoch):
            self._out.append(RefuseLeader(message.epoch))
            return
        live = set(message.live)
        for attempt in (*self._queue.values(), *self._live.values()):
            if attempt.id not in live:
                self._discard(attempt, why="not live for the leader")
        if self.is_leaving:
            self._out.append(Send(Leaving()))  # this leader may not have heard of it

    def _on_leave(self, message: LeaveNow) -> None:
        if not self.is_leaving and not self.is_idle():
            self._out.append(Send(Leaving()))  # before anything is given back: it must go elsewhere
        self.is_leaving = True
        for queued in list(self._queue):
            del self._queue[queued]
            self._give_back(queued)
        for attempt in self._live.values():
            if not message.drain:
                self._discard(attempt, why="the worker leaves")
            elif attempt.is_service and not attempt.doom:
                self._doom(attempt, "moved")  # it would never end by itself

    # --- what happens to processes ------------------------------------------------------------

    def _on_started(self, event: ProcessStarted) -> None:
        attempt = self._live.get(event.attempt)
        if attempt is None or attempt.phase is not Phase.STARTING:
            raise self._surprise(event)
        attempt.phase = Phase.RUNNING
        attempt.note("running", now_ms=self._now_ms)
        attempt.deadline_ms = self._deadline_ms(attempt)  # the time to prepare it is not its own
        if attempt.doom:  # the kill came while the process was being made
            self._out.append(Kill(attempt.id))

    def _on_start_failed(self, event: StartFailed) -> None:
        attempt = self._live.get(event.attempt)
        if attempt is None or attempt.phase is not Phase.STARTING:
            raise self._surprise(event)
        del self._live[attempt.id]
        if attempt.doom == "timeout":
            detail = f"it was still being prepared after {attempt.order.spec.timeout_ms} ms"
            self._refuse(attempt, detail, cause="timeout")
        else:
            self._refuse(attempt, event.detail, cause=event.cause)

    def _on_ended(self, event: ProcessEnded) -> None:
        attempt = self._live.get(event.attempt)
        if attempt is None or attempt.phase is not Phase.RUNNING:
            raise self._surprise(event)
        del self._live[attempt.id]
        doom = attempt.doom if attempt.doom != _UNWANTED else ""
        cause = doom or event.cause
        # A job that catches TERM may leave with 0. It did not do its work: 0 stays success's own.
        code = event.exit_code
        if cause and not code:
            code = _TERMINATED if doom else _FAILED
        result = AttemptEnded(
            attempt=attempt.id,
            exit_code=code,
            cause=cause,
            detail=event.detail or attempt.doom_text,
            duration_us=event.duration_us,
            cpu_us=event.cpu_us,
            log_bytes=event.log_bytes,
            output=event.output,
            log=event.log,
            artifacts=event.artifacts if not cause else None,
        )
        self._finish(attempt, result)

    def _on_output_too_large(self, event: OutputTooLarge) -> None:
        attempt = self._live.get(event.attempt)
        if attempt is not None and attempt.phase is Phase.RUNNING and not attempt.doom:
            self._doom(attempt, "output_limit")

    def _on_hopeless(self, event: Hopeless) -> None:
        attempt = self._live.get(event.attempt)
        if attempt is not None and attempt.phase is Phase.RUNNING and not attempt.doom:
            self._doom(attempt, "unhealthy")

    def _on_time_passed(self, _event: TimePassed) -> None:
        for attempt in self._live.values():
            due_ms = attempt.due_ms
            if due_ms is None or due_ms > self._now_ms:
                continue
            if attempt.doom:
                attempt.escalate_ms = self._now_ms + self._kill_grace_ms
                attempt.note("escalated", now_ms=self._now_ms)
                self._out.append(Escalate(attempt.id))
            else:
                self._doom(attempt, "timeout")

    # --- steps --------------------------------------------------------------------------------

    def _start_what_fits(self) -> None:
        if not self._queue:
            return
        free = self.slots - self.slots_taken
        while (attempt := next(iter(self._queue.values()), None)) and attempt.slots <= free:
            del self._queue[attempt.id]
            self._live[attempt.id] = attempt
            free -= attempt.slots
            attempt.phase = Phase.STARTING
            attempt.deadline_ms = self._deadline_ms(attempt)
            attempt.note("starting", now_ms=self._now_ms)
            self._out.append(Start(attempt.order))

    def _deadline_ms(self, attempt: Attempt) -> int | None:
        timeout_ms = 0 if attempt.is_service else attempt.order.spec.timeout_ms
        return self._now_ms + timeout_ms if timeout_ms > 0 else None

    def _stop_when_empty(self) -> None:
        if not self.is_leaving or not self.is_idle() or self._has_stopped:
            return
        if self._unconfirmed and self._stop_by_ms is None:
            self._stop_by_ms = self._now_ms + CONFIRMATION_PATIENCE_MS
        if not self._unconfirmed or self._now_ms >= (self._stop_by_ms or 0):
            self._has_stopped = True
            self._stop_by_ms = None
            self._out += (Send(Goodbye()), Stop())

    def _discard(self, attempt: Attempt, *, why: str) -> None:
        """End an attempt whose result nobody wants."""
        attempt.has_result = False
        attempt.note(why, now_ms=self._now_ms)
        if self._queue.pop(attempt.id, None) is not None:
            self._remember(attempt.id)
        elif not attempt.doom:
            self._doom(attempt, _UNWANTED)

    def _doom(self, attempt: Attempt, cause: str) -> None:
        attempt.doom = cause
        attempt.escalate_ms = self._now_ms + self._kill_grace_ms
        attempt.note(f"killed: {cause}", now_ms=self._now_ms)
        self._out.append(Kill(attempt.id))

    def _held(self, attempt: AttemptId) -> Attempt | None:
        return self._queue.get(attempt) or self._live.get(attempt)

    def _give_back(self, attempt: AttemptId) -> None:
        self._remember(attempt, was_given_back=True)
        self._out.append(Send(AttemptReleased(attempt=attempt)))

    def _repeat_release(self, attempt: AttemptId) -> None:
        """The leader asks again about an attempt given back: the first answer was lost."""
        if self._remembered.get(attempt):
            self._out.append(Send(AttemptReleased(attempt=attempt)))

    def _refuse(self, attempt: Attempt, detail: str, *, cause: str = "start_failed") -> None:
        result = AttemptEnded(
            attempt=attempt.id, exit_code=_NEVER_STARTED, cause=cause, detail=detail
        )
        self._finish(attempt, result)

    def _finish(self, attempt: Attempt, result: AttemptEnded) -> None:
        attempt.phase = Phase.ENDED
        attempt.note(f"ended {result.exit_code} {result.cause}".strip(), now_ms=self._now_ms)
        if attempt.has_result:
            self._unconfirmed[attempt.id] = attempt
            self._out.append(Report(result))
        else:
            self._remember(attempt.id)

    def _is_current(self, epoch: int) -> bool:
        if epoch < self.epoch_seen:
            return False
        self.epoch_seen = epoch
        return True

    def _is_known(self, attempt: AttemptId) -> bool:
        return (
            self._held(attempt) is not None
            or attempt in self._unconfirmed
            or attempt in self._remembered
        )

    def _remember(self, attempt: AttemptId, *, was_given_back: bool = False) -> None:
        self._remembered[attempt] = was_given_back
        self._remembered.move_to_end(attempt)
        if len(self._remembered) > REMEMBERED_MAX:
            self._remembered.popitem(last=False)

    def _surprise(self, event: ProcessStarted | StartFailed | ProcessEnded) -> CoreFault:
        attempt = self._held(event.attempt) or self._unconfirmed.get(event.attempt)
        if attempt is not None:
            return attempt.fault(f"unexpected {event}")
        return CoreFault(f"unexpected {event}: the attempt is not here")

    # --- for tests and for doubt --------------------------------------------------------------

    def validate_state(self) -> None:
        """Raise `CoreFault` when the parts contradict one another."""
        if self.slots_taken > self.slots:
            raise CoreFault(f"{self.slots_taken} of {self.slots} slots are taken")
        first = next(iter(self._queue.values()), None)
        if first is not None and first.slots <= self.slots - self.slots_taken:
            raise first.fault("it fits and does not start")
        for attempt in (*self._queue.values(), *self._live.values()):
            if attempt.is_live != (attempt.id in self._live):
                raise attempt.fault("its phase and its place differ")
            if attempt.id in self._queue and attempt.id in self._live:
                raise attempt.fault("it waits and runs at once")
            if attempt.phase is Phase.ENDED:
                raise attempt.fault("it has ended and is still held")
            if attempt.id in self._unconfirmed:
                raise attempt.fault("it is held and in the outbox at once")
            if attempt.id in self._remembered:
                raise attempt.fault("it is held and remembered as over at once")
            if attempt.doom and attempt.escalate_ms is None:
                raise attempt.fault("it is being killed without a deadline")
        if self._out:
            raise CoreFault("instructions were left behind")
