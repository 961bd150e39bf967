"""What a worker is told of an attempt beyond the job's own declaration."""

from __future__ import annotations

from typing import Any

import pytest

from tests.fsm.driver import MachineDriver, job
from titan.fsm.commands import DeployServices, FinishAttempt, SetServiceHealth
from titan.ids import AttemptId, JobId, RunId
from titan.master.dispatch import run_message, variable_of
from titan.spec.model import Call, JobSpec


@pytest.fixture
def machine() -> MachineDriver:
    made = MachineDriver()
    made.host("w1")
    return made


def service(name: str, *parents: str, **fields: Any) -> JobSpec:
    return job(name, *parents, type="service", **fields)


def env(machine: MachineDriver, attempt: AttemptId) -> dict[str, str]:
    return run_message(machine.state, machine.state.attempts[attempt], epoch=1).env


def address(machine: MachineDriver, attempt: AttemptId) -> str:
    live = machine.state.attempts[attempt]
    return f"10.0.0.1:{live.port}"


def test_names_of_services_become_names_of_variables() -> None:
    assert variable_of("web") == "TITAN_SERVICE_WEB"
    assert variable_of("my-db.v2_x") == "TITAN_SERVICE_MY_DB_V2_X"


def test_a_job_learns_where_its_services_are_and_no_others(machine: MachineDriver) -> None:
    run = machine.submit([service("my-db"), service("web"), job("a"), job("user", "my-db", "a")])
    db, _ = machine.assign(run, "my-db"), machine.assign(run, "web")
    machine.do(SetServiceHealth(attempt=db, health="healthy"))
    machine.run_job(run, "a")
    user = machine.assign(run, "user")
    assert env(machine, user) == {"TITAN_SERVICE_MY_DB": address(machine, db)}
    assert run_message(machine.state, machine.state.attempts[db], epoch=1).port >= 31_000
    assert run_message(machine.state, machine.state.attempts[user], epoch=1).port == 0


def test_a_service_that_is_down_is_looked_for_where_it_was(machine: MachineDriver) -> None:
    run = machine.submit([service("web"), job("user", "web")])
    web = machine.assign(run, "web")
    where = address(machine, web)
    machine.do(SetServiceHealth(attempt=web, health="healthy"))
    machine.do(FinishAttempt(attempt=web, exit_code=1))
    assert env(machine, machine.assign(run, "user")) == {"TITAN_SERVICE_WEB": where}


def test_a_service_that_was_replaced_is_looked_for_at_its_successor(
    machine: MachineDriver,
) -> None:
    run = machine.submit([service("web"), job("slow"), job("user", "web", "slow")])
    machine.do(SetServiceHealth(attempt=machine.assign(run, "web"), health="healthy"))
    new = RunId("v2")
    machine.do(DeployServices(run=new, name="web", jobs=(service("web"),), wait_ms=1000))
    web = machine.assign(new, "web")
    machine.do(SetServiceHealth(attempt=web, health="healthy"))
    machine.run_job(run, "slow")
    assert env(machine, machine.assign(run, "user")) == {"TITAN_SERVICE_WEB": address(machine, web)}


def call(name: str, *parents: str, inputs: tuple[str, ...] = (), **fields: Any) -> JobSpec:
    made = Call(module="m", name="f", args=b"x", inputs=tuple(map(JobId, inputs)))
    return job(name, *parents, call=made, argv=(), **fields)


def results(machine: MachineDriver, attempt: AttemptId) -> tuple[bytes, ...]:
    return run_message(machine.state, machine.state.attempts[attempt], epoch=1).results


def test_a_call_is_given_the_results_it_names_in_its_order(machine: MachineDriver) -> None:
    run = machine.submit(
        [call("a"), call("b"), call("c"), call("d", "a", "b", "c", inputs=("c", "a"))]
    )
    for name in "abc":
        attempt = machine.assign(run, name)
        machine.do(FinishAttempt(attempt=attempt, exit_code=0, output=name.encode()))
    assert results(machine, machine.assign(run, "d")) == (b"c", b"a")


def test_a_call_is_given_nothing_when_a_result_is_missing_or_all_are_too_large(
    machine: MachineDriver,
) -> None:
    names = [f"p{n}" for n in range(9)]
    run = machine.submit(
        [
            *(call(name, retries=0) for name in names),
            call("all", *names, inputs=tuple(names[1:]), trigger="all_done"),
            call("two", *names, inputs=("p0", "p1"), trigger="all_done"),
        ]
    )
    for name in names:
        attempt = machine.assign(run, name)
        machine.do(
            FinishAttempt(attempt=attempt, exit_code=int(name == "p0"), output=b"x" * 65_536)
        )
    assert len(results(machine, machine.assign(run, "all"))) == 8
    assert results(machine, machine.assign(run, "two")) == ()
