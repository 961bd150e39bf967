"""Services: started again, healthy for their dependants, stopped for good, moved."""

from __future__ import annotations

from typing import Any

import pytest

from tests.fsm.driver import MachineDriver, job
from titan import limits
from titan.fsm.commands import (
    AddJobs,
    AssignAttempt,
    CancelJob,
    CancelRun,
    ExpireWorker,
    FinishAttempt,
    RetryJob,
    SetServiceHealth,
    SetWorkerMode,
    StopService,
)
from titan.fsm.events import AttemptRevoked, JobChanged, JobReady
from titan.fsm.queries import ListServices, ServiceView
from titan.fsm.records.services import Service
from titan.fsm.views import read
from titan.ids import AttemptId, JobId, RunId, WorkerId
from titan.spec.model import JobSpec
from titan.spec.service import RestartSpec

WEB = JobId("web")


def service(name: str = "web", *parents: str, **fields: Any) -> JobSpec:
    return job(name, *parents, type="service", **fields)


@pytest.fixture
def machine(machine: MachineDriver) -> MachineDriver:
    machine.host("w1")
    return machine


def record(machine: MachineDriver, run: RunId, name: str = "web") -> Service:
    return machine.run(run).services[JobId(name)]


def healthy(machine: MachineDriver, attempt: AttemptId, health: str = "healthy") -> None:
    machine.do(SetServiceHealth(attempt=attempt, health=health))


def start(machine: MachineDriver, *others: JobSpec, **fields: Any) -> tuple[RunId, AttemptId]:
    run = machine.submit([service(**fields), *others])
    return run, machine.assign(run, "web")


def crash(machine: MachineDriver, attempt: AttemptId, *, ran_ms: int = 50, **fields: Any) -> None:
    fields.setdefault("exit_code", 1)
    machine.do(FinishAttempt(attempt=attempt, duration_us=ran_ms * 1000, **fields))


# --- dependants -----------------------------------------------------------------------------------


def test_a_dependant_starts_when_the_service_is_healthy(machine: MachineDriver) -> None:
    run, attempt = start(machine, job("user", "web"))
    assert machine.view(run, "user").reason == "waits for web"
    assert machine.refuse(AssignAttempt(run=run, job=JobId("user"), worker=WorkerId("w1")))
    healthy(machine, attempt)
    assert machine.told(JobReady) == [JobReady(run, JobId("user"))]
    assert machine.told(JobChanged) == [JobChanged(run, WEB, "RUNNING")]
    machine.run_job(run, "user")
    assert machine.states(run) == {"web": "RUNNING", "user": "COMPLETED"}
    assert (machine.run_view(run).state, machine.run_view(run).over) == ("RUNNING", False)


def test_health_that_comes_and_goes_releases_dependants_once(machine: MachineDriver) -> None:
    run, attempt = start(machine, job("a"), job("user", "web", "a"))
    for health in ("unhealthy", "healthy", "unhealthy", "healthy"):
        healthy(machine, attempt, health)
    assert machine.job(run, "user").waiting_for == 1
    crash(machine, attempt)
    machine.do(AddJobs(run=run, jobs=(job("late", "web"),)))
    assert machine.told(JobReady) == [JobReady(run, JobId("late"))]
    machine.run_job(run, "a")
    assert machine.states(run)["user"] == "PENDING"
    machine.run_job(run, "user")


def test_the_same_health_again_changes_nothing(machine: MachineDriver) -> None:
    _, attempt = start(machine)
    healthy(machine, attempt)
    healthy(machine, attempt)
    assert machine.events == ()


def test_one_that_is_still_starting_says_why(machine: MachineDriver) -> None:
    run, attempt = start(machine)
    machine.do(SetServiceHealth(attempt=attempt, health="starting", detail="refused"))
    assert machine.view(run, "web").reason.endswith(": refused")
    healthy(machine, attempt)
    again = SetServiceHealth(attempt=attempt, health="starting", detail="refused")
    assert machine.refuse(again) == "invalid"


def test_only_the_live_attempt_of_a_service_has_health(machine: MachineDriver) -> None:
    run, attempt = start(machine, job("plain"))
    crash(machine, attempt)
    plain = machine.assign(run, "plain")
    for number, health in ((attempt, "healthy"), (plain, "healthy"), (plain, "dizzy")):
        assert machine.refuse(SetServiceHealth(attempt=number, health=health))


def test_a_service_that_ends_for_good_does_not_take_back_what_it_released(
    machine: MachineDriver,
) -> None:
    run, attempt = start(machine, job("user", "web"), restart=RestartSpec(limit=0))
    healthy(machine, attempt)
    crash(machine, attempt)
    assert machine.states(run) == {"web": "FAILED", "user": "PENDING"}
    machine.run_job(run, "user")


def test_dependants_of_a_service_that_was_never_healthy_are_skipped(machine: MachineDriver) -> None:
    run, attempt = start(machine, job("user", "web"), restart=RestartSpec(limit=0))
    crash(machine, attempt)
    assert machine.states(run) == {"web": "FAILED", "user": "SKIPPED"}
    assert machine.run_view(run).state == "FAILED"


# --- restarts -------------------------------------------------------------------------------------


def test_a_crash_is_followed_by_a_new_attempt_after_a_growing_wait(machine: MachineDriver) -> None:
    run, attempt = start(machine, restart=RestartSpec(backoff_ms=500, backoff_cap_ms=1500))
    for wait_ms in (500, 1000, 1500, 1500):
        crash(machine, attempt, exit_code=0)
        assert machine.states(run) == {"web": "PENDING"}
        assert machine.wait(wait_ms - 1) == 0
        assert machine.wait(1) == 1
        attempt = machine.assign(run, "web")
    assert record(machine, run).restarts == 4
    assert machine.job(run, "web").retries_used == 0


def test_quick_crashes_in_a_row_are_a_crash_loop_and_say_so(machine: MachineDriver) -> None:
    run, attempt = start(machine, restart=RestartSpec(backoff_ms=10))
    for _ in range(limits.CRASH_LOOP_FAILURES):
        assert machine.view(run, "web").health == "starting"
        crash(machine, attempt, exit_code=3)
        view = machine.view(run, "web")
        machine.wait(10_000)
        attempt = machine.assign(run, "web")
    assert view.health == "crash-loop"
    assert view.reason.startswith("crash-loop: exit code 3; starts again at ")
    assert machine.view(run, "web").health == "crash-loop"
    healthy(machine, attempt)
    assert machine.view(run, "web").health == "healthy"


def test_a_service_that_ran_for_a_while_begins_its_back_off_anew(machine: MachineDriver) -> None:
    run, attempt = start(machine, restart=RestartSpec(backoff_ms=10))
    for _ in range(3):
        crash(machine, attempt)
        machine.wait(10_000)
        attempt = machine.assign(run, "web")
    crash(machine, attempt, ran_ms=limits.SERVICE_STABLE_MS)
    assert record(machine, run).quick_failures == 1
    assert machine.wait(10) == 1


def test_the_limit_of_restarts_in_a_row_ends_it(machine: MachineDriver) -> None:
    run, attempt = start(machine, restart=RestartSpec(limit=1, backoff_ms=10))
    crash(machine, attempt)
    machine.wait(10)
    crash(machine, machine.assign(run, "web"), exit_code=137)
    assert machine.states(run) == {"web": "FAILED"}
    assert machine.view(run, "web").reason == (
        "killed by signal 9; its limit of 1 restarts in a row is reached"
    )


@pytest.mark.parametrize("cause", ["start_failed", "port_in_use"])
def test_what_cannot_start_fails_at_once_unless_it_was_healthy_before(
    machine: MachineDriver, cause: str
) -> None:
    run, attempt = start(machine, port=8080)
    crash(machine, attempt, exit_code=-1, cause=cause, detail="no luck")
    assert machine.states(run) == {"web": "FAILED"}
    run, attempt = start(machine, port=8080)
    healthy(machine, attempt)
    crash(machine, attempt, exit_code=-1, cause=cause)
    assert machine.states(run) == {"web": "PENDING"}


def test_a_worker_that_leaves_costs_the_service_nothing(machine: MachineDriver) -> None:
    run, attempt = start(machine)
    crash(machine, attempt, exit_code=143, cause="moved")
    assert machine.told(JobReady) == [JobReady(run, WEB)]
    assert record(machine, run).quick_failures == 0


def test_retrying_a_service_that_failed_begins_from_nothing(machine: MachineDriver) -> None:
    run, attempt = start(machine, job("user", "web"), restart=RestartSpec(limit=0))
    crash(machine, attempt)
    machine.do(RetryJob(run=run, job=WEB))
    assert machine.states(run) == {"web": "PENDING", "user": "PENDING"}
    healthy(machine, machine.assign(run, "web"))
    machine.run_job(run, "user")


# --- the end --------------------------------------------------------------------------------------


def test_stopping_ends_it_as_completed_and_kills_it(machine: MachineDriver) -> None:
    run, attempt = start(machine)
    healthy(machine, attempt)
    assert machine.do(StopService(run=run, job=WEB)) is True
    assert machine.told(AttemptRevoked) == [AttemptRevoked(attempt, run, WEB, "w1", "stopped")]
    assert machine.run_view(run).state == "COMPLETED"
    assert machine.view(run, "web").reason == "stopped"
    assert machine.do(StopService(run=run, job=WEB)) is False


def test_one_that_was_never_healthy_is_cancelled_by_a_stop(machine: MachineDriver) -> None:
    run, attempt = start(machine, job("user", "web"))
    crash(machine, attempt)
    machine.do(StopService(run=run, job=WEB))
    assert machine.states(run) == {"web": "CANCELLED", "user": "SKIPPED"}
    assert machine.wait(60_000) == 0


def test_cancelling_the_run_kills_the_service_as_cancelled(machine: MachineDriver) -> None:
    run, attempt = start(machine, job("user", "web"))
    healthy(machine, attempt)
    machine.do(CancelRun(run=run))
    assert [event.cause for event in machine.told(AttemptRevoked)] == ["cancelled"]
    assert machine.states(run) == {"web": "CANCELLED", "user": "CANCELLED"}
    assert not machine.state.ports


def test_cancelling_a_healthy_service_cancels_what_waits_for_more_than_it(
    machine: MachineDriver,
) -> None:
    run, attempt = start(machine, job("a"), job("user", "web", "a"))
    healthy(machine, attempt)
    machine.do(CancelJob(run=run, job=WEB))
    assert machine.states(run) == {"web": "CANCELLED", "a": "PENDING", "user": "CANCELLED"}
    machine.run_job(run, "a")


def test_only_a_service_can_be_stopped(machine: MachineDriver) -> None:
    run = machine.submit([job("plain")])
    assert machine.refuse(StopService(run=run, job=JobId("plain"))) == "invalid"
    assert machine.refuse(StopService(run=run, job=WEB)) == "unknown_job"


# --- moving ---------------------------------------------------------------------------------------


def test_a_lost_worker_moves_the_service_at_once(machine: MachineDriver) -> None:
    run, attempt = start(machine)
    healthy(machine, attempt)
    machine.do(ExpireWorker(worker=WorkerId("w1"), incarnation=1))
    assert machine.told(JobReady) == [JobReady(run, WEB)]
    machine.host("w2")
    machine.assign(run, "web", worker="w2")
    assert machine.view(run, "web").health == "starting"


def test_one_that_moves_on_its_machine_gets_another_port(machine: MachineDriver) -> None:
    run, attempt = start(machine)
    port = machine.state.attempts[attempt].port
    machine.host("w2", machine="m-w1")
    machine.do(ExpireWorker(worker=WorkerId("w1"), incarnation=1))
    assert machine.state.attempts[machine.assign(run, "web", worker="w2")].port != port


def test_losses_of_workers_end_a_service_only_when_they_come_quickly(
    machine: MachineDriver,
) -> None:
    run, _ = start(machine)
    for life in range(1, limits.LOSSES_IN_A_ROW_MAX + 3):
        machine.now_ms += limits.SERVICE_LOSS_QUICK_MS + 1
        machine.do(ExpireWorker(worker=WorkerId("w1"), incarnation=life))
        machine.host("w1", incarnation=life + 1)
        machine.assign(run, "web")
    assert machine.states(run) == {"web": "RUNNING"}
    for again in range(life + 1, life + 1 + limits.LOSSES_IN_A_ROW_MAX):
        machine.do(ExpireWorker(worker=WorkerId("w1"), incarnation=again))
        machine.host("w1", incarnation=again + 1)
        if machine.states(run) == {"web": "PENDING"}:
            machine.assign(run, "web")
    assert machine.states(run) == {"web": "FAILED"}


def test_draining_a_worker_moves_its_services_and_leaves_its_jobs(machine: MachineDriver) -> None:
    run, attempt = start(machine, job("plain"))
    plain = machine.assign(run, "plain")
    machine.do(SetWorkerMode(worker=WorkerId("w1"), mode="draining"))
    assert machine.told(AttemptRevoked) == [AttemptRevoked(attempt, run, WEB, "w1", "drained")]
    assert list(machine.state.attempts) == [plain]
    assert machine.states(run) == {"web": "PENDING", "plain": "RUNNING"}


# --- ports ----------------------------------------------------------------------------------------


def test_two_services_of_a_machine_never_share_a_port(machine: MachineDriver) -> None:
    machine.host("w2", machine="m-w1", slots=20)
    run = machine.submit([service(f"s{n}") for n in range(11)])
    for n in range(10):
        machine.assign(run, f"s{n}", worker=("w1", "w2")[n % 2] if n < 8 else "w2")
    ports = [attempt.port for attempt in machine.state.attempts.values()]
    assert sorted(ports) == list(range(31_000, 31_010))
    last = AssignAttempt(run=run, job=JobId("s10"), worker=WorkerId("w2"))
    assert machine.refuse(last) == "no_port"
    machine.host("w3")
    machine.assign(run, "s10", worker="w3")


def test_a_restart_on_the_same_machine_keeps_the_port(machine: MachineDriver) -> None:
    run, attempt = start(machine)
    port = machine.state.attempts[attempt].port
    machine.assign(machine.submit([service("other")]), "other")
    crash(machine, attempt)
    machine.wait(1000)
    assert machine.state.attempts[machine.assign(run, "web")].port == port


def test_a_stranger_on_the_port_makes_titan_pick_another(machine: MachineDriver) -> None:
    run, attempt = start(machine)
    port = machine.state.attempts[attempt].port
    crash(machine, attempt, exit_code=-1, cause="port_in_use")
    machine.wait(1000)
    assert machine.state.attempts[machine.assign(run, "web")].port != port


def test_a_fixed_port_that_is_held_everywhere_fails_fast_and_names_the_holder(
    machine: MachineDriver,
) -> None:
    first, attempt = start(machine, port=8080)
    second = machine.submit([service("api", port=8080), job("user", "api")])
    held = f"port 8080 of worker w1 is held by service 'web' of run {first} (attempt {attempt})"
    assert machine.view(second, "api").reason == held
    assert machine.do(AssignAttempt(run=second, job=JobId("api"), worker=WorkerId("w1"))) == 0
    assert machine.states(second) == {"api": "FAILED", "user": "SKIPPED"}
    assert machine.view(second, "api").reason == held


def test_a_fixed_port_that_is_free_elsewhere_is_only_refused_here(machine: MachineDriver) -> None:
    start(machine, port=8080)
    machine.host("w2")
    run = machine.submit([service("api", port=8080)])
    there = AssignAttempt(run=run, job=JobId("api"), worker=WorkerId("w1"))
    assert machine.refuse(there) == "port_taken"
    machine.assign(run, "api", worker="w2")


def test_a_service_that_was_healthy_waits_for_its_port(machine: MachineDriver) -> None:
    run, attempt = start(machine, port=8080)
    healthy(machine, attempt)
    crash(machine, attempt)
    machine.assign(machine.submit([service("api", port=8080)]), "api")
    machine.wait(1000)
    again = AssignAttempt(run=run, job=WEB, worker=WorkerId("w1"))
    assert machine.refuse(again) == "port_taken"
    assert machine.view(run, "web").reason.startswith("port 8080 of worker w1 is held by service")


def test_a_worker_that_said_nothing_of_ports_runs_no_services(machine: MachineDriver) -> None:
    machine.join("old", slots=4)
    run = machine.submit([service()])
    there = AssignAttempt(run=run, job=WEB, worker=WorkerId("old"))
    assert machine.refuse(there) == "no_services"


# --- looking --------------------------------------------------------------------------------------


def test_the_list_tells_health_and_address(machine: MachineDriver) -> None:
    run, attempt = start(machine, port=8080)
    machine.submit([job("plain")])
    healthy(machine, attempt)
    assert read(machine.state, ListServices()) == [
        ServiceView(
            name="web",
            run=run,
            run_name="test",
            state="RUNNING",
            health="healthy",
            address="10.0.0.1:8080",
            worker=WorkerId("w1"),
            reason="healthy at 10.0.0.1:8080",
            restarts=0,
            since_ms=machine.now_ms,
            version="",
            attempt=attempt,
        )
    ]
    machine.do(StopService(run=run, job=WEB))
    assert read(machine.state, ListServices()) == []
