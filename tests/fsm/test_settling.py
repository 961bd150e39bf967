"""Effects that one entry cannot carry out: what comes out is what an unbounded entry had led to."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import given

from tests.fsm.driver import START_MS, MachineDriver, chain, job
from tests.fsm.logs import entry_logs, long_log, steps_at_most
from tests.fsm.test_properties import slowly
from titan import limits
from titan.fsm import revisions
from titan.fsm.commands import (
    ENTRY_FORMAT,
    AcquireLock,
    AddJobs,
    AdvanceTime,
    AssignAttempt,
    CancelJob,
    CancelRun,
    Entry,
    ExpireWorker,
    FinishAttempt,
    JoinWorker,
    KvPut,
    MutateRun,
    OpenEpoch,
    Proposal,
    PublishBlob,
    PublishCheckpoint,
    RaiseVersion,
    ReleaseAttempt,
    ReleaseLock,
    RenewLock,
    RetryJob,
    SetBudget,
    SetRetention,
    SubmitRun,
    decode_entry,
    encode_entry,
)
from titan.fsm.events import JobReady, RunChanged, RunSettled
from titan.fsm.invariants import validate
from titan.fsm.machine import Machine
from titan.fsm.outcomes import SETTLING, Applied, Outcome, Rejected
from titan.fsm.state import State
from titan.fsm.timers import counts
from titan.ids import Digest, JobId, RunId, WorkerId
from titan.limits import CHECKPOINT_KEEP_MS
from titan.spec.budgets import BudgetSpec
from titan.spec.manifest import FileEntry, manifest_of
from titan.spec.model import JobSpec

W = WorkerId("w1")


@pytest.fixture(autouse=True)
def three_steps() -> Iterator[None]:
    """Every entry reaches three edges or jobs."""
    with steps_at_most(3):
        yield


def fan(count: int, **fields: Any) -> list[Any]:
    return [job("root", retries=0), *(job(f"c{n}", "root", **fields) for n in range(count))]


# --- the whole, by random logs --------------------------------------------------------------------


TOO_LATE = "it was not healthy in time"


DIGEST = Digest("ab" * 32)
FILES = manifest_of([FileEntry("a", DIGEST, 1, 0o644)])


class Twins:
    """Two machines that get the same commands: one with three steps an entry, one without a bound."""

    def __init__(self) -> None:
        self.slow, self.fast = Machine(), Machine()
        self.index = 0
        self.held_back = 0
        self.unsettled = 0
        self.has_raced = False  # runs for what one budget has left: which is settled first decides

    def take(self, entry: Entry, *, steps: int) -> None:
        for proposal in entry.proposals:
            if self.has_raced:
                return
            if isinstance(proposal.command, AcquireLock | RenewLock | ReleaseLock):
                continue  # an attempt's lock is free when its turn comes to be closed: a little later
            command = proposal.command
            if isinstance(command, MutateRun):  # sub-runs do not have the same revisions
                command = msgspec.structs.replace(command, if_revision=0)
            alone = Proposal(command, attempt=proposal.attempt)
            if isinstance(alone.command, AdvanceTime):
                self.settle(steps=steps)
            self.index += 1
            payload = encode_entry(Entry(ENTRY_FORMAT, entry.epoch, entry.now_ms, (alone,)))
            with steps_at_most(steps):
                [outcome] = self.slow.apply(self.index, payload).outcomes
            validate(self.slow.state)
            self.unsettled += bool(self.slow.state.unsettled)
            self.has_raced |= race(self.slow.state)
            if isinstance(outcome, Rejected) and outcome.code == SETTLING:
                self.held_back += 1  # the leader would propose it later; here it is dropped
                payload = encode_entry(Entry(ENTRY_FORMAT, entry.epoch, entry.now_ms, ()))
                self.fast.apply(self.index, payload)
                continue
            with steps_at_most(0):
                [other] = self.fast.apply(self.index, payload).outcomes
            if self.has_raced:
                return
            assert verdict(outcome) == verdict(other), alone
            if isinstance(alone.command, AdvanceTime):
                self.settle(steps=steps)

    def settle(self, *, steps: int) -> None:
        """Time stands still for the slow one until it is through; timers that are due fire in both.

        A millisecond later it has caught up with forgetting, which no entry does that ends a run, and
        another one later with the blobs that only those runs needed."""
        for late_ms in (0, 1, 2):
            state = self.slow.state
            now_ms = state.now_ms + late_ms
            entry = Entry(ENTRY_FORMAT, state.epoch, now_ms, (Proposal(AdvanceTime()),))
            with steps_at_most(steps):
                self._advance(encode_entry(entry))
                while (self.slow.state.next_due_ms or now_ms + 1) <= now_ms:
                    self._advance(encode_entry(entry))
            with steps_at_most(0):
                self.fast.apply(self.index, encode_entry(entry))

    def _advance(self, payload: bytes) -> None:
        self.index += 1
        self.slow.apply(self.index, payload)
        validate(self.slow.state)
        self.has_raced |= race(self.slow.state)

    def compare(self) -> None:
        for state in (self.slow.state, self.fast.state):
            for run in state.runs.values():
                if run.depth or run.budget_gates or run.foreach:
                    run.revision = 0  # sub-runs, gates, instances begin by the entry that has room
                    revisions.forget(state, run.id)
                for one in run.jobs.values():
                    one.seq = 0  # instances of several jobs come in turns, each as there is room
                    one.children = sorted(one.children)
                    if one.id.startswith("budget-gate-"):
                        one.spec = b""  # its question quotes what was asked for at that instant
                    if one.reason.startswith(TOO_LATE):
                        one.reason = TOO_LATE  # then it quotes what it waited for at that instant
        for run in self.slow.state.runs.values():
            for one in run.jobs.values():
                assert one == self.fast.state.runs[run.id].jobs[one.id]
            assert run == self.fast.state.runs[run.id]
        assert essence(self.slow.state) == essence(self.fast.state)


def race(state: State) -> bool:
    """Whether a run that is not settled is under a budget with another one that waits for payment."""
    return any(
        len(budget.runs) > 1
        and any(name in state.unsettled for name in budget.runs)
        and any(state.runs[name].unpaid for name in budget.runs if name not in state.unsettled)
        for budget in state.budgets.values()
    )


def verdict(outcome: Outcome) -> str:
    return outcome.code if isinstance(outcome, Rejected) else "applied"


def essence(state: State) -> dict[str, Any]:
    """All but what tells how many entries and timers there were."""
    due = sorted({(t.due_ms, t.kind, t.key) for t in state.timers if counts(state, t)})
    bookkeeping = ("digest", "next_timer_seq", "timers", "timers_sweep_at")
    fields = {name: getattr(state, name) for name in State.__struct_fields__}
    return {name: value for name, value in fields.items() if name not in bookkeeping} | {"due": due}


@pytest.mark.parametrize("steps", [1, 2, 3, 7])
def test_a_budget_says_when_and_never_what(steps: int) -> None:
    @slowly
    @given(entry_logs(steps=steps))
    def check(log: list[Entry]) -> None:
        _compare(log, steps=steps)

    check()


@pytest.mark.timeout(180)
def test_long_lives_in_small_steps_are_the_same_lives() -> None:
    unsettled = held_back = 0
    for seed in range(8):
        payloads = long_log(seed, steps=500, steps_each=2)
        twins = _compare([decode_entry(payload) for payload in payloads], steps=2)
        unsettled += twins.unsettled
        held_back += twins.held_back
    assert unsettled > 40, "hardly anything was ever left unsettled"
    assert held_back > 4, "hardly anything ever met it"


def _compare(log: list[Entry], *, steps: int) -> Twins:
    twins = Twins()
    for entry in log:
        twins.take(entry, steps=steps)
    twins.settle(steps=steps)
    if not twins.has_raced:
        twins.compare()
    return twins


# --- one by one -----------------------------------------------------------------------------------


def test_a_run_is_cancelled_piece_by_piece_and_seen_as_such_at_once(machine: MachineDriver) -> None:
    run = machine.submit([job(f"j{n}") for n in range(8)])
    assert machine.do(CancelRun(run=run)) == 8
    assert machine.run(run).counts == {"CANCELLED": 3, "PENDING": 5}
    assert machine.run(run).cancelled
    assert machine.view(run, "j7").reason == "waits until the cancelling of its run is carried out"
    assert machine.settle() == 2
    assert machine.told(RunSettled) == [RunSettled(run)]
    assert machine.told(RunChanged)[-1].over
    assert machine.run(run).counts == {"CANCELLED": 8}


def test_a_job_that_is_to_be_cancelled_can_neither_start_nor_end_nor_write(
    machine: MachineDriver,
) -> None:
    run = machine.submit([job(f"j{n}") for n in range(8)])
    attempt = machine.assign(run, "j6")
    machine.do(CancelRun(run=run))
    assert machine.refuse(AssignAttempt(run=run, job=JobId("j7"), worker=W)) == SETTLING
    assert machine.refuse(FinishAttempt(attempt=attempt, exit_code=0)) == "attempt_not_live"
    assert machine.refuse(KvPut(key="k", value=b""), attempt=attempt) == "attempt_not_live"
    machine.settle()
    assert machine.job(run, "j6").state == "CANCELLED"
    assert machine.job(run, "j6").history[-1].cause == "cancelled"
    assert machine.job(run, "j7").attempts == 0


def test_whether_a_job_is_below_a_cancelled_one_is_known_when_it_is_settled(
    machine: MachineDriver,
) -> None:
    run = machine.submit([*fan(8), job("apart")])
    below, apart = machine.assign(run, "root"), machine.assign(run, "apart", "w2")
    machine.do(CancelJob(run=run, job=JobId("c0")))
    machine.do(CancelJob(run=run, job=JobId("root")))
    assert machine.refuse(FinishAttempt(attempt=below, exit_code=0)) == "attempt_not_live"
    assert machine.refuse(FinishAttempt(attempt=apart, exit_code=0)) == SETTLING
    assert machine.refuse(ReleaseAttempt(attempt=apart, cause="lost")) == SETTLING
    assert machine.refuse(KvPut(key="k", value=b""), attempt=apart) == SETTLING
    assert machine.refuse(ExpireWorker(worker=WorkerId("w2"), incarnation=1)) == SETTLING
    reborn = JoinWorker(worker=WorkerId("w2"), incarnation=2, capabilities=("GENERAL",))
    assert machine.refuse(reborn) == SETTLING
    machine.settle()
    machine.do(FinishAttempt(attempt=apart, exit_code=0))
    assert machine.run(run).counts == {"CANCELLED": 9, "COMPLETED": 1}


def test_what_needs_the_run_settled_waits_and_nothing_overtakes_it(machine: MachineDriver) -> None:
    run = machine.submit([*fan(8), job("apart")])
    machine.run_job(run, "root")
    assert len(machine.told(JobReady)) == 3
    attempt = machine.assign(run, "c0")  # it knows that its parent completed
    machine.do(FinishAttempt(attempt=attempt, exit_code=0))
    apart = machine.assign(run, "apart")
    for command in (
        CancelRun(run=run),
        CancelJob(run=run, job=JobId("c7")),
        RetryJob(run=run, job=JobId("root")),
        AddJobs(run=run, jobs=(job("new", "root"),)),
    ):
        assert machine.refuse(command) == SETTLING
    assert machine.refuse(FinishAttempt(attempt=apart, exit_code=0)) == SETTLING
    machine.settle()
    machine.do(FinishAttempt(attempt=apart, exit_code=0))
    assert machine.do(RetryJob(run=run, job=JobId("root"))) == 1


def test_a_refusal_to_be_repeated_is_not_what_a_client_is_answered_later(
    machine: MachineDriver,
) -> None:
    run = machine.submit(fan(8))
    machine.do(CancelRun(run=run))
    retry = RetryJob(run=run, job=JobId("root"))
    assert machine.apply(retry, client="c", request=1) == Rejected(
        SETTLING, f"run {run}: the cancelling of its run is under way", run=run
    )
    machine.settle()
    assert isinstance(machine.apply(retry, client="c", request=1), Applied)


def test_a_retry_is_seen_at_once_and_takes_what_ended_with_it_along(machine: MachineDriver) -> None:
    run = machine.submit([*fan(8), job("last", *[f"c{n}" for n in range(8)])])
    machine.run_job(run, "root", exit_code=1)
    machine.settle()
    assert machine.run(run).counts == {"FAILED": 1, "SKIPPED": 9}
    machine.do(RetryJob(run=run, job=JobId("root")))
    assert machine.job(run, "root").state == "PENDING"
    assert not machine.run_view(run).over
    assert machine.settle() > 3
    assert machine.run(run).counts == {"PENDING": 10}
    assert machine.job(run, "last").waiting_for == 8


def test_timers_of_a_run_that_nothing_may_touch_wait_for_it(machine: MachineDriver) -> None:
    run = machine.submit([job(f"j{n}", queue_timeout_ms=1000) for n in range(3)])
    other = machine.submit([*fan(8, trigger="all_done"), job("slow", queue_timeout_ms=500)])
    machine.settle()
    machine.do(CancelJob(run=other, job=JobId("root")))
    machine.now_ms += 600
    machine.do(AdvanceTime())
    assert machine.job(other, "slow").state == "PENDING"
    assert machine.state.unsettled[other].parked
    machine.settle()
    machine.do(AdvanceTime())
    assert machine.job(other, "slow").reason == "no worker took it within 500 ms"
    assert machine.run(run).counts == {"PENDING": 3}


def test_a_run_with_many_delays_starts_piece_by_piece(machine: MachineDriver) -> None:
    run = machine.submit([job(f"j{n}", delay_ms=700) for n in range(8)])
    assert (
        machine.refuse(AssignAttempt(run=run, job=JobId("j7"), worker=machine.join())) == SETTLING
    )
    machine.now_ms += 600
    machine.settle()
    assert {one.not_before_ms for one in machine.run(run).jobs.values()} == {START_MS + 700}


def test_a_frozen_state_goes_on_where_it_was(machine: MachineDriver) -> None:
    run = machine.submit(fan(20))
    machine.run_job(run, "root", exit_code=1)
    other = MachineDriver()
    other.machine.restore(machine.machine.freeze())
    other.now_ms = machine.now_ms
    validate(other.state)
    for driver in (machine, other):
        driver.settle()
    assert other.state == machine.state
    assert other.run(run).counts == {"FAILED": 1, "SKIPPED": 20}


def test_a_run_that_is_over_and_not_settled_is_frozen_as_it_was(machine: MachineDriver) -> None:
    """Runs that are over are encoded later, in another thread: not one that goes on changing."""
    run = machine.submit([*fan(3), job("last", "c0", "c1", "c2")])
    machine.do(CancelJob(run=run, job=JobId("last")))
    machine.do(CancelJob(run=run, job=JobId("root")))
    assert machine.job(run, "last").waiting_for == 3
    assert machine.state.unsettled
    assert machine.run(run).ended_ms
    expected = list(machine.machine.freeze())
    frozen = machine.machine.freeze().at_once()
    machine.settle()
    assert list(frozen) == expected, "what was frozen went on changing"


def test_an_old_cluster_settles_everything_at_once() -> None:
    """The log of a cluster whose masters do not know budgets means what it meant there."""
    machine = Machine()
    for index, command in enumerate(
        (
            OpenEpoch(epoch=1, leader="m"),
            SubmitRun(run=RunId("r"), name="n", jobs=tuple(fan(9))),
            CancelRun(run=RunId("r")),
        )
    ):
        machine.apply(index + 1, encode_entry(Entry(ENTRY_FORMAT, 1, 1, (Proposal(command),))))
    assert not machine.state.unsettled
    assert machine.state.runs[RunId("r")].counts == {"CANCELLED": 10}
    machine.apply(4, encode_entry(Entry(ENTRY_FORMAT, 1, 1, (Proposal(RaiseVersion(version=2)),))))


def test_small_runs_are_settled_in_the_entry_that_a_large_one_has_used_up(
    machine: MachineDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "SETTLE_STEPS_EACH", 4)
    large, small = machine.submit([job(f"j{n}") for n in range(9)]), machine.submit(chain("a", "b"))
    machine.propose(Proposal(CancelRun(run=large)), Proposal(CancelJob(run=small, job=JobId("a"))))
    assert list(machine.state.unsettled) == [large]
    assert machine.run(small).counts == {"CANCELLED": 2}


def test_one_entry_reaches_so_many_edges_and_jobs_and_no_more(machine: MachineDriver) -> None:
    run = machine.submit(fan(50))
    entry = Entry(
        ENTRY_FORMAT, 1, machine.now_ms, (Proposal(CancelJob(run=run, job=JobId("root"))),)
    )
    steps = [machine.machine.apply(machine.state.index + 1, encode_entry(entry)).steps]
    advance = Entry(ENTRY_FORMAT, 1, machine.now_ms, (Proposal(AdvanceTime()),))
    while machine.state.unsettled:
        steps.append(machine.machine.apply(machine.state.index + 1, encode_entry(advance)).steps)
    assert max(steps) <= 4
    assert sum(steps) >= 100


def test_a_job_that_waits_for_its_parent_again_has_to_know_first_how_that_ended(
    machine: MachineDriver,
) -> None:
    others = [job(f"c{n}", "first") for n in range(9)]
    run = machine.submit(
        [
            job("first"),
            job("second"),
            *others,
            job("both", "first", "second", trigger="any_success"),
        ]
    )
    machine.run_job(run, "first")
    machine.settle()
    attempt = machine.assign(run, "both")
    machine.do(RetryJob(run=run, job=JobId("first")))
    machine.settle()
    assert machine.job(run, "both").waiting_for == 2
    machine.run_job(run, "first")
    assert machine.job(run, "both").waiting_for == 2, "it has heard already"
    assert machine.refuse(FinishAttempt(attempt=attempt, exit_code=1)) == SETTLING
    machine.settle()
    machine.do(FinishAttempt(attempt=attempt, exit_code=1))
    assert machine.job(run, "both").not_before_ms == machine.now_ms + 1000


def test_a_run_that_was_long_in_settling_is_over_since_its_last_job_ended(
    machine: MachineDriver,
) -> None:
    slow, quick = machine.submit(fan(20)), machine.submit([job("a")])
    machine.run_job(slow, "root", exit_code=1)
    machine.now_ms += 50
    machine.run_job(quick, "a")
    machine.settle()
    assert machine.run(slow).ended_ms == START_MS
    assert list(machine.state.over) == [slow, quick]


# --- what is due at one instant ---------------------------------------------------------------------


def twins(*told: tuple[int, Any], steps: int = 2) -> Twins:
    """Both lives of these commands, each at its time, once all is settled. Raises if they differ."""
    log = [(0, RaiseVersion(version=2)), *told]
    return _compare(
        [Entry(ENTRY_FORMAT, 1, START_MS + ms, (Proposal(command),)) for ms, command in log],
        steps=steps,
    )


def submission(*jobs: Any, run: str = "r", **fields: Any) -> SubmitRun:
    return SubmitRun(run=RunId(run), name="n", jobs=jobs, **fields)


def test_a_job_that_has_to_be_asked_is_asked_before_the_time_of_a_budget_ends_its_run() -> None:
    root = job("root", queue_timeout_ms=500)
    others = [job(f"c{n}", "root") for n in range(4)]
    asks = job("asks", "c0", trigger="all_done", when="0")
    told = twins(
        (0, SetBudget(budget="agent:x", limit=BudgetSpec(jobs=99))),
        (0, submission(root, *others, asks, agent_run_id="x")),
        (600, SetBudget(budget="agent:x", limit=BudgetSpec(wall_ms=100))),
    )
    assert told.slow.state.runs[RunId("r")].jobs[JobId("asks")].reason == "when: 0 is false"


def test_nobody_pays_for_jobs_that_have_yet_to_hear_that_they_are_skipped() -> None:
    root = job("root", queue_timeout_ms=500)
    others = [job(f"c{n}", "root") for n in range(5)]
    told = twins(
        (0, submission(root, *others, budget=BudgetSpec(jobs=4, on_limit="queue"))),
        (1, AdvanceTime()),
        (900, SetBudget(budget="r", limit=BudgetSpec(jobs=9))),
    )
    assert told.slow.state.budgets["r"].spent.jobs == 4


def test_a_refusal_at_the_gate_of_a_budget_comes_before_what_is_due_later() -> None:
    gate = JobSpec(id=JobId("gate"), type="gate")
    root = job("root", queue_timeout_ms=3000)
    others = [job(f"c{n}", "root") for n in range(3)]
    day_ms = 86_400_000
    twins(
        (0, submission(gate, root, *others, budget=BudgetSpec(jobs=3, on_limit="gate"))),
        (day_ms, AdvanceTime()),
        (20 * day_ms, RetryJob(run=RunId("r"), job=JobId("root"))),
        (21 * day_ms, CancelRun(run=RunId("other"))),
    )


def test_of_runs_that_ended_at_once_the_same_is_forgotten_whatever_their_sizes() -> None:
    large, small = [job(f"j{n}") for n in range(9)], [job("j")]
    told = twins(
        (0, SetRetention(runs_max=1)),
        (0, submission(*large, run="a", budget=BudgetSpec(wall_ms=500))),
        (0, submission(*small, run="b", budget=BudgetSpec(wall_ms=500))),
        (600, AdvanceTime()),
    )
    assert list(told.slow.state.runs) == ["b"]


def test_the_checkpoint_of_a_job_that_is_to_run_again_does_not_expire_meanwhile(
    machine: MachineDriver,
) -> None:
    run = machine.submit(fan(9, trigger="all_done", retries=0))
    machine.run_job(run, "root", exit_code=1)
    machine.settle()
    attempt = machine.assign(run, "c8")
    machine.do(PublishBlob(digest=DIGEST, size=1, holders=("m",)))
    machine.do(PublishCheckpoint(attempt=attempt, manifest=FILES, taken_ms=1))
    machine.do(FinishAttempt(attempt=attempt, exit_code=1))
    machine.now_ms += CHECKPOINT_KEEP_MS
    machine.do(RetryJob(run=run, job=JobId("root")))
    assert machine.job(run, "c8").state == "FAILED", "its turn to be reopened has come already"
    machine.do(AdvanceTime())
    machine.settle()
    assert machine.state.checkpoints[run][JobId("c8")].expires_ms == 0
