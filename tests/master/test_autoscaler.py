"""The leader's autoscaler over the real state machine: what it records, what it calls, what it repeats."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, cast

import pytest

from tests.fsm.driver import MachineDriver, job
from titan.consensus.api import Role
from titan.fsm.commands import (
    Command,
    ExpireWorker,
    OpenEpoch,
    RecordLaunch,
    SetPool,
    SettleLaunch,
)
from titan.ids import WorkerId
from titan.limits import SATURATED_MS
from titan.master.autoscaler import OTHERS_PATIENCE_MS, Autoscaler
from titan.master.proposer import Answer, Settled
from titan.master.providers import strays
from titan.master.providers.base import Order, ProviderFailed
from titan.master.providers.local import LocalProvider, end_launched, launched_home
from titan.master.providers.strays import Strays
from titan.sched.planner import Planner


class Calls:
    """A provider that notes what it is asked, and holds or fails as it is told."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.error = ""

    async def launch(self, order: Order) -> None:
        self.asked.append(("launch", order.launch))
        await self.gate.wait()
        if self.error:
            raise ProviderFailed(self.error)

    async def end(self, order: Order) -> None:
        self.asked.append(("end", order.launch))


class Leader:
    """One reign over a machine that other reigns share."""

    def __init__(self, machine: MachineDriver, provider: Calls, *, address: str = "m1") -> None:
        self.machine = machine
        self.planner = Planner(machine.state)
        self.refuses = False
        self.scaler = Autoscaler(
            state=lambda: machine.state,
            submit=self.submit,
            providers={"local": provider, "webhook": provider},
            address=address,
            now_ms=lambda: machine.now_ms,
        )

    def submit(self, command: Command) -> Answer:
        answer: Answer = asyncio.get_running_loop().create_future()
        if not self.refuses:
            outcome = self.machine.apply(command)
            self.planner.observe(self.machine.events)
            self.scaler.observe(self.machine.events)
            answer.set_result(Settled(self.machine.state.index, outcome))
        return answer

    async def look(self, *, after_ms: int = 250) -> None:
        self.machine.now_ms += after_ms
        self.planner.plan(now_ms=self.machine.now_ms, limit=100)
        self.scaler.look(self.planner)
        for _ in range(5):
            await asyncio.sleep(0)


def states(machine: MachineDriver) -> list[str]:
    return [launch.state for launch in machine.state.launches.values()]


@pytest.fixture
def machine() -> MachineDriver:
    made = MachineDriver()
    made.do(SetPool(name="p", workers_max=2, idle_ms=1_000, cooldown_ms=0))
    return made


@pytest.fixture
async def calls() -> Calls:
    return Calls()


async def test_a_queue_leads_to_a_launch_and_idleness_to_a_retirement(
    machine: MachineDriver, calls: Calls
) -> None:
    leader = Leader(machine, calls)
    run = machine.submit([job("a")])
    leader.planner.observe(machine.events)
    await leader.look()
    assert calls.asked == []
    await leader.look(after_ms=SATURATED_MS)
    await leader.look()
    ((_, launch),) = calls.asked
    assert states(machine) == ["started"]
    await leader.look()
    machine.join("w1", launch=launch, ephemeral=True)
    machine.run_job(run, "a")
    leader.planner = Planner(machine.state)
    await leader.look()
    assert states(machine) == ["joined"]
    await leader.look(after_ms=999)
    assert machine.state.workers[WorkerId("w1")].mode == "open"
    await leader.look(after_ms=1)
    await leader.look()
    assert machine.state.workers[WorkerId("w1")].mode == "draining"
    machine.do(ExpireWorker(worker=WorkerId("w1"), incarnation=1, cause="left"))
    await leader.look()
    assert calls.asked[1:] == [("end", launch)]
    assert states(machine) == []


async def test_a_new_leader_repeats_the_call_that_nobody_heard_the_answer_of(
    machine: MachineDriver, calls: Calls
) -> None:
    machine.do(SetPool(name="h", provider="webhook", url="http://h/", secret="s", workers_min=1))
    calls.gate.clear()
    dying = Leader(machine, calls)
    await dying.look()
    await dying.look()
    (launch,) = machine.state.launches
    assert calls.asked == [("launch", launch)]
    await dying.scaler.close()
    calls.gate.set()
    machine.epoch = 2
    machine.do(OpenEpoch(epoch=2, leader="m2"))
    heir = Leader(machine, calls, address="m2")
    await heir.look()
    assert calls.asked == [("launch", launch)] * 2
    await heir.look()
    assert states(machine) == ["started"]
    await heir.look()
    assert len(calls.asked) == 2


async def test_what_another_master_may_have_started_on_its_machine_is_given_time_to_come(
    machine: MachineDriver, calls: Calls
) -> None:
    machine.do(RecordLaunch(pool="p", launches=("l-1",), master="m1"))
    heir = Leader(machine, calls, address="m2")
    await heir.look()
    assert calls.asked == []
    await heir.look(after_ms=OTHERS_PATIENCE_MS)
    assert calls.asked == [("launch", "l-1")]


async def test_a_launch_that_a_person_asked_for_is_called_at_once(
    machine: MachineDriver, calls: Calls
) -> None:
    machine.do(RecordLaunch(pool="p", launches=("l-1",)))
    await Leader(machine, calls).look()
    assert calls.asked == [("launch", "l-1")]


async def test_a_provider_that_fails_is_told_to_the_state_and_taken_down(
    machine: MachineDriver, calls: Calls
) -> None:
    calls.error = "no quota"
    machine.do(RecordLaunch(pool="p", launches=("l-1",)))
    leader = Leader(machine, calls)
    for _ in range(3):
        await leader.look()
    pool = machine.state.pools["p"]
    assert (pool.failures, pool.last_error) == (1, "no quota")
    assert calls.asked == [("launch", "l-1"), ("end", "l-1")]
    assert states(machine) == []


async def test_nothing_is_proposed_twice_while_the_log_is_slow(
    machine: MachineDriver, calls: Calls
) -> None:
    machine.do(SetPool(name="p", workers_min=2, workers_max=2))
    leader = Leader(machine, calls)
    leader.refuses = True  # it neither takes nor answers
    proposed: list[Command] = []
    submit = leader.submit
    leader.scaler._submit = lambda command: (proposed.append(command), submit(command))[1]
    for _ in range(4):
        await leader.look()
    assert len(proposed) == 1


# --- processes that nobody knows ----------------------------------------------------------------------


class Status:
    role = Role.FOLLOWER
    leader = "m:1"
    heard_ms_ago = 0


class FakeRaft:
    status = Status()


@pytest.fixture
async def local(tmp_path: Path) -> AsyncIterator[LocalProvider]:
    made = LocalProvider(launched_home(tmp_path), masters=lambda: ("127.0.0.1:1",))
    yield made
    await asyncio.to_thread(end_launched, tmp_path)
    assert made.running() == []


def order(launch: str) -> Order:
    return Order(
        launch=launch, pool="p", capabilities=(), slots=1, resources={}, ephemeral=True, idle_ms=0
    )


async def test_a_process_whose_launch_is_over_is_ended_and_a_known_one_is_kept(
    machine: MachineDriver, local: LocalProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(strays, "PATIENCE_S", 0.0)
    machine.do(RecordLaunch(pool="p", launches=("l-known", "l-over")))
    machine.do(SettleLaunch(launch="l-over", outcome="failed"))
    for name in ("l-known", "l-over", "l-stray"):
        await local.launch(order(name))
    raft = FakeRaft()
    watch = Strays(local, cast(Any, raft), cast(Any, machine))
    raft.status.heard_ms_ago = 5_000
    await watch.look()
    assert len(local.running()) == 3  # an old state proves nothing
    raft.status.heard_ms_ago = 0
    await watch.look()
    assert [folder.launch for folder in local.running()] == ["l-known"]


async def test_a_local_worker_that_dies_before_it_registers_has_failed_at_once(
    machine: MachineDriver, local: LocalProvider
) -> None:
    machine.do(RecordLaunch(pool="p", launches=("l-1",)))
    leader = Leader(machine, cast(Any, local))

    async def until(holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not holds():
                await asyncio.sleep(0.01)
                await leader.look()

    await until(lambda: states(machine) == ["started"])
    process = local.folder("l-1").process()
    assert process is not None
    process.kill()
    await until(lambda: machine.state.pools["p"].failures == 1)
    assert "process ended" in machine.state.pools["p"].last_error
    await until(lambda: states(machine) == [])
