"""Whatever order things happen in, the worker's core keeps its promises."""

from __future__ import annotations

from collections import Counter

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tests.exec.support import CoreDriver, order
from titan.exec.attempt import Phase
from titan.exec.events import (
    Escalate,
    Forget,
    Instruction,
    Kill,
    Report,
    Send,
    Start,
    Stop,
)
from titan.wire.messages import (
    AttemptReleased,
    Confirmed,
    KillAttempt,
    LeaveNow,
    Registered,
    Retract,
)

SLOTS = 3
attempts = st.integers(1, 12)
epochs = st.integers(1, 4)


class CoreMachine(RuleBasedStateMachine):
    """A leader and a shell that do anything; the model is what the instructions said."""

    def __init__(self) -> None:
        super().__init__()
        self.driver = CoreDriver(slots=SLOTS, grace_ms=100)
        self.sizes: dict[int, int] = {}
        self.starts: Counter[int] = Counter()
        self.starting: set[int] = set()
        self.running: set[int] = set()
        self.released: set[int] = set()
        self.reports: Counter[int] = Counter()
        self.stopped = False

    def _take(self, instructions: list[Instruction]) -> None:
        for instruction in instructions:
            match instruction:
                case Start(started):
                    assert started.epoch == self.sent_epoch.get(started.attempt)
                    self.starts[started.attempt] += 1
                    self.starting.add(started.attempt)
                case Report(result):
                    self.reports[result.attempt] += 1
                case Send(AttemptReleased(attempt=attempt)):
                    assert self.starts[attempt] == 0, "given back after it was started"
                    self.released.add(attempt)
                case Kill(attempt) | Escalate(attempt):
                    assert attempt in self.starting | self.running
                case Forget(forgotten):
                    assert all(self.reports[attempt] == 1 for attempt in forgotten)
                case Stop():
                    self.stopped = True
                    assert not self.starting | self.running

    @property
    def sent_epoch(self) -> dict[int, int]:
        return self._epochs

    @rule(attempt=attempts, epoch=epochs, slots=st.integers(0, SLOTS + 1))
    def run(self, attempt: int, epoch: int, slots: int) -> None:
        size = self.sizes.setdefault(attempt, slots)
        known = self.driver.core.phase(attempt) is not None
        if not known:
            self._epochs[attempt] = epoch
        before = self.driver.core.epoch_seen
        self._take(self.driver(order(attempt, epoch=epoch, slots=size)))
        if epoch < before:
            assert known or self.driver.core.phase(attempt) is None

    @rule(attempt=attempts, epoch=epochs)
    def kill(self, attempt: int, epoch: int) -> None:
        self._take(self.driver(KillAttempt(attempt=attempt, epoch=epoch, reason="test")))

    @rule(attempt=attempts, epoch=epochs)
    def retract(self, attempt: int, epoch: int) -> None:
        self._take(self.driver(Retract(attempt=attempt, epoch=epoch)))

    @rule(some=st.lists(attempts, max_size=4))
    def confirm(self, some: list[int]) -> None:
        self._take(self.driver(Confirmed(attempts=tuple(some))))

    @rule(live=st.sets(attempts), epoch=epochs)
    def register(self, live: set[int], epoch: int) -> None:
        message = Registered(epoch=epoch, live=tuple(sorted(live)), heartbeat_ms=100, masters=())
        self._take(self.driver(message))

    @rule(drain=st.booleans(), chance=st.integers(0, 9))
    def leave(self, drain: bool, chance: int) -> None:
        if chance == 0:
            self._take(self.driver(LeaveNow(drain=drain)))

    @rule(step_ms=st.integers(1, 2000))
    def pass_time(self, step_ms: int) -> None:
        self._take(self.driver.pass_time(step_ms))

    @precondition(lambda self: self.starting)
    @rule(data=st.data(), works=st.booleans())
    def start(self, data: st.DataObject, works: bool) -> None:
        attempt = data.draw(st.sampled_from(sorted(self.starting)))
        self.starting.remove(attempt)
        if works:
            self.running.add(attempt)
            self._take(self.driver.started(attempt))
        else:
            self._take(self.driver.start_failed(attempt, "it does not"))

    @precondition(lambda self: self.running)
    @rule(data=st.data(), code=st.sampled_from([0, 1, 143]))
    def end(self, data: st.DataObject, code: int) -> None:
        attempt = data.draw(st.sampled_from(sorted(self.running)))
        self.running.remove(attempt)
        self._take(self.driver.ended(attempt, exit_code=code))

    def teardown(self) -> None:
        """Everything left can end, and then nothing is held but unconfirmed results."""
        for _ in range(100):
            for attempt in sorted(self.starting):
                self.starting.remove(attempt)
                self.running.add(attempt)
                self._take(self.driver.started(attempt))
            for attempt in sorted(self.running):
                self.running.remove(attempt)
                self._take(self.driver.ended(attempt))
        assert self.driver.core.is_idle()
        assert self.driver.core.slots_taken == 0

    @invariant()
    def nothing_starts_twice_and_reports_come_once(self) -> None:
        assert all(count <= 1 for count in self.starts.values())
        assert all(count <= 1 for count in self.reports.values())

    @invariant()
    def slots_are_those_of_live_attempts(self) -> None:
        live = self.starting | self.running
        assert self.driver.core.slots_taken == sum(self.sizes[a] for a in live) <= SLOTS
        assert all(self.driver.core.phase(a) is Phase.STARTING for a in self.starting)
        assert all(self.driver.core.phase(a) is Phase.RUNNING for a in self.running)

    @property
    def _epochs(self) -> dict[int, int]:
        return self.__dict__.setdefault("_sent", {})


CoreMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestCore = CoreMachine.TestCase
