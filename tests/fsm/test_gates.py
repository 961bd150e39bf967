"""Gates: they wait for people, and one decision counts."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.fsm.driver import MachineDriver, gate, job
from tests.fsm.logs import steps_at_most
from titan.errors import NotFound
from titan.fsm.commands import (
    AddJobs,
    CancelJob,
    CancelRun,
    DecideGate,
    RetryJob,
    StageJobs,
    SubmitRun,
)
from titan.fsm.events import JobChanged, JobReady
from titan.fsm.gates import is_gate
from titan.fsm.outcomes import Rejected
from titan.fsm.queries import GateView, GetGate, GetOutput, ListGates
from titan.fsm.state import JobState, RunState
from titan.fsm.views import read
from titan.ids import JobId, RunId
from titan.spec.gates import with_gates
from titan.spec.model import Approvers, Input, JobSpec

ASKS = {"region": Input(choices=("eu", "us"), required=True), "n": Input("int", default=3)}


def decide(run: RunId, by: str = "ann", decision: str = "approve", **fields: Any) -> DecideGate:
    fields.setdefault("gate", JobId("ok"))
    return DecideGate(run=run, by=by, decision=decision, **fields)


def waiting(machine: MachineDriver, **fields: Any) -> RunId:
    """A run whose gate `ok` waits, with a child `after`."""
    run = machine.submit([gate("ok", **fields), job("after", "ok")])
    machine.wait(0)
    assert machine.states(run) == {"ok": "WAITING", "after": "PENDING"}
    return run


def test_a_gate_waits_for_its_trigger_then_for_people_and_for_no_worker(
    machine: MachineDriver,
) -> None:
    run = machine.submit([job("a"), gate("ok", "a", hitl_message="Ship?"), job("b", "ok")])
    assert machine.wait(0) == 0
    machine.run_job(run, "a")
    machine.wait(0)
    assert machine.run(run).state is RunState.WAITING
    assert machine.view(run, "ok").reason == "waits for approval: Ship?"
    assert machine.view(run, "ok").attempts == 0
    assert machine.job(run, "b").state is JobState.PENDING
    assert machine.do(decide(run)) == ["COMPLETED", 1, 1]
    assert machine.told(JobReady) == [JobReady(run, JobId("b"))]
    assert machine.view(run, "ok").reason == "approved by ann"
    assert read(machine.state, GetOutput(run=run, job="ok")) == b"{}"
    machine.run_job(run, "b")
    assert machine.run(run).state is RunState.COMPLETED


def test_a_running_job_elsewhere_outweighs_a_waiting_gate(machine: MachineDriver) -> None:
    run = machine.submit([gate("ok"), job("a")])
    machine.wait(0)
    assert machine.run(run).state is RunState.WAITING
    machine.assign(run, "a")
    assert machine.run(run).state is RunState.RUNNING


def test_a_gate_is_never_given_to_a_worker(machine: MachineDriver) -> None:
    from titan.fsm.commands import AssignAttempt

    run = machine.submit([gate("ok")])
    worker = machine.join()
    assign = AssignAttempt(run=run, job=JobId("ok"), worker=worker)
    assert machine.refuse(assign) == "not_ready"
    machine.wait(0)
    assert machine.refuse(assign) == "not_ready"


def test_a_delay_comes_before_people_are_asked(machine: MachineDriver) -> None:
    run = machine.submit([gate("ok", delay_ms=500)])
    machine.wait(499)
    assert machine.states(run) == {"ok": "PENDING"}
    assert "delayed until" in machine.view(run, "ok").reason
    machine.wait(1)
    assert machine.states(run) == {"ok": "WAITING"}


def test_a_gate_that_nobody_decides_fails_by_committed_time(machine: MachineDriver) -> None:
    run = waiting(machine, max_wait_ms=60_000)
    machine.wait(59_999)
    assert machine.states(run)["ok"] == "WAITING"
    machine.wait(1)
    assert machine.states(run) == {"ok": "FAILED", "after": "SKIPPED"}
    assert machine.view(run, "ok").reason == "nobody decided within 60 s"
    assert machine.run(run).state is RunState.FAILED
    late = machine.apply(decide(run))
    assert isinstance(late, Rejected)
    assert late.code == "gate_decided"
    assert "FAILED" in late.why
    assert "nobody decided within 60 s" in late.why


def test_a_rejection_fails_the_gate_and_is_not_retried(machine: MachineDriver) -> None:
    run = machine.submit([gate("ok"), job("after", "ok"), job("undo", "ok", trigger="any_failed")])
    machine.wait(0)
    assert machine.do(decide(run, decision="reject", comment="too early")) == ["FAILED", 0, 1]
    assert machine.states(run) == {"ok": "FAILED", "after": "SKIPPED", "undo": "PENDING"}
    assert machine.view(run, "ok").reason == "rejected by ann: too early"
    assert machine.job(run, "ok").retries_used == 0
    machine.wait(100_000_000)
    assert machine.states(run)["ok"] == "FAILED"


def test_later_deciders_hear_who_decided_and_when(machine: MachineDriver) -> None:
    run = waiting(machine)
    machine.do(decide(run, "ann", role="lead"))
    machine.now_ms += 5000
    for late in (decide(run, "bob"), decide(run, "ann", "reject"), decide(run, "bob", "reject")):
        outcome = machine.apply(late)
        assert isinstance(outcome, Rejected)
        assert outcome.code == "gate_decided"
        assert "approved by ann (lead), at 2023-11-14T22:13:20.000Z" in outcome.why


def test_the_same_decision_again_has_no_effect(machine: MachineDriver) -> None:
    run = waiting(machine, approvers=Approvers(count=2))
    assert machine.do(decide(run)) == ["WAITING", 1, 2]
    assert machine.told(JobChanged) != []  # why it waits has changed
    assert machine.do(decide(run)) == ["WAITING", 1, 2]
    assert machine.told(JobChanged) == []
    machine.do(decide(run, "bob"))
    assert machine.do(decide(run)) == ["COMPLETED", 2, 2]
    assert [one.by for one in machine.view(run, "ok").decisions] == ["ann", "bob"]


def test_k_different_people_have_to_approve_and_one_can_reject(machine: MachineDriver) -> None:
    run = waiting(machine, approvers=Approvers(count=3))
    machine.do(decide(run, "ann"))
    machine.do(decide(run, "bob"))
    assert machine.view(run, "ok").reason == "waits for approval, has 2 of 3"
    assert machine.do(decide(run, "ann", "reject")) == ["FAILED", 1, 3]  # she changed her mind
    words = [(one.by, one.decision) for one in machine.view(run, "ok").decisions]
    assert words == [("bob", "approve"), ("ann", "reject")]


def test_too_few_approvals_in_time_say_how_many_there_were(machine: MachineDriver) -> None:
    run = waiting(machine, approvers=Approvers(count=2), max_wait_ms=1500)
    machine.do(decide(run))
    machine.wait(1500)
    assert machine.view(run, "ok").reason == "1 of 2 approvals within 1.5 s"
    assert machine.refuse(decide(run)) == "gate_decided"


@pytest.mark.parametrize(
    ("by", "role", "may"),
    [
        ("ann", "", True),
        ("bob", "", False),
        ("bob", "lead", True),
        ("bob", "guest", False),
    ],
)
def test_only_those_who_are_named_may_decide(
    machine: MachineDriver, by: str, role: str, may: bool
) -> None:
    run = waiting(machine, approvers=Approvers(users=("ann",), roles=("lead", "ops")))
    command = decide(run, by, role=role)
    if may:
        assert machine.do(command) == ["COMPLETED", 1, 1]
        return
    outcome = machine.apply(command)
    assert outcome == Rejected(
        "not_an_approver", "gate 'ok' is decided by users ann and roles lead, ops"
    )
    assert machine.states(run)["ok"] == "WAITING"


def test_answers_are_checked_filled_in_and_become_the_output(machine: MachineDriver) -> None:
    run = waiting(machine, form=ASKS)
    wrong = machine.apply(decide(run, answers={"region": "mars", "n": "many", "x": 1}))
    assert isinstance(wrong, Rejected)
    assert wrong.code == "invalid_answers"
    for part in ("region must be one of eu, us", "n must be a whole number", "'x' is unknown"):
        assert part in wrong.why
    missing = machine.apply(decide(run))
    assert isinstance(missing, Rejected)
    assert "region is required: one of eu, us" in missing.why
    assert machine.view(run, "ok").decisions == ()
    machine.do(decide(run, answers={"region": "eu"}))
    assert json.loads(read(machine.state, GetOutput(job="ok"))) == {"region": "eu", "n": 3}
    assert machine.view(run, "ok").decisions[0].answers == {"region": "eu"}


def test_several_approvers_fill_in_the_form_together(machine: MachineDriver) -> None:
    run = waiting(machine, form=ASKS, approvers=Approvers(count=2))
    machine.do(decide(run, "ann", answers={"n": "7"}))
    assert machine.refuse(decide(run, "bob")) == "invalid_answers"  # nobody has said where
    machine.do(decide(run, "bob", answers={"region": "us"}))
    assert json.loads(machine.job(run, "ok").output) == {"region": "us", "n": 7}


def test_answers_that_are_too_large_are_refused(machine: MachineDriver) -> None:
    run = waiting(machine, form={"text": Input()})
    assert machine.refuse(decide(run, answers={"text": "x" * 65_536})) == "too_large"


def test_a_gate_that_does_not_wait_yet_cannot_be_decided(machine: MachineDriver) -> None:
    run = machine.submit([job("a"), gate("ok", "a")])
    assert machine.refuse(decide(run)) == "not_ready"
    assert machine.refuse(decide(run, gate="a")) == "unknown_gate"
    assert machine.refuse(decide(RunId("r-none"))) == "unknown_run"
    assert machine.refuse(decide(run, by="")) == "invalid"
    assert machine.refuse(decide(run, decision="perhaps")) == "invalid"
    assert machine.refuse(decide(run, comment="x" * 3000)) == "too_large"


def test_cancelling_closes_a_gate(machine: MachineDriver) -> None:
    for command in (CancelRun, CancelJob):
        run = waiting(machine, max_wait_ms=1000)
        fields = {"job": JobId("ok")} if command is CancelJob else {}
        machine.do(command(run=run, **fields))
        assert machine.states(run) == {"ok": "CANCELLED", "after": "CANCELLED"}
        assert machine.refuse(decide(run)) == "gate_decided"
        assert machine.wait(1000) == 0
    assert read(machine.state, ListGates()) == []


def test_a_retry_opens_the_gate_again_and_keeps_what_was_decided(machine: MachineDriver) -> None:
    run = waiting(machine, max_wait_ms=1000)
    machine.do(decide(run, "ann", "reject"))
    machine.do(RetryJob(run=run, job=JobId("ok")))
    machine.wait(0)
    assert machine.states(run) == {"ok": "WAITING", "after": "PENDING"}
    machine.wait(999)
    assert machine.states(run)["ok"] == "WAITING"  # the time begins anew
    assert machine.do(decide(run, "ann")) == ["COMPLETED", 1, 1]
    words = [(one.decision, one.round) for one in machine.view(run, "ok").decisions]
    assert words == [("reject", 1), ("approve", 2)]


def test_the_gate_after_a_job_stands_between_it_and_its_children(machine: MachineDriver) -> None:
    specs = with_gates([job("a", hitl_message="Go on?"), job("b", "a")])
    run = machine.submit(specs)
    machine.run_job(run, "a")
    machine.wait(0)
    assert machine.states(run) == {"a": "COMPLETED", "hitl-gate-a": "WAITING", "b": "PENDING"}
    machine.do(decide(run, gate="a"))  # by the job's own name
    assert machine.told(JobReady) == [JobReady(run, JobId("b"))]


@pytest.mark.parametrize(
    ("trigger", "expected"),
    [
        ("all_success", "SKIPPED"),
        ("any_success", "SKIPPED"),
        ("none_failed", "SKIPPED"),
        ("any_failed", "ready"),
        ("all_done", "ready"),
    ],
)
def test_when_the_job_before_a_gate_fails_children_do_as_without_the_gate(
    machine: MachineDriver, trigger: str, expected: str
) -> None:
    specs = with_gates([job("a", hitl_message="?", retries=0), job("b", "a", trigger=trigger)])
    run = machine.submit(specs)
    machine.run_job(run, "a", exit_code=1)
    assert machine.states(run)["hitl-gate-a"] == "SKIPPED"
    ready = [event.job for event in machine.told(JobReady)]
    assert ("ready" if ready == ["b"] else machine.states(run)["b"]) == expected


@pytest.mark.parametrize(
    ("trigger", "expected"),
    [
        ("all_success", "SKIPPED"),
        ("any_success", "SKIPPED"),
        ("none_failed", "SKIPPED"),
        ("any_failed", "ready"),
        ("all_done", "ready"),
    ],
)
def test_a_rejection_is_a_failure_to_the_children(
    machine: MachineDriver, trigger: str, expected: str
) -> None:
    specs = with_gates([job("a", hitl_message="?"), job("b", "a", trigger=trigger)])
    run = machine.submit(specs)
    machine.run_job(run, "a")
    machine.wait(0)
    machine.do(decide(run, gate="hitl-gate-a", decision="reject"))
    ready = [event.job for event in machine.told(JobReady)]
    assert ("ready" if ready == ["b"] else machine.states(run)["b"]) == expected


def test_a_child_that_joins_later_waits_for_the_gate_too(machine: MachineDriver) -> None:
    run = machine.submit(with_gates([job("a", hitl_message="?")]))
    machine.run_job(run, "a")
    machine.wait(0)
    late = (job("b", "a"), job("c", "a", "hitl-gate-a"), job("d", "b"))
    machine.do(AddJobs(run=run, jobs=late))
    assert machine.job(run, "b").parents == machine.job(run, "c").parents == ("hitl-gate-a",)
    assert machine.states(run)["b"] == "PENDING"
    more = with_gates([job("e", "a", hitl_message="and this?"), job("f", "e")])
    machine.do(AddJobs(run=run, jobs=more))
    assert machine.job(run, "e").parents == ("hitl-gate-a",)
    assert machine.job(run, "f").parents == ("hitl-gate-e",)


def test_a_job_that_only_looks_like_a_gate_keeps_its_parents(machine: MachineDriver) -> None:
    run = machine.submit([job("a"), gate("hitl-gate-a", "a")])  # declared, not put there
    machine.do(AddJobs(run=run, jobs=(job("b", "a"),)))
    assert machine.job(run, "b").parents == ("a",)


def test_gates_open_in_staged_runs_as_well(machine: MachineDriver) -> None:
    run = RunId("r-00000000000000000abc")
    machine.do(StageJobs(run=run, part=0, jobs=(gate("g0"), gate("g1", delay_ms=9), job("a"))))
    machine.do(SubmitRun(run=run, name="n", jobs=(gate("g2", "a"),), parts=1))
    assert [event.job for event in machine.told(JobReady)] == ["a"]
    machine.wait(0)
    assert machine.states(run) == {
        "g0": "WAITING",
        "g1": "PENDING",
        "a": "PENDING",
        "g2": "PENDING",
    }
    machine.wait(9)
    assert machine.states(run)["g1"] == "WAITING"


def test_people_see_what_waits_for_them(machine: MachineDriver) -> None:
    old = waiting(machine, hitl_message="old?", form=ASKS)
    new = waiting(machine, approvers=Approvers(2, ("ann", "bob")))
    found: list[GateView] = read(machine.state, ListGates())
    assert [(one.run, one.id, one.message) for one in found] == [
        (new, "ok", "approve 'ok'?"),
        (old, "ok", "old?"),
    ]
    assert (found[0].wanted, found[0].users, found[1].form) == (2, ("ann", "bob"), ASKS)
    assert found[1].due_ms == found[1].opened_ms + 172_800_000
    assert [one.run for one in read(machine.state, ListGates(run=old))] == [old]


def test_a_bare_name_means_the_newest_run_where_it_waits(machine: MachineDriver) -> None:
    first = machine.submit(with_gates([job("a", hitl_message="?")]))
    second = machine.submit(with_gates([job("a", hitl_message="?")]))
    machine.submit([job("a")])  # the newest run has no gate at all
    assert read(machine.state, GetGate(gate="a")).run == second  # nobody waits: the newest
    machine.run_job(first, "a")
    machine.wait(0)
    for name in ("a", "hitl-gate-a", "DAG-a", "DAG-hitl-gate-a"):
        view = read(machine.state, GetGate(gate=name))
        assert (view.run, view.id, view.after) == (first, "hitl-gate-a", "a")
    with pytest.raises(NotFound):
        read(machine.state, GetGate(gate="nothing"))
    with pytest.raises(NotFound):
        read(machine.state, GetGate(gate="a", run="r-none"))


def test_what_is_remembered_of_earlier_rounds_is_bounded(machine: MachineDriver) -> None:
    run = waiting(machine)
    for _ in range(70):
        machine.do(decide(run, decision="reject"))
        machine.do(RetryJob(run=run, job=JobId("ok")))
        machine.wait(0)
    decisions = machine.view(run, "ok").decisions
    assert len(decisions) == 64
    assert decisions[-1].round == 70


@pytest.mark.parametrize(
    "fields",
    [
        {"argv": (b"true",)},
        {"max_wait_ms": 0},
        {"trigger": "never"},
        {"approvers": Approvers(count=0)},
        {"approvers": Approvers(count=2, users=("ann",))},
        {"approvers": Approvers(users=("",))},
        {"form": {"n": Input("opera")}},
        {"form": {"n": Input("int", default="x")}},
        {"form": {"n": Input(default="z", choices=("x",))}},
        {"form": {"n": Input(choices=(1,))}},
    ],
)
def test_a_gate_that_cannot_be_is_refused(machine: MachineDriver, fields: dict[str, Any]) -> None:
    submit = SubmitRun(run=RunId("r-00000000000000000abc"), name="n", jobs=(gate("g", **fields),))
    assert machine.refuse(submit) == "invalid_job"


def test_many_gates_open_a_few_at_a_time(
    machine: MachineDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("titan.fsm.clock.TIMERS_PER_ENTRY_MAX", 3)
    run = machine.submit([gate(f"g{n}") for n in range(7)])
    opened = []
    for _ in range(3):
        machine.wait(0)
        opened.append(machine.run(run).counts.get(JobState.WAITING, 0))
    assert opened == [3, 6, 7]


def test_the_declaration_of_a_gate_is_kept(machine: MachineDriver) -> None:
    from titan.fsm.queries import GetJobSpec

    run = waiting(machine, form=ASKS, hitl_message="?")
    spec = read(machine.state, GetJobSpec(run=run, job=JobId("ok")))
    assert spec == JobSpec(id=JobId("ok"), type="gate", form=ASKS, hitl_message="?")
    assert is_gate(machine.job(run, "ok"))
    assert not is_gate(machine.job(run, "after"))


def test_a_snapshot_that_is_being_drawn_does_not_see_a_gate_open_again(
    machine: MachineDriver,
) -> None:
    run = waiting(machine)
    machine.do(decide(run, decision="reject"))
    blocks = machine.machine.freeze().at_once()
    before = machine.view(run, "ok").decisions
    machine.do(RetryJob(run=run, job=JobId("ok")))
    machine.wait(0)
    machine.do(decide(run, "bob"))
    restored = MachineDriver()
    restored.machine.restore(blocks)
    assert restored.states(run) == {"ok": "FAILED", "after": "SKIPPED"}
    assert restored.view(run, "ok").decisions == before


def test_a_gate_that_times_out_in_the_middle_of_a_cancel_fails_after_it(
    machine: MachineDriver,
) -> None:
    run = machine.submit(
        [
            gate("ok", max_wait_ms=100),
            job("after", "ok"),
            job("root"),
            *(job(f"c{n}", "root") for n in range(9)),
        ]
    )
    machine.wait(0)
    with steps_at_most(1):
        machine.do(CancelJob(run=run, job=JobId("root")))
        machine.wait(100)
        assert run in machine.state.unsettled
        assert machine.states(run)["ok"] == "WAITING"
        for _ in range(40):
            machine.wait(0)
    assert machine.states(run)["ok"] == "FAILED"
    assert machine.states(run)["after"] == "SKIPPED"
