"""A reign acts on what its own epoch committed, gives nothing up that a worker said, and never spins."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

import pytest
from msgspec.structs import replace

from titan.consensus.api import RaftStatus, Role
from titan.errors import DiskFull, TitanError
from titan.fsm.commands import (
    AdvanceTime,
    AssignAttempt,
    Command,
    Entry,
    FinishAttempt,
    JoinWorker,
    KvPut,
    OpenEpoch,
    Proposal,
    SubmitRun,
    encode_entry,
)
from titan.fsm.outcomes import Applied, Outcome, Rejected
from titan.ids import AttemptId, JobId, RunId, WorkerId
from titan.limits import PREFILL_PER_SLOT_MAX
from titan.master import reign as reign_module
from titan.master import sessions
from titan.master.proposer import Answer, Proposer, Settled
from titan.master.reign import Reign
from titan.master.reigns import Reigns
from titan.master.replica import Replica
from titan.master.sessions import Session
from titan.spec.model import JobSpec
from titan.wire.messages import AttemptEnded, Message, Register, RunAttempt

RUN, JOB, WORKER = RunId("r-00000000000000000000"), JobId("a"), WorkerId("w-1")


class Log:
    """A proposer and the log behind it: commits at once, or fails as it is told."""

    def __init__(self) -> None:
        self.replica = Replica()
        self.submitted: list[Command] = []
        self.failures: list[TitanError | Outcome] = []
        self.index = 0
        self.openings = 0
        self.applies = False

    def commit(self, epoch: int, *commands: Command) -> list[Outcome]:
        self.index += 1
        proposals = tuple(Proposal(command) for command in commands)
        entry = self.replica.apply(self.index, encode_entry(Entry(1, epoch, 1_000, proposals)))
        return list(entry.result.outcomes)

    async def open_epoch(self, command: OpenEpoch) -> None:
        self.openings += 1
        if self.failures:
            raise cast(TitanError, self.failures[0])
        self.commit(command.epoch, command)

    def submit(self, command: Command) -> Answer:
        self.submitted.append(command)
        answer: Answer = asyncio.get_running_loop().create_future()
        if self.applies:
            asyncio.get_running_loop().call_soon(self._apply, command, answer)
            return answer
        failure = self.failures.pop(0) if self.failures else Applied()
        if isinstance(failure, TitanError):
            answer.set_exception(failure)
        else:
            answer.set_result(Settled(self.index, failure))
        return answer

    def _apply(self, command: Command, answer: Answer) -> None:
        [outcome] = self.commit(self.replica.state.epoch, command)
        answer.set_result(Settled(self.index, outcome))

    def close_epoch(self) -> None:
        pass


class Heard(Session):
    """A session whose worker is a list."""

    def __init__(self, reign: Reign) -> None:
        super().__init__(reign.sessions, cast(Any, None))
        self.said: list[Message] = []
        self.worker, self.is_heard, self.is_open = WORKER, True, True
        reign.sessions._by_worker[WORKER] = self

    def tell(self, message: Message) -> None:
        self.said.append(message)


class Line:
    """A connection on which nobody is."""

    is_closed = False

    def close(self, _error: object = None) -> None:
        self.is_closed = True

    def note(self, _message: Message) -> None:
        pass


async def begin(log: Log, *, epoch: int) -> tuple[Reign, asyncio.Task[None]]:
    reign = Reign(
        log.replica, cast(Proposer, log), epoch=epoch, masters=("m:1",), now_ms=lambda: 1_000
    )
    task = asyncio.create_task(reign.run(address="m:1"))
    await until(lambda: reign.is_on)
    return reign, task


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not holds():
            await asyncio.sleep(0.001)


async def end(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait([task])


def assignment() -> list[Command]:
    jobs = (JobSpec(id=JOB, argv=(b"true",)),)
    return [
        SubmitRun(run=RUN, name="n", jobs=jobs),
        JoinWorker(worker=WORKER, incarnation=1, capabilities=("GENERAL",)),
        AssignAttempt(run=RUN, job=JOB, worker=WORKER),
    ]


async def test_its_own_assignments_reach_the_worker() -> None:
    log = Log()
    reign, task = await begin(log, epoch=1)
    session = Heard(reign)
    log.commit(1, *assignment())
    assert [type(message) for message in session.said] == [RunAttempt]
    await end(task)


async def test_a_result_is_proposed_together_with_what_it_makes_possible() -> None:
    log = Log()
    reign, task = await begin(log, epoch=1)
    session = Heard(reign)
    submit, join, assign = assignment()
    assert isinstance(submit, SubmitRun)
    following = JobSpec(id=JobId("b"), argv=(b"true",), depends_on=(JOB,))
    log.commit(1, replace(submit, jobs=(*submit.jobs, following)), join, assign)
    reign.on_session_up(WORKER)
    log.submitted.clear()
    reign.sessions.on_ended(session, AttemptEnded(attempt=AttemptId(1), exit_code=0))
    finish = FinishAttempt(attempt=AttemptId(1), exit_code=0)
    assert log.submitted == [finish, AssignAttempt(run=RUN, job=JobId("b"), worker=WORKER)]
    await end(task)


async def busy_worker(log: Log, reign: Reign) -> Heard:
    """It runs one short job and has as many more as it can have."""
    session = Heard(reign)
    assert reign.planner is not None
    reign.planner.durations.observe("n", 1_000)
    jobs = tuple(JobSpec(id=JobId(f"j{n}"), argv=(b"true",)) for n in range(40))
    log.applies = True
    _, join, _ = assignment()
    log.commit(1, SubmitRun(run=RUN, name="n", jobs=jobs), join)
    reign.on_session_up(WORKER)
    await until(lambda: len(session.said) == 1 + PREFILL_PER_SLOT_MAX)
    log.submitted.clear()
    return session


def ended(attempt: int) -> AttemptEnded:
    return AttemptEnded(attempt=AttemptId(attempt), exit_code=0, duration_us=1_000)


def finish(attempt: int) -> FinishAttempt:
    return FinishAttempt(attempt=AttemptId(attempt), exit_code=0, duration_us=1_000)


async def test_what_a_busy_worker_frees_is_planned_with_its_next_result(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(reign_module, "PLAN_WAIT_S", 60.0)  # however slow the machine is
    log = Log()
    reign, task = await begin(log, epoch=1)
    session = await busy_worker(log, reign)
    reign.sessions.on_ended(session, ended(1))
    await until(lambda: AttemptId(1) not in reign.state.attempts)
    assert log.submitted == [finish(1)], "nobody waits for more"
    reign.sessions.on_ended(session, ended(2))
    following = AssignAttempt(run=RUN, job=JobId(f"j{1 + PREFILL_PER_SLOT_MAX}"), worker=WORKER)
    assert log.submitted == [finish(1), finish(2), following]
    await end(task)


async def test_without_a_next_result_it_is_planned_soon() -> None:
    log = Log()
    reign, task = await begin(log, epoch=1)
    session = await busy_worker(log, reign)
    reign.sessions.on_ended(session, ended(1))
    following = AssignAttempt(run=RUN, job=JobId(f"j{1 + PREFILL_PER_SLOT_MAX}"), worker=WORKER)
    await until(lambda: log.submitted == [finish(1), following])
    await end(task)


async def test_assignments_of_a_later_leader_are_not_sent_by_the_one_before() -> None:
    log = Log()
    reign, task = await begin(log, epoch=1)
    session = Heard(reign)
    log.commit(2, OpenEpoch(epoch=2, leader="m:2"), *assignment())
    assert session.said == []
    assert not reign.is_on
    await end(task)


async def test_a_result_that_the_log_does_not_take_is_proposed_again(monkeypatch: Any) -> None:
    monkeypatch.setattr(sessions, "REPEAT_S", 0.001)
    log = Log()
    reign, task = await begin(log, epoch=1)
    session = Heard(reign)
    log.failures = [DiskFull(), Rejected("stale_epoch", "the reign is over")]
    session.on_note(cast(Any, None), AttemptEnded(attempt=AttemptId(1), exit_code=0))
    await until(lambda: bool(session.said))
    finishes = [command for command in log.submitted if isinstance(command, FinishAttempt)]
    assert len(finishes) == 3
    await end(task)


async def test_what_a_worker_says_counts_from_the_reply_to_its_registration_on() -> None:
    log = Log()
    reign, task = await begin(log, epoch=1)
    session = Session(reign.sessions, cast(Any, None))
    session.connection = cast(Any, Line())
    register = Register(
        worker=WORKER, incarnation=1, name="w", capabilities=(), slots=1, resources={},
        holds=(), epoch_seen=0, version="",
    )  # fmt: skip
    answer = reign.sessions.register(session, register)
    with pytest.raises(StopIteration):  # this log commits at once: in one step there is a reply
        answer.send(None)
    session.on_note(cast(Any, None), AttemptEnded(attempt=AttemptId(7), exit_code=0))
    assert FinishAttempt(attempt=AttemptId(7), exit_code=0) in log.submitted
    await end(task)


async def test_a_session_that_ended_proposes_nothing_more(monkeypatch: Any) -> None:
    monkeypatch.setattr(sessions, "REPEAT_S", 0.001)
    log = Log()
    reign, task = await begin(log, epoch=1)
    session = Heard(reign)
    log.failures = [DiskFull()]
    session.on_note(cast(Any, None), AttemptEnded(attempt=AttemptId(1), exit_code=0))
    session.is_heard = session.is_open = False
    for _ in range(20):
        await asyncio.sleep(0.001)
    assert [type(command) for command in log.submitted] == [FinishAttempt]
    await end(task)


async def test_time_is_advanced_after_the_wall_clock_was_set_forward() -> None:
    log = Log()
    now_ms = 1_000
    reign = Reign(
        log.replica, cast(Proposer, log), epoch=1, masters=("m:1",), now_ms=lambda: now_ms
    )
    task = asyncio.create_task(reign.run(address="m:1"))
    await until(lambda: reign.is_on)
    log.commit(1, KvPut(key="k", value=b"v", ttl_ms=3_600_000))
    now_ms += 7_200_000
    await until(lambda: any(isinstance(command, AdvanceTime) for command in log.submitted))
    await end(task)


async def test_time_is_advanced_again_when_the_log_did_not_take_it() -> None:
    log = Log()
    reign, task = await begin(log, epoch=1)
    log.failures = [DiskFull()]
    log.commit(1, KvPut(key="k", value=b"v", ttl_ms=1))
    reign._now_ms = lambda: 2_000
    await until(lambda: sum(isinstance(one, AdvanceTime) for one in log.submitted) >= 2)
    await end(task)


class Leading:
    """A raft that has made this master leader, and stays with it."""

    status = RaftStatus(
        role=Role.LEADER, term=1, leader="m:1", is_ready=True, commit_index=0, applied_index=0,
        last_index=0, heard_ms_ago=0, peers_up=(),
    )  # fmt: skip

    def on_status(self, listener: object) -> None:
        pass


async def test_a_reign_that_cannot_begin_is_not_begun_in_a_loop() -> None:
    log = Log()
    log.failures = [DiskFull()]
    reigns = Reigns(
        cast(Any, Leading()), log.replica, cast(Proposer, log), address="m:1", masters=("m:1",),
        now_ms=lambda: 1_000,
    )  # fmt: skip
    task = asyncio.create_task(reigns.run())
    for _ in range(1000):
        await asyncio.sleep(0)
    assert log.openings == 1
    log.failures = []
    await until(lambda: reigns.current is not None and reigns.current.is_on)
    await end(task)
