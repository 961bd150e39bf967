"""The dead-letter queue: who is in it, in which order, and how they leave it."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tests.fsm.driver import MachineDriver, job
from titan.errors import NotFound
from titan.fsm.commands import CancelRun, MutateRun, RetryJob
from titan.fsm.commands.mutation import Rerun
from titan.fsm.invariants import validate
from titan.fsm.machine import Machine
from titan.fsm.queries.graph import CountDead, DeadView, ListDead
from titan.fsm.views import read
from titan.ids import JobId, RunId
from titan.limits import FINISHED_KEEP_MS


def dead(machine: MachineDriver, **query: Any) -> list[str]:
    found: list[DeadView] = read(machine.state, ListDead(**query))
    return [one.job for one in found]


def die(machine: MachineDriver, run: RunId, name: str, **fields: Any) -> None:
    for _ in range(2):
        machine.run_job(run, name, exit_code=fields.get("exit_code", 3))
        machine.now_ms += 1


def mortal(name: str, *parents: str) -> Any:
    return job(name, *parents, retries=1, retry_backoff_ms=0)


def test_jobs_whose_retries_are_used_up_queue_in_the_order_of_their_deaths(
    machine: MachineDriver,
) -> None:
    one = machine.submit([mortal("a"), mortal("b"), job("failed", retries=0)])
    two = machine.submit([mortal("c"), job("after", "c")])
    for run, name in ((one, "b"), (two, "c")):
        die(machine, run, name)
    middle_ms = machine.now_ms
    die(machine, one, "a", exit_code=137)
    machine.run_job(one, "failed", exit_code=1)
    assert dead(machine) == ["a", "c", "b"]
    assert dead(machine, run=one) == ["a", "b"]
    assert dead(machine, since_ms=middle_ms) == ["a"]
    assert dead(machine, reason="exit code") == ["c", "b"]
    assert dead(machine, name="other") == []
    assert dead(machine, text="TEST") == ["a", "c", "b"]
    assert read(machine.state, CountDead(run=one)) == 2
    assert read(machine.state, CountDead(text="nobody")) == 0
    assert dead(machine, limit=1, after=f"{one}/a") == ["c"]
    with pytest.raises(NotFound):
        dead(machine, after=f"{one}/failed")
    found: DeadView = read(machine.state, ListDead())[1]
    assert (found.run, found.name, found.attempts, found.exit_code) == (two, "test", 2, 3)


def test_the_dead_leave_the_queue_when_they_run_again_or_are_forgotten(
    machine: MachineDriver,
) -> None:
    run = machine.submit([mortal("a"), mortal("b"), mortal("c")])
    for name in "abc":
        die(machine, run, name)
    machine.do(RetryJob(run=run, job=JobId("b")))
    assert dead(machine) == ["c", "a"]
    edits = tuple(Rerun(job=JobId(name), only_if="DEAD") for name in "ab")
    machine.do(MutateRun(run=run, edits=edits))
    assert dead(machine) == ["c"]
    assert machine.states(run)["b"] == "PENDING", "it ran again already and was left alone"
    machine.do(CancelRun(run=run))
    machine.wait(FINISHED_KEEP_MS + 1)
    assert not machine.state.runs
    assert dead(machine) == []


def test_a_restored_queue_has_its_order_and_an_old_snapshot_gets_one(
    machine: MachineDriver,
) -> None:
    run = machine.submit([mortal("a"), mortal("b")])
    for name in "ba":
        die(machine, run, name)
    blocks = list(machine.machine.freeze())
    old = [block for block in blocks[:-1] if b"dead" not in block[:6]]
    assert len(old) == len(blocks) - 2
    for kept in (blocks, [*old, msgspec.msgpack.encode(("end", len(old)))]):
        other = Machine()
        other.restore(kept)
        validate(other.state)
        assert list(other.state.dead) == [(run, "b"), (run, "a")]
    machine.state.version = 1  # an old master may be sent this one
    assert not [block for block in machine.machine.freeze() if b"dead" in block[:6]]
