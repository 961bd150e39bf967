"""Assignment, results, retries, and everything that is refused because it comes too late."""

from __future__ import annotations

import pytest

from tests.fsm.driver import MachineDriver, chain, job
from titan import limits
from titan.fsm.commands import (
    AssignAttempt,
    CancelRun,
    ExpireWorker,
    FinishAttempt,
    KvPut,
    ReleaseAttempt,
    SetWorkerMode,
)
from titan.fsm.events import AttemptAssigned, AttemptRevoked, JobReady, TimerSet
from titan.fsm.outcomes import Rejected
from titan.fsm.policy import backoff_ms
from titan.ids import AttemptId, JobId, RunId, WorkerId
from titan.limits import LOSSES_IN_A_ROW_MAX

W1 = WorkerId("w1")


def assign(run: RunId, job_id: str, worker: str = "w1") -> AssignAttempt:
    return AssignAttempt(run=run, job=JobId(job_id), worker=WorkerId(worker))


# --- assigning ------------------------------------------------------------------------------------


def test_the_fence_is_the_index_that_assigned(machine: MachineDriver) -> None:
    run = machine.submit([job("a")])
    machine.join()
    attempt = machine.do(assign(run, "a"))
    index = machine.state.index
    assert machine.told(AttemptAssigned) == [AttemptAssigned(attempt, index, run, JobId("a"), W1)]
    assert machine.state.attempts[attempt].fence == index


def test_a_job_is_assigned_once(machine: MachineDriver) -> None:
    run = machine.submit([job("a")])
    machine.assign(run, "a")
    assert machine.refuse(assign(run, "a")) == "not_ready"


def test_a_job_that_waits_for_its_parent_is_not_assigned(machine: MachineDriver) -> None:
    run = machine.submit(chain("a", "b"))
    machine.join()
    assert machine.refuse(assign(run, "b")) == "not_ready"


def test_assignments_name_what_exists(machine: MachineDriver) -> None:
    run = machine.submit([job("a")])
    assert machine.refuse(assign(run, "a", "nobody")) == "unknown_worker"
    assert machine.refuse(assign(run, "b")) == "unknown_job"
    assert machine.refuse(assign(RunId("r-none"), "a")) == "unknown_run"


def test_a_worker_that_is_gone_or_closed_gets_nothing(machine: MachineDriver) -> None:
    run = machine.submit([job("a")])
    machine.join()
    for mode in ("cordoned", "draining"):
        machine.do(SetWorkerMode(worker=W1, mode=mode))
        assert machine.refuse(assign(run, "a")) == "worker_unavailable"
    machine.do(SetWorkerMode(worker=W1, mode="open"))
    machine.do(ExpireWorker(worker=W1, incarnation=1))
    assert machine.refuse(assign(run, "a")) == "worker_unavailable"


def test_a_worker_must_offer_every_tag(machine: MachineDriver) -> None:
    run = machine.submit([job("a", requirement=("GPU", "HIGH_MEM"))])
    machine.join("w1", capabilities=("GENERAL", "GPU"))
    machine.join("w2", capabilities=("HIGH_MEM", "GPU"))
    assert machine.refuse(assign(run, "a", "w1")) == "not_capable"
    machine.do(assign(run, "a", "w2"))


def test_a_worker_holds_a_bounded_number_of_attempts(machine: MachineDriver) -> None:
    most = 1 + limits.PREFILL_PER_SLOT_MAX
    run = machine.submit([job(f"j{i}") for i in range(most + 1)])
    for i in range(most):
        machine.assign(run, f"j{i}")
    assert machine.refuse(assign(run, f"j{most}")) == "worker_busy"


def test_resources_other_than_slots_are_never_overcommitted(machine: MachineDriver) -> None:
    run = machine.submit([job(name, resources={"gpus": 2}) for name in ("a", "b", "c")])
    machine.join(resources={"gpus": 5}, slots=4)
    first = machine.do(assign(run, "a"))
    machine.do(assign(run, "b"))
    assert machine.apply(assign(run, "c")) == Rejected(
        "no_capacity", "worker w1 has 1 of 5 gpus free, 2 are needed"
    )
    machine.do(FinishAttempt(attempt=first, exit_code=0))
    machine.do(assign(run, "c"))


def test_a_job_for_more_slots_than_a_worker_has_is_refused(machine: MachineDriver) -> None:
    run = machine.submit([job("a", resources={"slots": 3})])
    machine.join(slots=2)
    assert machine.refuse(assign(run, "a")) == "no_capacity"


# --- ending ---------------------------------------------------------------------------------------


def test_a_result_is_accepted_once(machine: MachineDriver) -> None:
    run = machine.submit([job("a")])
    attempt = machine.assign(run, "a")
    machine.do(FinishAttempt(attempt=attempt, exit_code=0, output=b"42"))
    assert machine.refuse(FinishAttempt(attempt=attempt, exit_code=1)) == "attempt_not_live"
    assert machine.states(run) == {"a": "COMPLETED"}
    assert machine.job(run, "a").output == b"42"


def test_a_result_for_a_dead_attempt_is_refused(machine: MachineDriver) -> None:
    run = machine.submit(chain("a", "b"))
    dead = machine.assign(run, "a")
    machine.do(ExpireWorker(worker=W1, incarnation=1))
    assert machine.refuse(FinishAttempt(attempt=dead, exit_code=0)) == "attempt_not_live"
    assert machine.states(run) == {"a": "PENDING", "b": "PENDING"}


def test_a_job_whose_workers_die_again_and_again_is_stopped(machine: MachineDriver) -> None:
    run = machine.submit(chain("killer", "after"))
    for life in range(1, LOSSES_IN_A_ROW_MAX + 1):
        assert machine.states(run)["killer"] == "PENDING"
        machine.join("w1", incarnation=life)
        machine.assign(run, "killer")
        machine.do(ExpireWorker(worker=W1, incarnation=life))
    assert machine.states(run) == {"killer": "FAILED", "after": "SKIPPED"}
    assert "lost 8 times in a row" in machine.view(run, "killer").reason
    assert machine.run_view(run).over


def test_a_loss_counts_only_beside_other_losses(machine: MachineDriver) -> None:
    run = machine.submit([job("a", retries=100, retry_backoff_ms=0)])
    for life in range(1, 3 * LOSSES_IN_A_ROW_MAX):
        machine.join("w1", incarnation=life)
        attempt = machine.assign(run, "a")
        if life % (LOSSES_IN_A_ROW_MAX - 1) == 0:
            machine.do(FinishAttempt(attempt=attempt, exit_code=1))
        else:
            machine.do(ExpireWorker(worker=W1, incarnation=life))
    assert machine.states(run) == {"a": "PENDING"}


def test_every_effect_of_a_superseded_attempt_is_refused(machine: MachineDriver) -> None:
    run = machine.submit([job("a")])
    attempt = machine.assign(run, "a")
    put = KvPut(key="k", value=b"v")
    machine.do(put, client="c", request=1, attempt=attempt)
    machine.do(CancelRun(run=run))
    assert machine.refuse(put, client="c", request=2, attempt=attempt) == "attempt_not_live"
    machine.do(put, client="c", request=1, attempt=attempt)  # a repeat still gets its first answer


def test_four_attempts_are_made_then_the_job_is_dead(machine: MachineDriver) -> None:
    run = machine.submit([job("a", retry_backoff_ms=0)])
    for state in ("PENDING", "PENDING", "PENDING", "DEAD"):
        machine.run_job(run, "a", exit_code=7)
        assert machine.states(run) == {"a": state}
    view = machine.view(run, "a")
    assert (view.attempts, view.retries_used, view.reason) == (4, 3, "exit code 7")


def test_without_retries_a_failure_is_failed_not_dead(machine: MachineDriver) -> None:
    run = machine.submit([job("a", retries=0)])
    machine.run_job(run, "a", exit_code=1)
    assert machine.states(run) == {"a": "FAILED"}


@pytest.mark.parametrize(
    "ending",
    [{"exit_code": 64}, {"exit_code": -1, "cause": "start_failed", "detail": "no such file"}],
)
def test_a_deterministic_failure_is_not_retried(
    machine: MachineDriver, ending: dict[str, object]
) -> None:
    run = machine.submit([job("a", no_retry_exit_codes=(64,))])
    machine.run_job(run, "a", **ending)  # type: ignore[arg-type]
    assert machine.states(run) == {"a": "FAILED"}


def test_a_timeout_is_a_failure_that_may_be_retried(machine: MachineDriver) -> None:
    run = machine.submit([job("a", retries=1, retry_backoff_ms=0)])
    machine.run_job(run, "a", exit_code=143, cause="timeout")
    assert machine.states(run) == {"a": "PENDING"}
    machine.run_job(run, "a", exit_code=0, cause="timeout")
    assert machine.states(run) == {"a": "DEAD"}
    assert machine.view(run, "a").reason == "timed out"


def test_output_beyond_the_limit_fails_the_attempt(machine: MachineDriver) -> None:
    run = machine.submit([job("a", retries=0)])
    machine.run_job(run, "a", output=b"x" * (limits.OUTPUT_BYTES_MAX + 1))
    assert machine.states(run) == {"a": "FAILED"}
    assert machine.job(run, "a").output == b""


def test_retries_back_off_and_double_up_to_the_cap(machine: MachineDriver) -> None:
    run = machine.submit([job("a", retries=4, retry_backoff_ms=1000, retry_backoff_cap_ms=3000)])
    for delay_ms in (1000, 2000, 3000, 3000):
        machine.run_job(run, "a", exit_code=1)
        assert machine.told(JobReady) == []
        assert machine.wait(delay_ms - 1) == 0
        assert machine.wait(1) == 1
        assert machine.told(JobReady) == [JobReady(run, JobId("a"))]


def test_backoff_doubles_and_is_capped_for_every_attempt() -> None:
    assert [backoff_ms(n, base_ms=10, cap_ms=75) for n in (1, 2, 3, 4, 1000)] == [
        10,
        20,
        40,
        75,
        75,
    ]
    assert backoff_ms(5, base_ms=0, cap_ms=75) == 0


def test_only_the_last_attempts_are_remembered(machine: MachineDriver) -> None:
    run = machine.submit([job("a", retries=100, retry_backoff_ms=0)])
    for _ in range(limits.ATTEMPT_HISTORY_MAX + 5):
        machine.run_job(run, "a", exit_code=1)
    history = machine.view(run, "a").history
    assert len(history) == limits.ATTEMPT_HISTORY_MAX
    assert history[-1].attempt == limits.ATTEMPT_HISTORY_MAX + 5


def test_a_long_detail_is_cut(machine: MachineDriver) -> None:
    run = machine.submit([job("a", retries=0)])
    machine.run_job(run, "a", exit_code=1, detail="é" * limits.ERROR_TEXT_BYTES_MAX)
    detail = machine.view(run, "a").history[0].detail
    assert len(detail.encode()) <= limits.ERROR_TEXT_BYTES_MAX


# --- taken back -----------------------------------------------------------------------------------


@pytest.mark.parametrize("cause", ["retracted", "lost"])
def test_a_released_attempt_spends_no_retry(machine: MachineDriver, cause: str) -> None:
    run = machine.submit([job("a", retries=0)])
    for _ in range(3):
        attempt = machine.assign(run, "a")
        machine.do(ReleaseAttempt(attempt=attempt, cause=cause))
        assert machine.told(AttemptRevoked) == [AttemptRevoked(attempt, run, JobId("a"), W1, cause)]
        assert machine.told(JobReady) == [JobReady(run, JobId("a"))]
    view = machine.view(run, "a")
    assert (view.attempts, view.retries_used) == (3, 0)


def test_an_attempt_is_released_for_a_known_cause_and_only_while_it_lives(
    machine: MachineDriver,
) -> None:
    run = machine.submit([job("a")])
    attempt = machine.assign(run, "a")
    assert machine.refuse(ReleaseAttempt(attempt=attempt, cause="boredom")) == "invalid"
    assert machine.refuse(ReleaseAttempt(attempt=AttemptId(99), cause="lost")) == "attempt_not_live"


def test_cancelling_a_run_revokes_its_live_attempts_at_once(machine: MachineDriver) -> None:
    run = machine.submit([job("a"), job("b")])
    attempt = machine.assign(run, "a")
    assert machine.do(CancelRun(run=run)) == 2
    assert machine.told(AttemptRevoked) == [
        AttemptRevoked(attempt, run, JobId("a"), W1, "cancelled")
    ]
    assert not machine.state.attempts
    assert machine.view(run, "a").history[-1].cause == "cancelled"
    assert machine.do(CancelRun(run=run)) == 0


def test_a_cancelled_job_is_not_retried_by_its_late_result(machine: MachineDriver) -> None:
    run = machine.submit([job("a")])
    attempt = machine.assign(run, "a")
    machine.do(CancelRun(run=run))
    assert machine.refuse(FinishAttempt(attempt=attempt, exit_code=0)) == "attempt_not_live"
    assert machine.states(run) == {"a": "CANCELLED"}


# --- waiting --------------------------------------------------------------------------------------


def test_a_delay_counts_from_the_moment_the_job_is_unblocked(machine: MachineDriver) -> None:
    run = machine.submit([job("a"), job("b", "a", delay_ms=500)])
    machine.wait(10_000)
    machine.run_job(run, "a")
    assert machine.told(TimerSet) == [TimerSet(machine.now_ms + 500)]
    assert machine.wait(499) == 0
    machine.wait(1)
    assert machine.told(JobReady) == [JobReady(run, JobId("b"))]


def test_a_job_that_no_worker_took_in_time_fails(machine: MachineDriver) -> None:
    run = machine.submit([job("a", queue_timeout_ms=100), job("b", "a")])
    assert machine.wait(99) == 0
    machine.wait(1)
    assert machine.states(run) == {"a": "FAILED", "b": "SKIPPED"}
    assert machine.view(run, "a").reason == "no worker took it within 100 ms"


def test_a_job_that_was_assigned_in_time_does_not_time_out(machine: MachineDriver) -> None:
    run = machine.submit([job("a", queue_timeout_ms=100)])
    attempt = machine.assign(run, "a")
    assert machine.wait(100) == 0
    machine.do(ReleaseAttempt(attempt=attempt, cause="lost"))
    assert machine.wait(99) == 0
    assert machine.wait(1) == 1
    assert machine.states(run) == {"a": "FAILED"}
