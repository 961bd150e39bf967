"""Pools and launches: recorded first, never above the maximum, one worker each, taken down in the end."""

from __future__ import annotations

from typing import Any

import pytest

from tests.fsm.driver import MachineDriver, job
from titan.fsm import commands as c
from titan.fsm.queries import ListPools, PoolView
from titan.fsm.records.pools import ASKED, ENDING, JOINED, STARTED
from titan.fsm.snapshot import decode
from titan.fsm.views import read
from titan.ids import WorkerId
from titan.limits import POOLS_MAX

HOOK = "https://fleet.example/titan"


def pool(machine: MachineDriver, name: str = "p", **fields: Any) -> None:
    machine.do(c.SetPool(name=name, **({"workers_max": 3} | fields)))


def launch(machine: MachineDriver, *names: str, pool: str = "p") -> int:
    count = machine.do(c.RecordLaunch(pool=pool, launches=names))
    assert isinstance(count, int)
    return count


def states(machine: MachineDriver) -> dict[str, str]:
    return {launch.id: launch.state for launch in machine.state.launches.values()}


def view(machine: MachineDriver, name: str = "p") -> PoolView:
    return next(one for one in read(machine.state, ListPools()) if one.name == name)


def test_a_launch_becomes_a_worker_of_its_pool(machine: MachineDriver) -> None:
    pool(machine)
    assert launch(machine, "l-1") == 1
    machine.do(c.SettleLaunch(launch="l-1", outcome="started", master="m1"))
    assert states(machine) == {"l-1": STARTED}
    machine.join("w1", launch="l-1", ephemeral=True)
    assert states(machine) == {"l-1": JOINED}
    worker = machine.state.workers[WorkerId("w1")]
    assert (worker.pool, worker.ephemeral) == ("p", True)
    assert (view(machine).workers, view(machine).starting) == (1, 0)


def test_a_repeated_order_launches_once(machine: MachineDriver) -> None:
    pool(machine, workers_max=1)
    assert launch(machine, "l-1") == 1
    assert launch(machine, "l-1") == 0
    assert machine.refuse(c.RecordLaunch(pool="p", launches=("l-2",))) == "pool_full"


def test_a_launch_lets_one_worker_in_and_refuses_the_second(machine: MachineDriver) -> None:
    pool(machine)
    launch(machine, "l-1")
    machine.join("w1", launch="l-1")
    second = c.JoinWorker(worker=WorkerId("w2"), incarnation=1, launch="l-1")
    assert machine.refuse(second) == "launch_over"
    machine.join("w1", launch="l-1")  # the same one, on another connection
    machine.join("w1", launch="l-1", incarnation=2)


def test_a_worker_that_does_not_come_in_time_is_a_failure(machine: MachineDriver) -> None:
    pool(machine, register_ms=5_000)
    launch(machine, "l-1")
    machine.wait(4_999)
    assert states(machine) == {"l-1": ASKED}
    machine.wait(1)
    assert states(machine) == {"l-1": ENDING}
    assert view(machine).failures == 1
    late = c.JoinWorker(worker=WorkerId("w1"), incarnation=1, launch="l-1")
    assert machine.refuse(late) == "launch_over"
    assert launch(machine, "l-2", "l-3", "l-4") == 3  # it takes nobody's place
    machine.join("w2", launch="l-2")
    assert view(machine).failures == 0


def test_a_provider_that_fails_is_remembered_until_a_worker_comes(machine: MachineDriver) -> None:
    pool(machine)
    launch(machine, "l-1")
    machine.do(c.SettleLaunch(launch="l-1", outcome="failed", why="no quota"))
    assert (view(machine).failures, view(machine).last_error) == (1, "no quota")
    machine.do(c.SettleLaunch(launch="l-1", outcome="ended"))
    assert states(machine) == {}
    assert machine.refuse(c.SettleLaunch(launch="l-1", outcome="ended")) == "unknown_launch"


def test_what_a_provider_says_after_the_worker_came_changes_nothing(machine: MachineDriver) -> None:
    pool(machine)
    launch(machine, "l-1")
    machine.join("w1", launch="l-1")
    for outcome in ("started", "failed", "ended"):
        machine.do(c.SettleLaunch(launch="l-1", outcome=outcome))
    assert states(machine) == {"l-1": JOINED}
    assert view(machine).failures == 0


@pytest.mark.parametrize("cause", ["left", "silent"])
def test_a_worker_that_is_gone_leaves_its_launch_to_be_taken_down(
    machine: MachineDriver, cause: str
) -> None:
    pool(machine)
    launch(machine, "l-1")
    machine.join("w1", launch="l-1", ephemeral=True)
    machine.do(c.ExpireWorker(worker=WorkerId("w1"), incarnation=1, cause=cause))
    assert states(machine) == {"l-1": ENDING}
    assert (WorkerId("w1") in machine.state.workers) == (cause == "silent")
    back = c.JoinWorker(worker=WorkerId("w1"), incarnation=1, launch="l-1")
    assert machine.refuse(back) == "launch_over"  # its place may be taken


def test_a_removed_pool_drains_its_workers_and_goes_with_the_last(machine: MachineDriver) -> None:
    pool(machine)
    launch(machine, "l-1", "l-2")
    machine.join("w1", launch="l-1", ephemeral=True)
    machine.do(c.RemovePool(name="p"))
    assert machine.state.workers[WorkerId("w1")].mode == "draining"
    assert states(machine) == {"l-1": JOINED, "l-2": ENDING}
    assert machine.refuse(c.RecordLaunch(pool="p", launches=("l-3",))) == "unknown_pool"
    assert view(machine).state == "removed"
    machine.do(c.ExpireWorker(worker=WorkerId("w1"), incarnation=1, cause="left"))
    for name in ("l-1", "l-2"):
        machine.do(c.SettleLaunch(launch=name, outcome="ended"))
    assert machine.state.pools == {}


def test_a_pool_that_is_set_again_keeps_its_secret_and_forgets_its_failures(
    machine: MachineDriver,
) -> None:
    pool(machine, provider="webhook", url=HOOK, secret="hush")
    launch(machine, "l-1")
    machine.do(c.SettleLaunch(launch="l-1", outcome="failed", why="no"))
    assert machine.do(c.SetPool(name="p", provider="webhook", url=HOOK + "2")) == "changed"
    kept = machine.state.pools["p"]
    assert (kept.secret, kept.url, kept.failures) == ("hush", HOOK + "2", 0)
    assert (
        machine.refuse(c.SetPool(name="p")) == "invalid"
    )  # another provider, while it has launches


def test_a_secret_is_in_no_view_and_in_no_text(machine: MachineDriver) -> None:
    url = HOOK + "?token=hush"
    order = c.SetPool(name="p", provider="webhook", url=url, secret="hush")
    machine.do(order)
    assert view(machine).url == HOOK + "?…"
    shown = (repr(order), repr(machine.state.pools["p"]), repr(view(machine)))
    assert not [text for text in shown if "hush" in text]


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": ""},
        {"name": "a b"},
        {"provider": "cloud"},
        {"workers_min": 2, "workers_max": 1},
        {"workers_max": 5000},
        {"slots": 0},
        {"resources": {"gpus": -1}},
        {"register_ms": 0},
        {"idle_ms": -1},
        {"capabilities": ("a,b",)},
        {"secret": "s"},
        {"provider": "webhook", "url": HOOK},
        {"provider": "webhook", "url": "ftp://a/", "secret": "s"},
        {"provider": "webhook", "url": "http://", "secret": "s"},
        {"provider": "webhook", "url": "http://me:pw@a/", "secret": "s"},
        {"provider": "webhook", "url": "http://[::1", "secret": "s"},
        {"provider": "webhook", "url": "http://a:x/", "secret": "s"},
    ],
)
def test_what_no_pool_can_be_is_refused(machine: MachineDriver, wrong: dict[str, Any]) -> None:
    assert machine.refuse(c.SetPool(**({"name": "p"} | wrong))) == "invalid"


def test_there_is_a_limit_of_pools(machine: MachineDriver) -> None:
    for number in range(POOLS_MAX):
        machine.do(c.SetPool(name=f"p{number}"))
    assert machine.refuse(c.SetPool(name="more")) == "too_large"
    machine.do(c.SetPool(name="p0", workers_max=2))


def test_pools_and_launches_survive_a_snapshot(machine: MachineDriver) -> None:
    pool(machine, provider="webhook", url=HOOK, secret="hush")
    launch(machine, "l-1", "l-2")
    machine.join("w1", launch="l-1", ephemeral=True, idle_ms=7)
    restored = decode(machine.machine.freeze())
    assert restored.pools == machine.state.pools
    assert restored.launches == machine.state.launches
    assert restored.workers == machine.state.workers


# --- retiring ---------------------------------------------------------------------------------------------


def retire(worker: str, incarnation: int = 1) -> c.RetireWorker:
    return c.RetireWorker(worker=WorkerId(worker), incarnation=incarnation)


def test_only_an_idle_ephemeral_worker_retires(machine: MachineDriver) -> None:
    machine.join("w1")
    assert machine.refuse(retire("w1")) == "permanent"
    machine.join("w2", ephemeral=True)
    assert machine.refuse(retire("w2", incarnation=9)) == "unknown_worker"
    run = machine.submit([job("a")])
    machine.assign(run, "a", "w2")
    assert machine.refuse(retire("w2")) == "worker_busy"
    machine.join("w3", ephemeral=True)
    machine.do(retire("w3"))
    assert machine.state.workers[WorkerId("w3")].mode == "draining"
