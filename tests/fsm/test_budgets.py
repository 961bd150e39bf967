"""Budgets of trees of runs: who is under one, what is debited, and what happens at the limit."""

from __future__ import annotations

from typing import Any

import pytest

from tests.fsm.driver import MachineDriver, call, chain, job
from tests.fsm.logs import steps_at_most
from titan import limits
from titan.fsm.commands import (
    AddJobs,
    CancelRun,
    CommitEffects,
    DecideGate,
    FinishAttempt,
    KvPut,
    MutateRun,
    RetryJob,
    SavePipeline,
    SetBudget,
    Spend,
    StageJobs,
    SubmitRun,
    SubmitSaved,
)
from titan.fsm.commands.mutation import Add
from titan.fsm.machine import Machine
from titan.fsm.outcomes import Rejected
from titan.fsm.queries.budgets import (
    AgentRunView,
    BudgetView,
    GetAgentRun,
    GetBudget,
    ListAgentRuns,
    ListBudgets,
)
from titan.fsm.views import read
from titan.ids import AttemptId, JobId, RunId
from titan.limits import FINISHED_KEEP_MS
from titan.spec.budgets import BudgetSpec
from titan.spec.model import JobSpec

EXHAUSTED = "budget_exhausted"


def jobs(count: int, prefix: str = "j", **fields: Any) -> tuple[JobSpec, ...]:
    return tuple(job(f"{prefix}{n}", **fields) for n in range(count))


def budget(machine: MachineDriver, name: str) -> BudgetView:
    view = read(machine.state, GetBudget(budget=name))
    assert isinstance(view, BudgetView)
    return view


def add(run: RunId, *specs: JobSpec) -> AddJobs:
    return AddJobs(run=run, jobs=specs)


def why(machine: MachineDriver, command: Any, **proposal: Any) -> str:
    outcome = machine.apply(command, **proposal)
    assert isinstance(outcome, Rejected), outcome
    assert outcome.code == EXHAUSTED
    return outcome.why


def raised(name: str, count: int) -> SetBudget:
    return SetBudget(budget=name, limit=BudgetSpec(jobs=count))


# --- failing at the limit -------------------------------------------------------------------------


def test_what_is_beyond_the_limit_is_refused_with_all_figures(machine: MachineDriver) -> None:
    run = machine.submit(jobs(2), budget=BudgetSpec(jobs=4))
    machine.do(add(run, job("a")))
    text = why(machine, add(run, job("b"), job("c")))
    assert text == f"budget {run}: 3 of 4 jobs are spent, 2 more were asked for"
    assert len(machine.run(run).jobs) == 3, "nothing of it has happened"
    machine.do(add(run, job("b")))
    assert why(machine, add(run, job("c"))).startswith(f"budget {run}: 4 of 4 jobs")
    machine.do(raised(run, 5))
    machine.do(add(run, job("c")))
    assert budget(machine, run).jobs == 5


def test_a_run_larger_than_its_own_budget_is_refused(machine: MachineDriver) -> None:
    run = RunId("r-large")
    submit = SubmitRun(run=run, name="n", jobs=jobs(3), budget=BudgetSpec(jobs=2))
    assert machine.refuse(submit) == EXHAUSTED
    assert (machine.state.runs, machine.state.budgets) == ({}, {})


def test_a_staged_submission_is_debited_as_a_whole(machine: MachineDriver) -> None:
    run = RunId("r-staged")
    machine.do(StageJobs(run=run, part=0, jobs=jobs(3)))
    submit = SubmitRun(run=run, name="n", jobs=jobs(2, "k"), parts=1, budget=BudgetSpec(jobs=4))
    assert machine.refuse(submit) == EXHAUSTED
    machine.do(SubmitRun(run=run, name="n", jobs=jobs(2, "k"), parts=1, budget=BudgetSpec(jobs=5)))
    assert budget(machine, run).jobs == 5


def test_retries_cost_nothing(machine: MachineDriver) -> None:
    run = machine.submit(jobs(1, retries=0), budget=BudgetSpec(jobs=1))
    machine.run_job(run, "j0", exit_code=1)
    machine.do(RetryJob(run=run, job=JobId("j0")))
    machine.run_job(run, "j0")
    assert budget(machine, run).jobs == 1


def test_sub_runs_and_runs_that_tasks_submit_are_under_it(machine: MachineDriver) -> None:
    machine.do(SavePipeline(name="p", jobs=chain("a", "b")))
    run = machine.submit([call("sub", "p"), job("task")], budget=BudgetSpec(jobs=6, depth=2))
    machine.wait(0)
    child = machine.view(run, "sub").subrun
    assert budget(machine, run).jobs == 4
    inside = {"attempt": machine.assign(run, "task")}
    other = RunId("r-other")
    machine.do(SubmitRun(run=other, name="o", jobs=jobs(1)), **inside)
    view = machine.run_view(other)
    assert (view.caller_run, view.caller_job, view.budgets) == (run, "task", (run,))
    assert not view.parent_run, "it is a run of its own"
    assert "2 more" in why(machine, SubmitSaved(run=RunId("r-s"), name="p"), **inside)
    machine.do(add(child, job("c")))
    assert why(machine, add(other, job("c"))).startswith(f"budget {run}: 6 of 6 jobs")
    machine.do(SubmitRun(run=RunId("r-free"), name="o", jobs=jobs(9)))  # nobody's


def test_runs_nest_as_deep_as_the_budget_says(machine: MachineDriver) -> None:
    machine.join("w1", slots=9)
    run = machine.submit(jobs(1), budget=BudgetSpec(depth=1))
    below = RunId("r-below")
    machine.do(SubmitRun(run=below, name="o", jobs=jobs(1)), attempt=machine.assign(run, "j0"))
    inside = machine.assign(below, "j0")
    deeper = SubmitRun(run=RunId("r-deeper"), name="o", jobs=jobs(1))
    assert "nested 1 deep" in why(machine, deeper, attempt=inside)


def test_a_sub_run_that_cannot_be_paid_fails_its_job_with_the_reason(
    machine: MachineDriver,
) -> None:
    machine.do(SavePipeline(name="p", jobs=chain("a", "b")))
    run = machine.submit([call("sub", "p")], budget=BudgetSpec(jobs=2))
    machine.wait(0)
    assert machine.states(run) == {"sub": "FAILED"}
    assert "1 of 2 jobs are spent, 2 more" in machine.view(run, "sub").reason


def test_the_budget_of_a_saved_pipeline_is_each_of_its_runs(machine: MachineDriver) -> None:
    machine.do(SavePipeline(name="p", jobs=chain("a"), budget=BudgetSpec(jobs=2)))
    for name in ("r-1", "r-2"):
        machine.do(SubmitSaved(run=RunId(name), name="p"))
        machine.do(add(RunId(name), job("b")))
        assert machine.refuse(add(RunId(name), job("c"))) == EXHAUSTED


def test_jobs_of_a_mutation_are_debited_too(machine: MachineDriver) -> None:
    run = machine.submit(jobs(1), budget=BudgetSpec(jobs=2))
    two = MutateRun(run=run, edits=(Add(jobs=jobs(2, "k")),))
    assert "2 more were asked for" in why(machine, two)
    machine.do(MutateRun(run=run, edits=(Add(jobs=jobs(1, "k")),)))
    assert budget(machine, run).jobs == 2


# --- agent runs -----------------------------------------------------------------------------------


def agent(machine: MachineDriver, name: str) -> AgentRunView:
    view = read(machine.state, GetAgentRun(agent_run_id=name))
    assert isinstance(view, AgentRunView)
    return view


def test_an_agent_run_shares_one_budget_and_what_was_used_before_counts(
    machine: MachineDriver,
) -> None:
    first = machine.submit(jobs(2), agent_run_id="x")
    assert machine.do(SetBudget(budget="agent:x", limit=BudgetSpec(jobs=4))) == "made"
    second = machine.submit(jobs(1), agent_run_id="x")
    machine.submit(jobs(5), agent_run_id="y")
    machine.do(add(first, job("a")))
    assert why(machine, add(second, job("a"))).startswith("budget agent:x: 4 of 4 jobs")
    assert machine.do(raised("agent:x", 5)) == "changed"
    machine.do(add(second, job("a")))
    view = agent(machine, "x")
    assert [stage.run for stage in view.stages] == [first, second]
    assert (view.runs, view.jobs, view.over) == (2, {"PENDING": 5}, False)
    assert view.budget == budget(machine, "agent:x")
    listed = read(machine.state, ListAgentRuns())
    assert [one.id for one in listed] == ["x", "y"], "they began at the same time"
    assert [one.id for one in read(machine.state, ListAgentRuns(after="x"))] == ["y"]


def test_a_run_that_a_task_submits_joins_the_agent_run_of_its_caller(
    machine: MachineDriver,
) -> None:
    run = machine.submit(jobs(1), agent_run_id="x")
    machine.do(raised("agent:x", 3))
    inside = machine.assign(run, "j0")
    machine.do(SubmitRun(run=RunId("r-a"), name="o", jobs=jobs(1)), attempt=inside)
    elsewhere = SubmitRun(run=RunId("r-b"), name="o", jobs=jobs(2), agent_run_id="y")
    assert machine.refuse(elsewhere, attempt=inside) == EXHAUSTED, "that is no way out"
    assert [stage.parent_run for stage in agent(machine, "x").stages] == ["", run]


def test_a_run_without_a_budget_gets_none_later(machine: MachineDriver) -> None:
    run = machine.submit(jobs(1))
    assert machine.refuse(raised(run, 5)) == "unknown_budget"


def test_both_budgets_have_to_pay(machine: MachineDriver) -> None:
    machine.do(raised("agent:x", 3))
    run = machine.submit(jobs(2), agent_run_id="x", budget=BudgetSpec(jobs=9))
    assert machine.refuse(add(run, *jobs(2, "k"))) == EXHAUSTED
    assert (budget(machine, run).jobs, budget(machine, "agent:x").jobs) == (2, 2)


# --- queueing -------------------------------------------------------------------------------------


def test_jobs_beyond_the_limit_wait_until_it_is_raised(machine: MachineDriver) -> None:
    run = machine.submit(jobs(5), budget=BudgetSpec(jobs=2, on_limit="queue"))
    assert machine.view(run, "j2").reason == f"budget: 2 of 2 jobs ({run})"
    machine.wait(0)
    assert budget(machine, run).waiting == 3
    machine.join("w1", slots=9)
    machine.assign(run, "j1")
    assert machine.state.runs[run].jobs[JobId("j2")].unpaid
    machine.do(raised(run, 4))
    assert machine.view(run, "j2").reason == "budget: its turn to be paid comes next"
    machine.wait(0)
    assert [one.id for one in machine.run(run).jobs.values() if one.unpaid] == ["j4"]
    machine.assign(run, "j3")
    machine.do(SetBudget(budget=run, limit=BudgetSpec(jobs=-1)))
    machine.wait(0)
    assert (budget(machine, run).jobs, budget(machine, run).waiting) == (5, 0)


def test_a_delay_begins_when_the_job_is_paid(machine: MachineDriver) -> None:
    queue = BudgetSpec(jobs=0, on_limit="queue")
    run = machine.submit(jobs(1, delay_ms=500, queue_timeout_ms=100), budget=queue)
    machine.wait(10_000)
    machine.do(raised(run, 1))
    machine.wait(0)
    assert "delayed until" in machine.view(run, "j0").reason
    machine.wait(500)
    machine.run_job(run, "j0")


def test_a_waiting_job_that_is_cancelled_and_retried_still_has_to_be_paid(
    machine: MachineDriver,
) -> None:
    run = machine.submit(jobs(3), budget=BudgetSpec(jobs=1, on_limit="queue"))
    machine.do(CancelRun(run=run))
    machine.wait(0)
    assert budget(machine, run).waiting == 0
    machine.do(RetryJob(run=run, job=JobId("j2")))
    machine.wait(0)
    assert machine.view(run, "j2").reason == f"budget: 1 of 1 jobs ({run})"
    machine.do(raised(run, 2))
    machine.wait(0)
    machine.run_job(run, "j2")


def test_many_jobs_are_paid_over_several_entries(
    machine: MachineDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("titan.fsm.payments.PAID_PER_ENTRY", 3)
    run = machine.submit(jobs(8), budget=BudgetSpec(jobs=1, on_limit="queue"))
    machine.wait(0)
    machine.do(raised(run, 8))
    with steps_at_most(1):
        machine.wait(0)
        assert budget(machine, run).waiting == 4
        machine.wait(0)
        machine.wait(0)
    assert budget(machine, run).waiting == 0


# --- asking ---------------------------------------------------------------------------------------


def asking(machine: MachineDriver, count: int, most: int) -> tuple[RunId, str]:
    run = machine.submit(jobs(count), budget=BudgetSpec(jobs=most, on_limit="gate"))
    machine.wait(0)
    machine.wait(0)
    return run, f"budget-gate-{run}"


def test_a_gate_asks_for_more_and_an_amount_raises_the_limit(machine: MachineDriver) -> None:
    run, gate = asking(machine, 5, 2)
    assert machine.states(run)[gate] == "WAITING"
    view = budget(machine, run)
    assert (view.gate_run, view.gate, view.jobs, view.waiting) == (run, gate, 2, 3)
    decide = DecideGate(run=run, gate=gate, decision="approve", by="ann", answers={"jobs": 2})
    machine.do(decide)
    machine.wait(0)
    machine.wait(0)
    assert machine.states(run)[gate] == "COMPLETED"
    assert (budget(machine, run).jobs_max, budget(machine, run).waiting) == (4, 1)
    assert machine.states(run)[f"{gate}-2"] == "WAITING", "who still waits asks again"


def test_a_rejected_gate_fails_what_waits(machine: MachineDriver) -> None:
    run, gate = asking(machine, 4, 2)
    machine.do(DecideGate(run=run, gate=gate, decision="reject", by="ann", comment="enough"))
    machine.wait(0)
    states = machine.states(run)
    assert (states["j1"], states["j2"], states["j3"]) == ("PENDING", "FAILED", "FAILED")
    assert machine.view(run, "j2").reason == f"budget {run}: rejected by ann: enough"


def test_when_the_run_with_the_gate_is_cancelled_another_one_asks(machine: MachineDriver) -> None:
    limit = BudgetSpec(jobs=1, on_limit="gate")
    machine.do(SetBudget(budget="agent:x", limit=limit))
    first, second = (machine.submit(jobs(2), agent_run_id="x") for _ in range(2))
    machine.wait(0)
    machine.wait(0)
    assert budget(machine, "agent:x").gate_run == first
    machine.do(CancelRun(run=first))
    machine.wait(0)
    machine.wait(0)
    assert budget(machine, "agent:x").gate_run == second


# --- time -----------------------------------------------------------------------------------------


def test_the_end_of_the_wall_time_cancels_the_whole_tree(machine: MachineDriver) -> None:
    machine.join("w1", slots=9)
    run = machine.submit(jobs(2), budget=BudgetSpec(wall_ms=5000))
    below = RunId("r-below")
    machine.do(SubmitRun(run=below, name="o", jobs=jobs(1)), attempt=machine.assign(run, "j0"))
    machine.assign(below, "j0")
    machine.wait(4999)
    assert machine.states(below) == {"j0": "RUNNING"}
    machine.wait(1)
    machine.wait(0)
    assert machine.states(run) == {"j0": "CANCELLED", "j1": "CANCELLED"}
    assert machine.states(below) == {"j0": "CANCELLED"}
    assert machine.view(below, "j0").reason == f"budget {run}: 5 s of wall time are over"


def test_more_wall_time_can_be_given_before_the_end(machine: MachineDriver) -> None:
    run = machine.submit(jobs(1), budget=BudgetSpec(wall_ms=5000))
    machine.do(SetBudget(budget=run, limit=BudgetSpec(wall_ms=9000)))
    machine.wait(5000)
    assert machine.states(run) == {"j0": "PENDING"}
    machine.wait(4000)
    machine.wait(0)
    assert machine.states(run) == {"j0": "CANCELLED"}


def test_processor_time_is_debited_when_an_attempt_ends(machine: MachineDriver) -> None:
    run = machine.submit(jobs(3), budget=BudgetSpec(cpu_ms=2))
    machine.run_job(run, "j0", cpu_us=1500, duration_us=9_000_000)
    assert budget(machine, run).cpu_us == 1500
    machine.run_job(run, "j1", duration_us=600)  # the worker cannot tell: its duration
    machine.wait(0)
    assert machine.view(run, "j2").reason == f"budget {run}: 0.002 of 0.002 cpu seconds"
    assert machine.states(run)["j2"] == "CANCELLED"


# --- units ----------------------------------------------------------------------------------------


def task(machine: MachineDriver, **limit: Any) -> tuple[RunId, AttemptId]:
    run = machine.submit(jobs(2), budget=BudgetSpec(**limit))
    return run, machine.assign(run, "j0")


def test_units_are_spent_by_tasks_and_can_be_given_back(machine: MachineDriver) -> None:
    run, me = task(machine, units={"tokens": 10})
    assert machine.do(Spend(unit="tokens", amount=7), attempt=me) == 3
    text = why(machine, Spend(unit="tokens", amount=4), attempt=me)
    assert text == f"budget {run}: 7 of 10 tokens are spent, 4 more were asked for"
    assert machine.do(Spend(unit="tokens", amount=-2), attempt=me) == 5
    assert machine.do(Spend(unit="other", amount=3), attempt=me) is None
    assert machine.refuse(Spend(unit="tokens", amount=-6), attempt=me) == "invalid"
    assert budget(machine, run).units == {"other": 3, "tokens": 5}
    machine.do(FinishAttempt(attempt=me, exit_code=0))
    assert machine.refuse(Spend(unit="tokens", amount=1), attempt=me) == "attempt_not_live"
    assert machine.refuse(Spend(unit="tokens", amount=1)) == "not_in_task"


def test_a_commit_spends_with_the_rest_or_not_at_all(machine: MachineDriver) -> None:
    run, me = task(machine, units={"tokens": 10}, jobs=3)
    put = KvPut(key="k", value=b"v")
    six = Spend(unit="tokens", amount=6)
    assert machine.refuse(CommitEffects(effects=(put, six, six)), attempt=me) == EXHAUSTED
    assert (machine.state.kv, budget(machine, run).units) == ({}, {})
    effects = (put, six, Spend(unit="tokens", amount=4), add(run, job("new")))
    answers = machine.do(CommitEffects(effects=effects), attempt=me)
    assert answers[1:3] == [4, 0]
    two = (add(run, job("x")), add(run, job("y")))
    assert machine.refuse(CommitEffects(effects=two), attempt=me) == EXHAUSTED


# --- the end --------------------------------------------------------------------------------------


def test_a_budget_is_forgotten_with_the_last_of_its_runs(machine: MachineDriver) -> None:
    run = machine.submit(jobs(1), budget=BudgetSpec(jobs=9))
    below = RunId("r-below")
    machine.do(SubmitRun(run=below, name="o", jobs=jobs(1)), attempt=machine.assign(run, "j0"))
    machine.do(CancelRun(run=run))
    machine.wait(FINISHED_KEEP_MS)
    assert run not in machine.state.runs
    assert budget(machine, run).jobs == 2, "what was spent stays spent"
    machine.do(CancelRun(run=below))
    machine.wait(FINISHED_KEEP_MS)
    assert machine.state.budgets == {}
    assert read(machine.state, ListBudgets()) == []


def test_a_budget_that_nobody_came_for_gives_way(
    machine: MachineDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("titan.fsm.budgets.BUDGETS_MAX", 2)
    machine.do(raised("agent:a", 1))
    machine.do(raised("agent:b", 1))
    machine.submit(jobs(1), agent_run_id="a")
    machine.do(raised("agent:c", 1))
    assert list(machine.state.budgets) == ["agent:a", "agent:c"]
    machine.submit(jobs(1), agent_run_id="c")
    assert machine.refuse(raised("agent:d", 1)) == "too_large"


def test_a_snapshot_knows_who_waits_for_what(machine: MachineDriver) -> None:
    run, _gate = asking(machine, 4, 2)
    twin = Machine()
    twin.restore(list(machine.machine.freeze()))
    assert twin.state.budgets == machine.state.budgets
    assert twin.state.runs[run] == machine.state.runs[run]
    assert twin.state.agents == machine.state.agents


def test_a_wrong_budget_is_refused(machine: MachineDriver) -> None:
    bad = BudgetSpec(jobs=-3)
    submit = SubmitRun(run=RunId("r-1"), name="n", jobs=jobs(1), budget=bad)
    assert machine.refuse(submit) == "invalid"
    assert machine.refuse(SetBudget(budget="agent:x", limit=BudgetSpec(on_limit="?"))) == "invalid"
    assert limits.BUDGETS_PER_RUN_MAX >= 2
