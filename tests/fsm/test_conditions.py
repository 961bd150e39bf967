"""`when`: whether a job runs is asked once its trigger holds, over what the jobs above put out."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.fsm.driver import MachineDriver, call, gate, job
from tests.fsm.logs import steps_at_most
from titan import limits
from titan.fsm.commands import AddJobs, CancelRun, RetryJob, SavePipeline, StageJobs, SubmitRun
from titan.fsm.commands.mutation import Change, Fields, MutateRun
from titan.fsm.events import JobReady
from titan.fsm.outcomes import Rejected
from titan.ids import JobId, RunId
from titan.spec.model import TRIGGERS, JobSpec

HOURS = 3_600_000


def put_out(
    machine: MachineDriver, run: RunId, name: str, value: object, exit_code: int = 0
) -> None:
    output = value if isinstance(value, bytes) else json.dumps(value).encode()
    machine.run_job(run, name, output=output, exit_code=exit_code)


def test_a_condition_that_holds_lets_the_job_start(machine: MachineDriver) -> None:
    run = machine.submit([job("a"), job("b", "a", when="outputs.a.load > 80")])
    put_out(machine, run, "a", {"load": 91})
    assert machine.view(run, "b").reason == "is about to begin"
    machine.wait(0)
    assert [event.job for event in machine.told(JobReady)] == ["b"]
    machine.run_job(run, "b")
    assert machine.states(run) == {"a": "COMPLETED", "b": "COMPLETED"}


def test_a_condition_that_does_not_hold_skips_the_job_and_says_so(machine: MachineDriver) -> None:
    run = machine.submit([job("a"), job("b", "a", when="outputs.a.load > 80"), job("c", "b")])
    put_out(machine, run, "a", {"load": 3})
    machine.wait(0)
    assert machine.states(run) == {"a": "COMPLETED", "b": "SKIPPED", "c": "SKIPPED"}
    assert machine.view(run, "b").reason == "when: outputs.a.load > 80 is false"
    assert machine.view(run, "c").reason == "parent 'b' is SKIPPED"
    assert machine.run_view(run).state == "COMPLETED"


@pytest.mark.parametrize(
    ("output", "reason"),
    [
        ({"n": 1}, "when: there is no 'load' in (n)"),
        (b"plain text", "when: a text has no 'load'"),
        (b"", "when: null has no 'load'"),
        ({"load": "high"}, "when: a number is needed, not a text"),
        (b"[" * 4000 + b"]" * 4000, "when: a text has no 'load'"),
    ],
)
def test_an_expression_without_a_value_fails_the_job_with_its_words(
    machine: MachineDriver, output: Any, reason: str
) -> None:
    run = machine.submit([job("a"), job("b", "a", when="outputs.a.load > 80")])
    put_out(machine, run, "a", output)
    machine.wait(0)
    assert machine.states(run)["b"] == "FAILED"
    assert machine.view(run, "b").reason == reason
    assert machine.job(run, "b").attempts == 0


def test_an_output_that_is_no_json_is_text(machine: MachineDriver) -> None:
    run = machine.submit([job("a"), job("b", "a", when="outputs.a == 'done'")])
    put_out(machine, run, "a", b"done")
    machine.wait(0)
    machine.run_job(run, "b")


def test_a_root_is_asked_about_parameters_when_the_run_starts(machine: MachineDriver) -> None:
    jobs = [job("a", when="params.mode == 'full'"), job("b", when="params.mode == 'dry'")]
    run = machine.submit(jobs, parameters={"mode": "full"})
    machine.wait(0)
    machine.run_job(run, "a")
    assert machine.states(run) == {"a": "COMPLETED", "b": "SKIPPED"}


def test_a_parameter_that_is_not_there_fails_the_job(machine: MachineDriver) -> None:
    run = machine.submit([job("a", when="params.mode == 'x'")], parameters={"day": 1})
    machine.wait(0)
    assert machine.view(run, "a").reason == "when: there is no 'mode' in (day)"


def test_a_job_may_ask_about_any_that_is_above(machine: MachineDriver) -> None:
    run = machine.submit([job("a"), job("b", "a"), job("c", "b", when="outputs.a.n == 1")])
    put_out(machine, run, "a", {"n": 1})
    machine.run_job(run, "b")
    machine.wait(0)
    machine.run_job(run, "c")


def test_states_tell_how_the_parents_ended_and_dead_is_failed(machine: MachineDriver) -> None:
    when = "states.a == 'FAILED' and states.b == 'COMPLETED'"
    jobs = [job("a", retries=0), job("b"), job("c", "a", "b", trigger="all_done", when=when)]
    run = machine.submit(jobs)
    machine.run_job(run, "a", exit_code=1)
    machine.run_job(run, "b")
    machine.wait(0)
    machine.run_job(run, "c")
    again = machine.submit([job("a", retries=1), *jobs[1:]])
    machine.run_job(again, "a", exit_code=1)
    machine.wait(HOURS)
    machine.run_job(again, "a", exit_code=1)
    machine.run_job(again, "b")
    machine.wait(0)
    assert machine.states(again)["a"] == "DEAD"
    machine.run_job(again, "c")


def test_the_trigger_has_the_first_word(machine: MachineDriver) -> None:
    run = machine.submit([job("a", retries=0), job("b", "a", when="outputs.a.n == 1")])
    machine.run_job(run, "a", exit_code=1)
    assert machine.view(run, "b").reason in ("parent 'a' is FAILED", "parent 'a' is DEAD")


def test_the_delay_begins_with_the_answer(machine: MachineDriver) -> None:
    run = machine.submit([job("a", when="params.x", delay_ms=5000)], parameters={"x": True})
    machine.wait(0)
    assert machine.job(run, "a").not_before_ms == machine.now_ms + 5000
    machine.wait(4999)
    assert machine.told(JobReady) == []
    machine.wait(1)
    machine.run_job(run, "a")


def test_a_retry_by_itself_does_not_ask_again(machine: MachineDriver) -> None:
    run = machine.submit([job("a", when="params.x", retries=1)], parameters={"x": True})
    machine.wait(0)
    machine.run_job(run, "a", exit_code=1)
    machine.wait(1000)
    assert machine.told(JobReady) != []
    machine.run_job(run, "a")


def test_a_retry_of_the_parent_asks_again(machine: MachineDriver) -> None:
    run = machine.submit([job("a"), job("b", "a", when="outputs.a.n == 2")])
    put_out(machine, run, "a", {"n": 1})
    machine.wait(0)
    assert machine.states(run)["b"] == "SKIPPED"
    machine.do(RetryJob(run=run, job=JobId("b")))
    machine.wait(0)
    assert machine.states(run)["b"] == "SKIPPED"
    machine.do(RetryJob(run=run, job=JobId("a")))
    put_out(machine, run, "a", {"n": 2})
    machine.wait(0)
    machine.run_job(run, "b")


def test_gates_and_sub_runs_are_asked_too(machine: MachineDriver) -> None:
    machine.do(SavePipeline(name="p", jobs=(job("x"),)))
    fields = {"when": "params.go"}
    jobs = [gate("g", **fields), call("s", "p", **fields)]
    asked = machine.submit(jobs, parameters={"go": True})
    skipped = machine.submit(jobs, parameters={"go": False})
    machine.wait(0)
    assert machine.states(asked) == {"g": "WAITING", "s": "RUNNING"}
    assert machine.states(skipped) == {"g": "SKIPPED", "s": "SKIPPED"}


@pytest.mark.parametrize("trigger", TRIGGERS)
def test_children_of_a_job_that_a_condition_skipped(machine: MachineDriver, trigger: str) -> None:
    run = machine.submit(
        [job("a", when="params.x"), job("b", "a", trigger=trigger)], parameters={"x": 0}
    )
    machine.wait(0)
    runs = trigger in ("all_done", "none_failed")
    assert machine.states(run) == {"a": "SKIPPED", "b": "PENDING" if runs else "SKIPPED"}
    if runs:
        machine.run_job(run, "b")


REFUSED = [
    ([job("a", when="1 +")], "job 'a': when is no expression"),
    ([job("a", when="not " * 200 + "1")], "job 'a': when is no expression"),
    ([job("a", when="x > 1")], "job 'a': when: column 1: unknown name 'x'"),
    ([job("a", when="outputs.b.n")], "job 'a': its condition: there is no job 'b'"),
    ([job("a"), job("b", when="outputs.a.n")], "does not depend on 'a': add it to depends_on"),
    ([job("a", when="outputs.a.n")], "cannot ask about itself"),
    ([job("a", "b"), job("b", when="outputs.a.n")], "does not depend on 'a': add it"),
    ([job("a"), job("b", "a", when="len(outputs) > 1")], "outputs and states are asked for by"),
    ([job("a"), job("b", "a", when="states.a == 'DONE'")], "there is no state 'DONE'"),
    ([job("a"), job("b", "a", when="states.a in ['DEAD']")], "has the state 'FAILED' here"),
    ([job("a", when="item > 1")], "there is an 'item' in the `when` of a foreach job only"),
]


@pytest.mark.parametrize(("jobs", "why"), REFUSED, ids=[why for _, why in REFUSED])
def test_what_can_never_have_an_answer_is_refused(
    machine: MachineDriver, jobs: list[JobSpec], why: str
) -> None:
    outcome = machine.apply(SubmitRun(run=RunId("r"), name="n", jobs=tuple(jobs)))
    assert isinstance(outcome, Rejected)
    assert why in outcome.why
    assert not machine.state.runs


def test_jobs_that_join_later_may_ask_about_those_before(machine: MachineDriver) -> None:
    run = machine.submit([job("a"), job("other")])
    put_out(machine, run, "a", {"n": 1})
    assert machine.refuse(AddJobs(run=run, jobs=(job("b", "a", when="outputs.other.n"),)))
    machine.do(AddJobs(run=run, jobs=(job("b", "a", when="outputs.a.n == 1"),)))
    machine.wait(0)
    machine.run_job(run, "b")
    stage = StageJobs(run=RunId("s"), part=0, jobs=(job("a"),))
    machine.do(stage)
    last = SubmitRun(run=RunId("s"), name="n", parts=1, jobs=(job("b", "a", when="outputs.a"),))
    machine.do(last)


def test_looking_for_ancestors_has_a_bound(
    machine: MachineDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("titan.spec.ancestry.ANCESTRY_STEPS_MAX", 5)
    names = [f"j{n}" for n in range(20)]
    chained = [job(name, *names[max(0, at - 1) : at]) for at, name in enumerate(names)]
    far = job("z", "j19", when="outputs.j0")
    outcome = machine.apply(SubmitRun(run=RunId("r"), name="n", jobs=(*chained, far)))
    assert isinstance(outcome, Rejected)
    assert "'j0' is too far above: add it to depends_on" in outcome.why
    near = job("z", "j19", when="outputs.j17")
    machine.do(SubmitRun(run=RunId("r"), name="n", jobs=(*chained, near)))


def test_one_expression_reads_only_so_much(
    machine: MachineDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("titan.fsm.conditions.EXPRESSION_DATA_BYTES_MAX", 100)
    run = machine.submit([job("a"), job("b", "a", when="outputs.a == 'x'")])
    put_out(machine, run, "a", b"y" * 101)
    machine.wait(0)
    assert machine.view(run, "b").reason == "when: asks about more than 100 bytes of outputs"


def test_one_entry_asks_only_so_much(
    machine: MachineDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "EXPRESSION_BYTES_PER_ENTRY", 100)
    run = machine.submit([job("a"), *[job(f"b{n}", "a", when="outputs.a") for n in range(6)]])
    put_out(machine, run, "a", b"y" * 60)
    assert [machine.wait(0) for _ in range(4)] == [2, 2, 2, 0]


@pytest.mark.parametrize("steps", [1, 3, 0])
def test_the_end_is_the_same_however_little_an_entry_does(
    machine: MachineDriver, steps: int
) -> None:
    with steps_at_most(steps):
        run = machine.submit(
            [
                job("a"),
                *[job(f"b{n}", "a", when=f"outputs.a.n > {n}") for n in range(6)],
                job("end", *[f"b{n}" for n in range(6)], trigger="none_failed"),
            ]
        )
        put_out(machine, run, "a", {"n": 3})
        for _ in range(40):
            machine.wait(0)
        states = machine.states(run)
        assert [states[f"b{n}"] for n in range(6)] == ["PENDING"] * 3 + ["SKIPPED"] * 3
        for n in range(3):
            machine.run_job(run, f"b{n}")
        machine.settle()
        machine.run_job(run, "end")


def test_a_cancelled_run_is_not_asked(machine: MachineDriver) -> None:
    run = machine.submit([job("a", when="params.x")], parameters={"x": True})
    machine.do(CancelRun(run=run))
    assert machine.wait(0) == 0
    assert machine.states(run) == {"a": "CANCELLED"}


def test_a_job_keeps_above_it_what_it_asks_about(machine: MachineDriver) -> None:
    run = machine.submit([job("a"), job("b"), job("c", "a", when="outputs.a")])
    away = Change(job=JobId("c"), set=Fields(depends_on=(JobId("b"),)))
    assert machine.refuse(MutateRun(run=run, edits=(away,))) == "unknown_parent"
    both = Change(job=JobId("c"), set=Fields(depends_on=(JobId("b"), JobId("a"))))
    machine.do(MutateRun(run=run, edits=(both,)))
