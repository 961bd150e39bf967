"""The audit: what people ordered, told once each, bounded, and the same after a snapshot."""

from __future__ import annotations

from typing import Any

import pytest

from tests.fsm.driver import MachineDriver, job
from titan import limits
from titan.fsm import audit
from titan.fsm.commands import (
    AnyClientCommand,
    CancelRun,
    KvDelete,
    KvPut,
    NoteOrder,
    PauseSchedule,
    RecordLaunch,
    SavePipeline,
    SendSignal,
    SetPool,
    SetSchedule,
    SetWorkerMode,
    SubmitRun,
)
from titan.fsm.machine import Machine
from titan.fsm.queries.audit import ListOrders, OrderView
from titan.fsm.views import read
from titan.ids import RunId
from titan.spec.model import ScheduleSpec

ADA, BOB = "cli ada@laptop", "sdk etl.py bob@server"


def told(machine: MachineDriver, **query: Any) -> list[tuple[str, str, str]]:
    found: list[OrderView] = read(machine.state, ListOrders(**query))
    return [(one.who, one.action, one.object) for one in found]


def put(key: str) -> KvPut:
    return KvPut(key=key, value=b"secret")


def test_an_order_is_told_with_who_gave_it_and_to_what(machine: MachineDriver) -> None:
    machine.join("w1")
    run = RunId("r-1")
    machine.do(SubmitRun(run=run, name="etl", jobs=(job("a"), job("b"))), who=BOB)
    machine.now_ms += 1000
    machine.do(SetWorkerMode(worker="w1", mode="draining", timeout_ms=5), who=ADA)  # type: ignore[arg-type]
    machine.do(SendSignal(run=run, name="go", payload=b"1"), who=ADA)
    machine.do(CancelRun(run=run), who=ADA)
    assert told(machine) == [
        (ADA, "run.cancel", run),
        (ADA, "signal.send", run),
        (ADA, "worker.mode", "w1"),
        (BOB, "run.submit", run),
    ]
    newest, _, drained, submitted = read(machine.state, ListOrders())
    assert (submitted.detail, drained.detail) == ("etl: 2 jobs", "draining within 5 ms")
    assert newest.at_ms == submitted.at_ms + 1000
    assert told(machine, who="BOB@") == [(BOB, "run.submit", run)]
    assert told(machine, object="w1", kind="worker") == [(ADA, "worker.mode", "w1")]
    assert told(machine, until_ms=newest.at_ms) == [(BOB, "run.submit", run)]
    assert len(told(machine, since_ms=newest.at_ms)) == 3
    assert told(machine, action="run.cancel", before=newest.number) == []
    assert told(machine, limit=1, before=newest.number) == [(ADA, "signal.send", run)]


def test_an_order_about_masters_is_told_as_the_leader_notes_it(machine: MachineDriver) -> None:
    note = NoteOrder(action="leader.transfer", master="m1:9040", detail="to m2:9040")
    machine.do(note, who=ADA)
    [order] = read(machine.state, ListOrders(kind="master"))
    assert (order.who, order.action) == (ADA, "leader.transfer")
    assert (order.object, order.detail) == ("m1:9040", "to m2:9040")


def test_what_the_leader_and_tasks_do_is_not_told(machine: MachineDriver) -> None:
    run = machine.submit([job("a"), job("b")])
    attempt = machine.assign(run, "a")
    machine.do(put("k"), client="c", request=1, attempt=attempt)
    machine.run_job(run, "b", exit_code=0)
    assert told(machine) == []


def test_what_had_no_effect_is_not_told(machine: MachineDriver) -> None:
    machine.refuse(CancelRun(run=RunId("r-none")), who=ADA)
    machine.do(KvDelete(key="absent"), who=ADA)
    submit = SubmitRun(run=RunId("r-1"), name="etl", jobs=(job("a"),))
    for _ in range(2):
        machine.do(submit, who=ADA)  # the same run id again has no effect
        machine.do(put("k"), client="c", request=1, who=ADA)  # a repeat
    machine.do(KvPut(key=f"{audit.DRAFTS}x", value=b"name: x"), who="dashboard ada")
    assert [each[1] for each in told(machine)] == ["kv.put", "run.submit"]


def test_secrets_and_values_are_never_told(machine: MachineDriver) -> None:
    machine.do(put("k"), who=ADA)
    pool = SetPool(name="p", provider="webhook", url="http://x/", secret="secret", workers_max=3)
    machine.do(pool, who=ADA)
    machine.do(RecordLaunch(pool="p", launches=("l-1",)), who=ADA)
    assert "secret" not in repr(machine.state.orders)
    assert [each.detail for each in read(machine.state, ListOrders(kind="pool"))] == [
        "launch 1",
        "made: 0 to 3 workers",
    ]


def test_a_flood_of_keys_does_not_push_out_other_orders(
    machine: MachineDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit, "AUDIT_KEPT_PER_KIND", 3)
    machine.join("w1")
    machine.do(SetWorkerMode(worker="w1", mode="cordoned"), who=ADA)  # type: ignore[arg-type]
    for n in range(5):
        machine.do(put(f"k{n}"), who=BOB)
    assert [each[2] for each in told(machine)] == ["k4", "k3", "k2", "w1"]


def test_long_names_are_cut_and_a_snapshot_keeps_every_line(machine: MachineDriver) -> None:
    machine.do(put("k" * 500), who=ADA)
    machine.do(put("short"), who=BOB)
    found = read(machine.state, ListOrders())
    assert len(found[1].object) == limits.AUDIT_CHARS_MAX
    restored = Machine()
    restored.restore(list(machine.machine.freeze()))
    assert read(restored.state, ListOrders()) == found
    assert restored.state.orders == machine.state.orders
    assert restored.state.next_order == machine.state.next_order == 3


def test_every_order_of_a_client_is_either_told_or_left_out_on_purpose() -> None:
    left_out = {
        "run.stage", "lock.acquire", "lock.renew", "lock.release", "signal.ack", "attempt.output",
        "attempt.progress", "effects.commit", "checkpoint.publish", "logs.keep", "budget.spend",
    }  # fmt: skip
    told_of = set(audit._TELLERS)
    silent = {
        kind.__struct_config__.tag for kind in AnyClientCommand.__args__ if kind not in told_of
    }
    assert silent == left_out


def test_a_pause_and_a_resume_are_two_things_to_people(machine: MachineDriver) -> None:
    jobs = (job("a"),)
    machine.do(SavePipeline(name="p", jobs=jobs), who=ADA)
    machine.do(SetSchedule(name="s", spec=ScheduleSpec(cron="0 6 * * *"), pipeline="p"), who=ADA)
    for is_paused in (True, True, False):
        machine.do(PauseSchedule(name="s", is_paused=is_paused), who=BOB)
    assert [each[1] for each in told(machine, kind="schedule")] == [
        "schedule.resume",
        "schedule.pause",
        "schedule.set",
    ]
