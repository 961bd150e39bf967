"""Replacing a service: the new version beside the old one, and the way back."""

from __future__ import annotations

from typing import Any

import pytest

from tests.fsm.driver import MachineDriver, job
from titan.errors import NotFound
from titan.fsm.commands import (
    AssignAttempt,
    CancelRun,
    DeployServices,
    ExpireWorker,
    FinishAttempt,
    SetServiceHealth,
    StopService,
)
from titan.fsm.events import AttemptRevoked
from titan.fsm.machine import Machine
from titan.fsm.queries import GetService, ServiceView
from titan.fsm.records.services import Deployment
from titan.fsm.views import read
from titan.ids import AttemptId, JobId, RunId, WorkerId
from titan.limits import CRASH_LOOP_FAILURES
from titan.spec.model import JobSpec
from titan.spec.service import RestartSpec

WEB = JobId("web")
WAIT_MS = 60_000


@pytest.fixture
def machine(machine: MachineDriver) -> MachineDriver:
    machine.host("w1")
    return machine


def service(name: str = "web", **fields: Any) -> JobSpec:
    return job(name, type="service", **fields)


def order(version: int, *jobs: JobSpec, **fields: Any) -> DeployServices:
    listed = jobs or (service(**fields),)
    return DeployServices(run=RunId(f"v{version}"), name="web", jobs=listed, wait_ms=WAIT_MS)


def deploy(machine: MachineDriver, version: int, **fields: Any) -> RunId:
    return RunId(machine.do(order(version, **fields)))


def healthy(machine: MachineDriver, attempt: AttemptId) -> None:
    machine.do(SetServiceHealth(attempt=attempt, health="healthy"))


def deployed(machine: MachineDriver, version: int, **fields: Any) -> tuple[RunId, AttemptId]:
    run = deploy(machine, version, **fields)
    attempt = machine.assign(run, "web")
    healthy(machine, attempt)
    return run, attempt


def current(machine: MachineDriver) -> ServiceView:
    view = read(machine.state, GetService(name="web"))
    assert isinstance(view, ServiceView)
    return view


def states(machine: MachineDriver, *runs: RunId) -> list[str]:
    return [machine.states(run)["web"] for run in runs]


def test_the_old_version_ends_when_the_new_one_is_healthy_and_not_before(
    machine: MachineDriver,
) -> None:
    old, old_attempt = deployed(machine, 1)
    new = deploy(machine, 2)
    attempt = machine.assign(new, "web")
    assert states(machine, old, new) == ["RUNNING", "RUNNING"]
    assert (current(machine).run, current(machine).version) == (old, "current")
    healthy(machine, attempt)
    assert machine.told(AttemptRevoked) == [
        AttemptRevoked(old_attempt, old, WEB, WorkerId("w1"), "stopped")
    ]
    assert states(machine, old, new) == ["COMPLETED", "RUNNING"]
    assert machine.view(old, "web").reason == f"replaced by run {new}"
    assert current(machine).run == new
    assert machine.wait(WAIT_MS) == 0


def test_a_version_that_is_never_healthy_ends_and_the_old_one_stays(machine: MachineDriver) -> None:
    old, _ = deployed(machine, 1)
    new = deploy(machine, 2)
    machine.assign(new, "web")
    assert machine.wait(WAIT_MS - 1) == 0
    machine.wait(1)
    assert states(machine, old, new) == ["RUNNING", "FAILED"]
    assert machine.view(new, "web").reason == (
        f"it was not healthy in time; the version of run {old} stays"
    )
    assert current(machine).run == old


def test_a_version_in_a_crash_loop_is_not_waited_for(machine: MachineDriver) -> None:
    old, _ = deployed(machine, 1)
    new = deploy(machine, 2, restart=RestartSpec(backoff_ms=1))
    for _ in range(CRASH_LOOP_FAILURES):
        machine.wait(100)
        machine.do(FinishAttempt(attempt=machine.assign(new, "web"), exit_code=1))
    assert states(machine, old, new) == ["RUNNING", "FAILED"]
    assert machine.view(new, "web").reason == (
        f"exit code 1; it ended {CRASH_LOOP_FAILURES} times in a row and was never healthy; "
        f"the version of run {old} stays"
    )
    assert machine.state.services == {WEB: Deployment(name=WEB, current=old)}


def test_the_first_version_must_become_healthy_too(machine: MachineDriver) -> None:
    run = deploy(machine, 1)
    with pytest.raises(NotFound, match="no service 'web' runs"):
        current(machine)
    machine.wait(WAIT_MS)
    assert states(machine, run) == ["FAILED"]
    assert machine.state.services == {}


def test_a_version_that_found_no_room_says_so(machine: MachineDriver) -> None:
    old, _ = deployed(machine, 1)
    new = deploy(machine, 2, resources={"gpus": 1})
    machine.wait(WAIT_MS)
    assert machine.view(new, "web").reason == (
        "it was not healthy in time: waits for a worker with GENERAL and 1 gpus, 1 slots; "
        f"the version of run {old} stays"
    )


def test_with_a_fixed_port_and_one_machine_the_old_version_makes_room(
    machine: MachineDriver,
) -> None:
    old, old_attempt = deployed(machine, 1, port=8080)
    new = deploy(machine, 2, port=8080)
    assert [event.attempt for event in machine.told(AttemptRevoked)] == [old_attempt]
    assert states(machine, old, new) == ["PENDING", "PENDING"]
    assert machine.view(old, "web").reason.startswith(f"makes room for run {new}; starts again")
    healthy(machine, machine.assign(new, "web"))
    assert states(machine, old, new) == ["COMPLETED", "RUNNING"]


@pytest.mark.parametrize("end", ["deadline", "cancel", "stop"])
def test_the_version_that_made_room_comes_back(machine: MachineDriver, end: str) -> None:
    old, _ = deployed(machine, 1, port=8080)
    new = deploy(machine, 2, port=8080)
    machine.assign(new, "web")
    if end == "deadline":
        machine.wait(WAIT_MS)
    elif end == "cancel":
        machine.do(CancelRun(run=new))
    else:
        machine.do(StopService(run=new, job=WEB))
    machine.wait(1)
    healthy(machine, machine.assign(old, "web"))
    assert current(machine).run == old
    assert states(machine, new) == ["FAILED" if end == "deadline" else "CANCELLED"]
    assert machine.wait(2 * WAIT_MS) == 0


def test_with_another_machine_nobody_makes_room(machine: MachineDriver) -> None:
    old, _ = deployed(machine, 1, port=8080)
    machine.host("w2")
    new = deploy(machine, 2, port=8080)
    assert states(machine, old) == ["RUNNING"]
    healthy(machine, machine.assign(new, "web", worker="w2"))
    assert states(machine, old, new) == ["COMPLETED", "RUNNING"]


def test_a_version_waits_for_the_port_of_the_one_it_replaces(machine: MachineDriver) -> None:
    deployed(machine, 1, port=8080)
    machine.host("w2")
    new = deploy(machine, 2, port=8080)
    machine.do(ExpireWorker(worker=WorkerId("w2"), incarnation=1))
    here = AssignAttempt(run=new, job=WEB, worker=WorkerId("w1"))
    assert machine.refuse(here) == "port_taken"
    assert states(machine, new) == ["PENDING"]


def test_only_one_replacement_at_a_time(machine: MachineDriver) -> None:
    deployed(machine, 1)
    deploy(machine, 2)
    assert machine.refuse(order(3)) == "rollout_in_progress"
    assert machine.do(order(2)) == "v2"  # a repeat


def test_a_service_of_an_ordinary_run_is_replaced_if_there_is_one_only(
    machine: MachineDriver,
) -> None:
    first = machine.submit([service()])
    second = machine.submit([service()])
    assert machine.refuse(order(1)) == "ambiguous"
    machine.do(StopService(run=first, job=WEB))
    deployed(machine, 2)
    assert states(machine, second) == ["COMPLETED"]


def test_what_is_no_service_cannot_be_deployed(machine: MachineDriver) -> None:
    assert machine.refuse(order(1, job("plain"))) == "invalid"
    assert machine.refuse(order(1, service(port=-1))) == "invalid_job"
    assert not machine.state.runs


def test_stopping_the_old_version_leaves_the_new_one_to_come(machine: MachineDriver) -> None:
    old, _ = deployed(machine, 1)
    new = deploy(machine, 2)
    machine.do(StopService(run=old, job=WEB))
    healthy(machine, machine.assign(new, "web"))
    assert current(machine).run == new
    machine.do(StopService(run=new, job=WEB))
    assert machine.state.services == {}


def test_a_replacement_goes_on_from_a_snapshot(machine: MachineDriver) -> None:
    old, _ = deployed(machine, 1, port=8080)
    new = deploy(machine, 2, port=8080)
    other = Machine()
    other.restore(list(machine.machine.freeze()))
    assert other.state == machine.state
    machine.machine = other
    machine.wait(WAIT_MS)
    machine.wait(1)
    healthy(machine, machine.assign(old, "web"))
    assert states(machine, old, new) == ["RUNNING", "FAILED"]
