"""Workers that come, go, come back in another life, and are told to take no more."""

from __future__ import annotations

from tests.fsm.driver import MachineDriver, job
from titan import limits
from titan.fsm.commands import ExpireWorker, FinishAttempt, JoinWorker, SetWorkerMode
from titan.fsm.events import AttemptRevoked, JobReady, WorkerExpired, WorkerJoined
from titan.fsm.queries import ListWorkers
from titan.fsm.views import read
from titan.ids import AttemptId, JobId, WorkerId

W1 = WorkerId("w1")


def test_the_same_life_keeps_its_attempts_even_those_it_does_not_mention(
    machine: MachineDriver,
) -> None:
    run = machine.submit([job("a")])
    attempt = machine.assign(run, "a")
    machine.join("w1", incarnation=1, slots=3)
    assert machine.told(WorkerJoined) == [WorkerJoined(W1)]
    assert machine.state.workers[W1].slots == 3
    machine.do(FinishAttempt(attempt=attempt, exit_code=0))


def test_a_new_life_loses_what_it_does_not_hold(machine: MachineDriver) -> None:
    run = machine.submit([job("a"), job("b")])
    lost, held = machine.assign(run, "a"), machine.assign(run, "b")
    machine.join("w1", incarnation=2, holds=(held, AttemptId(77)))
    assert machine.told(AttemptRevoked) == [AttemptRevoked(lost, run, JobId("a"), W1, "lost")]
    assert machine.told(JobReady) == [JobReady(run, JobId("a"))]
    assert machine.states(run) == {"a": "PENDING", "b": "RUNNING"}
    machine.do(FinishAttempt(attempt=held, exit_code=0))


def test_a_worker_cannot_claim_the_attempt_of_another(machine: MachineDriver) -> None:
    run = machine.submit([job("a")])
    attempt = machine.assign(run, "a", worker="w1")
    machine.join("w2", holds=(attempt,))
    assert machine.state.attempts[attempt].worker == "w1"


def test_a_lost_worker_frees_its_jobs_without_spending_a_retry(machine: MachineDriver) -> None:
    run = machine.submit([job("a", retries=0)])
    machine.assign(run, "a")
    machine.do(ExpireWorker(worker=W1, incarnation=1))
    assert machine.told(WorkerExpired) == [WorkerExpired(W1)]
    assert machine.told(JobReady) == [JobReady(run, JobId("a"))]
    attempt = machine.assign(run, "a", worker="w2")
    machine.do(FinishAttempt(attempt=attempt, exit_code=0))
    assert machine.states(run) == {"a": "COMPLETED"}
    assert [record.cause for record in machine.view(run, "a").history] == ["lost", ""]


def test_an_old_life_cannot_expire_the_new_one(machine: MachineDriver) -> None:
    machine.join("w1", incarnation=1)
    machine.join("w1", incarnation=2)
    assert machine.refuse(ExpireWorker(worker=W1, incarnation=1)) == "stale_incarnation"
    assert machine.state.workers[W1].online


def test_expiring_an_expired_worker_has_no_effect(machine: MachineDriver) -> None:
    machine.join()
    machine.do(ExpireWorker(worker=W1, incarnation=1))
    machine.do(ExpireWorker(worker=W1, incarnation=1))
    assert machine.events == ()


def test_a_lost_worker_is_forgotten_after_a_day_unless_it_comes_back(
    machine: MachineDriver,
) -> None:
    machine.join("w1")
    machine.join("w2")
    machine.do(ExpireWorker(worker=W1, incarnation=1))
    machine.do(ExpireWorker(worker=WorkerId("w2"), incarnation=1))
    machine.wait(limits.WORKER_FORGET_MS - 1)
    machine.join("w2")
    machine.wait(1)
    assert list(machine.state.workers) == ["w2"]


def test_the_worker_of_a_parent_is_remembered_by_its_id(machine: MachineDriver) -> None:
    run = machine.submit([job("a"), job("b", "a", affinity=True)])
    machine.run_job(run, "a")
    assert machine.job(run, "a").worker == "w1"
    assert machine.job(run, "b").affinity


def test_a_cordon_outlives_a_restart_but_a_drain_does_not(machine: MachineDriver) -> None:
    machine.join("w1")
    machine.do(SetWorkerMode(worker=W1, mode="cordoned"))
    machine.join("w1", incarnation=2)
    assert machine.state.workers[W1].mode == "cordoned"
    machine.do(SetWorkerMode(worker=W1, mode="draining"))
    machine.join("w1", incarnation=2)
    assert machine.state.workers[W1].mode == "draining"
    machine.join("w1", incarnation=3)
    assert machine.state.workers[W1].mode == "open"


def test_modes_and_offers_are_checked(machine: MachineDriver) -> None:
    machine.join()
    assert machine.refuse(SetWorkerMode(worker=W1, mode="sleepy")) == "invalid"
    assert machine.refuse(SetWorkerMode(worker=WorkerId("w9"), mode="open")) == "unknown_worker"
    assert machine.refuse(JoinWorker(worker=W1, incarnation=1, slots=0)) == "invalid"
    assert machine.refuse(JoinWorker(worker=W1, incarnation=1, resources={"x": -1})) == "invalid"


def test_workers_are_listed_with_what_they_hold(machine: MachineDriver) -> None:
    run = machine.submit([job("a")])
    machine.join("w2")
    machine.assign(run, "a")
    machine.do(SetWorkerMode(worker=W1, mode="draining"))
    machine.do(ExpireWorker(worker=WorkerId("w2"), incarnation=1))
    views = read(machine.state, ListWorkers())
    assert [(view.id, view.state, view.jobs) for view in views] == [
        ("w1", "draining", [f"{run}/a"]),
        ("w2", "lost", []),
    ]


# --- drains ---------------------------------------------------------------------------------------------


def test_a_drain_with_a_limit_kills_what_still_runs_and_spends_no_retry(
    machine: MachineDriver,
) -> None:
    run = machine.submit([job("a", retries=0)])
    attempt = machine.assign(run, "a")
    machine.do(SetWorkerMode(worker=W1, mode="draining", timeout_ms=5_000))
    machine.wait(4_999)
    assert machine.states(run) == {"a": "RUNNING"}
    machine.wait(1)
    assert machine.told(AttemptRevoked) == [AttemptRevoked(attempt, run, JobId("a"), W1, "drained")]
    assert machine.states(run) == {"a": "PENDING"}
    second = machine.assign(run, "a", "w2")
    machine.do(FinishAttempt(attempt=second, exit_code=0))
    assert machine.states(run) == {"a": "COMPLETED"}


def test_a_shutdown_now_clears_the_worker_at_once(machine: MachineDriver) -> None:
    run = machine.submit([job("a"), job("b")])
    machine.assign(run, "a")
    machine.assign(run, "b")
    machine.do(SetWorkerMode(worker=W1, mode="draining", timeout_ms=0))
    assert machine.states(run) == {"a": "PENDING", "b": "PENDING"}
    assert not machine.state.workers[W1].live


def test_a_second_drain_shortens_the_first_and_opening_ends_it(machine: MachineDriver) -> None:
    run = machine.submit([job("a")])
    machine.assign(run, "a")
    machine.do(SetWorkerMode(worker=W1, mode="draining"))
    machine.do(SetWorkerMode(worker=W1, mode="draining", timeout_ms=100))
    machine.do(SetWorkerMode(worker=W1, mode="open"))
    machine.wait(1_000)
    assert machine.states(run) == {"a": "RUNNING"}


def test_only_a_drain_has_a_limit(machine: MachineDriver) -> None:
    machine.join("w1")
    assert machine.refuse(SetWorkerMode(worker=W1, mode="open", timeout_ms=1)) == "invalid"
    assert machine.refuse(SetWorkerMode(worker=W1, mode="draining", timeout_ms=-1)) == "invalid"


def test_workers_that_leave_on_purpose_do_not_make_a_job_look_deadly(
    machine: MachineDriver,
) -> None:
    run = machine.submit([job("a", retries=0)])
    for life in range(1, limits.LOSSES_IN_A_ROW_MAX + 2):
        machine.join("w1", incarnation=life)
        machine.assign(run, "a")
        machine.do(ExpireWorker(worker=W1, incarnation=life, cause="left"))
    assert machine.states(run) == {"a": "PENDING"}
    assert {record.cause for record in machine.view(run, "a").history} == {"left"}


def test_an_ephemeral_worker_that_left_is_forgotten_at_once(machine: MachineDriver) -> None:
    machine.join("w1", ephemeral=True)
    machine.do(ExpireWorker(worker=W1, incarnation=1, cause="left"))
    assert machine.state.workers == {}
