"""When a job may start, when it must wait, and when it never can."""

from __future__ import annotations

import pytest

from tests.fsm.driver import MachineDriver, chain, job
from titan.fsm.commands import CancelJob, ReleaseAttempt, RetryJob
from titan.fsm.events import JobReady, JobWithdrawn
from titan.ids import JobId, RunId


def end(machine: MachineDriver, run: RunId, job_id: str, how: str) -> None:
    """Bring a job to its end: completed, failed, or cancelled."""
    if how == "cancelled":
        machine.do(CancelJob(run=run, job=JobId(job_id)))
    else:
        machine.run_job(run, job_id, exit_code=0 if how == "completed" else 1)


@pytest.mark.parametrize(
    ("trigger", "parents_end", "child_after_each"),
    [
        ("all_success", ("completed", "completed"), ("waits", "ready")),
        ("all_success", ("completed", "failed"), ("waits", "SKIPPED")),
        ("all_success", ("failed", "completed"), ("SKIPPED", "SKIPPED")),
        ("all_done", ("failed", "completed"), ("waits", "ready")),
        ("all_done", ("failed", "failed"), ("waits", "ready")),
        ("any_success", ("completed", "failed"), ("ready", "ready")),
        ("any_success", ("failed", "completed"), ("waits", "ready")),
        ("any_success", ("failed", "failed"), ("waits", "SKIPPED")),
        ("any_failed", ("failed", "completed"), ("ready", "ready")),
        ("any_failed", ("completed", "failed"), ("waits", "ready")),
        ("any_failed", ("completed", "completed"), ("waits", "SKIPPED")),
        ("none_failed", ("completed", "completed"), ("waits", "ready")),
        ("none_failed", ("failed", "completed"), ("SKIPPED", "SKIPPED")),
        ("none_failed", ("completed", "failed"), ("waits", "SKIPPED")),
    ],
)
def test_a_trigger_decides_as_soon_as_it_can(
    machine: MachineDriver,
    trigger: str,
    parents_end: tuple[str, str],
    child_after_each: tuple[str, str],
) -> None:
    run = machine.submit(
        [job("p", retries=0), job("q", retries=0), job("child", "p", "q", trigger=trigger)]
    )
    for parent, how, expected in zip("pq", parents_end, child_after_each, strict=True):
        end(machine, run, parent, how)
        child = machine.job(run, "child")
        if expected == "SKIPPED":
            assert child.state == "SKIPPED"
        else:
            assert child.state == "PENDING"
            assert (child.waiting_for == 0) == (expected == "ready")


def test_a_job_that_is_ready_early_is_announced_once(machine: MachineDriver) -> None:
    run = machine.submit([job("p"), job("q"), job("child", "p", "q", trigger="any_success")])
    machine.run_job(run, "p")
    assert machine.told(JobReady) == [JobReady(run, JobId("child"))]
    machine.run_job(run, "q")
    assert machine.told(JobReady) == []


def test_none_failed_accepts_a_skipped_parent(machine: MachineDriver) -> None:
    run = machine.submit(
        [
            job("a"),
            job("rescue", "a", trigger="any_failed"),
            job("report", "a", "rescue", trigger="none_failed"),
        ]
    )
    machine.run_job(run, "a")
    assert machine.states(run) == {"a": "COMPLETED", "rescue": "SKIPPED", "report": "PENDING"}
    assert machine.told(JobReady) == [JobReady(run, JobId("report"))]


def test_skipping_travels_down_and_each_job_names_the_parent_that_decided(
    machine: MachineDriver,
) -> None:
    run = machine.submit([*chain("a", "b", "c", retries=0), job("clean", "c", trigger="all_done")])
    machine.run_job(run, "a", exit_code=1)
    assert machine.states(run) == {
        "a": "FAILED",
        "b": "SKIPPED",
        "c": "SKIPPED",
        "clean": "PENDING",
    }
    assert machine.view(run, "b").reason == "parent 'a' is FAILED"
    assert machine.view(run, "c").reason == "parent 'b' is SKIPPED"
    assert machine.told(JobReady) == [JobReady(run, JobId("clean"))]


def test_no_parent_that_completed_names_the_last_one(machine: MachineDriver) -> None:
    run = machine.submit([job("a", retries=0), job("b", "a", trigger="any_success")])
    machine.run_job(run, "a", exit_code=1)
    assert machine.view(run, "b").reason == "no parent completed; the last, 'a', is FAILED"


def test_a_parent_that_is_named_twice_counts_once(machine: MachineDriver) -> None:
    run = machine.submit([job("a"), job("b", "a", "a")])
    machine.run_job(run, "a")
    assert machine.view(run, "b").reason == "waits for a slot"


# --- cancelling -----------------------------------------------------------------------------------


def test_cancelling_cascades_to_descendants_whatever_their_trigger(machine: MachineDriver) -> None:
    run = machine.submit(
        [*chain("a", "b", "c"), job("clean", "b", trigger="all_done"), job("other")]
    )
    machine.run_job(run, "a")
    assert machine.do(CancelJob(run=run, job=JobId("b"))) == 3
    assert machine.states(run) == {
        "a": "COMPLETED",
        "b": "CANCELLED",
        "c": "CANCELLED",
        "clean": "CANCELLED",
        "other": "PENDING",
    }


def test_what_is_cancelled_stays_so_when_its_parents_complete(machine: MachineDriver) -> None:
    run = machine.submit(chain("a", "b"))
    machine.do(CancelJob(run=run, job=JobId("b")))
    machine.run_job(run, "a")
    assert machine.states(run) == {"a": "COMPLETED", "b": "CANCELLED"}
    assert machine.run_view(run).state == "CANCELLED"


def test_cancelling_what_is_over_has_no_effect(machine: MachineDriver) -> None:
    run = machine.submit(chain("a", "b"))
    machine.run_job(run, "a")
    assert machine.do(CancelJob(run=run, job=JobId("a"))) == 0
    assert machine.states(run)["b"] == "PENDING"


# --- running again --------------------------------------------------------------------------------


def test_retrying_a_job_reopens_it_and_what_it_ruled_out(machine: MachineDriver) -> None:
    run = machine.submit(chain("a", "b", "c", retries=0))
    machine.run_job(run, "a", exit_code=1)
    assert machine.run_view(run).over
    assert machine.do(RetryJob(run=run, job=JobId("a"))) == 3
    assert machine.told(JobReady) == [JobReady(run, JobId("a"))]
    assert not machine.run_view(run).over
    for name in "abc":
        machine.run_job(run, name)
    assert machine.run_view(run).state == "COMPLETED"
    assert [record.exit_code for record in machine.view(run, "a").history] == [1, 0]


def test_retrying_gives_the_job_all_its_retries_back(machine: MachineDriver) -> None:
    run = machine.submit([job("a", retries=1, retry_backoff_ms=0)])
    for _ in range(2):
        machine.run_job(run, "a", exit_code=1)
    assert machine.states(run) == {"a": "DEAD"}
    machine.do(RetryJob(run=run, job=JobId("a")))
    assert machine.view(run, "a").retries_used == 0
    machine.run_job(run, "a", exit_code=1)
    assert machine.states(run) == {"a": "PENDING"}


def test_what_another_parent_rules_out_stays_as_it_is(machine: MachineDriver) -> None:
    run = machine.submit(
        [job("a", retries=0), job("b", retries=0), job("child", "a", "b"), job("leaf", "child")]
    )
    machine.run_job(run, "a", exit_code=1)
    machine.run_job(run, "b", exit_code=1)
    assert machine.do(RetryJob(run=run, job=JobId("a"))) == 1
    assert machine.states(run)["child"] == "SKIPPED"
    assert machine.do(RetryJob(run=run, job=JobId("b"))) == 3


def test_completed_descendants_are_not_run_again(machine: MachineDriver) -> None:
    run = machine.submit(chain("a", "b"))
    machine.run_job(run, "a")
    machine.run_job(run, "b")
    machine.do(RetryJob(run=run, job=JobId("a")))
    assert machine.states(run) == {"a": "PENDING", "b": "COMPLETED"}


def test_a_child_that_was_about_to_start_waits_for_its_parent_again(machine: MachineDriver) -> None:
    run = machine.submit([job("a", retries=0), job("b", "a"), job("c", "b", delay_ms=5)])
    machine.run_job(run, "a")
    machine.do(RetryJob(run=run, job=JobId("a")))
    assert machine.told(JobWithdrawn) == [JobWithdrawn(run, JobId("b"))]
    machine.run_job(run, "a", exit_code=1)
    assert machine.states(run) == {"a": "FAILED", "b": "SKIPPED", "c": "SKIPPED"}


def test_a_running_child_goes_on_while_its_parent_runs_again(machine: MachineDriver) -> None:
    run = machine.submit([job("a", retries=0), job("b", "a")])
    machine.run_job(run, "a")
    attempt = machine.assign(run, "b")
    machine.do(RetryJob(run=run, job=JobId("a")))
    assert machine.states(run) == {"a": "PENDING", "b": "RUNNING"}
    machine.do(ReleaseAttempt(attempt=attempt, cause="lost"))
    assert machine.view(run, "b").reason == "waits for a"


def test_a_job_whose_parent_failed_cannot_be_retried_alone(machine: MachineDriver) -> None:
    run = machine.submit(chain("a", "b", retries=0))
    machine.run_job(run, "a", exit_code=1)
    assert machine.refuse(RetryJob(run=run, job=JobId("b"))) == "not_ready"


def test_only_what_has_ended_can_be_retried(machine: MachineDriver) -> None:
    run = machine.submit([job("a")])
    assert machine.refuse(RetryJob(run=run, job=JobId("a"))) == "not_over"
    assert machine.refuse(RetryJob(run=run, job=JobId("b"))) == "unknown_job"
    assert machine.refuse(RetryJob(run=RunId("r-none"), job=JobId("b"))) == "unknown_run"


def test_a_cancelled_job_comes_back_by_a_retry_with_its_descendants(machine: MachineDriver) -> None:
    run = machine.submit(chain("a", "b", "c"))
    machine.run_job(run, "a")
    machine.do(CancelJob(run=run, job=JobId("b")))
    assert machine.do(RetryJob(run=run, job=JobId("b"))) == 2
    assert machine.states(run) == {"a": "COMPLETED", "b": "PENDING", "c": "PENDING"}


def test_a_job_that_was_never_ready_is_not_withdrawn_when_it_is_skipped(
    machine: MachineDriver,
) -> None:
    run = machine.submit(chain("a", "b", retries=0))
    machine.run_job(run, "a", exit_code=1)
    assert machine.states(run)["b"] == "SKIPPED"
    assert machine.told(JobWithdrawn) == []


def test_a_ready_job_that_is_cancelled_is_withdrawn(machine: MachineDriver) -> None:
    run = machine.submit([job("a")])
    machine.do(CancelJob(run=run, job=JobId("a")))
    assert machine.told(JobWithdrawn) == [JobWithdrawn(run, JobId("a"))]


def test_a_lost_child_whose_parent_failed_meanwhile_is_skipped(machine: MachineDriver) -> None:
    run = machine.submit([job("a", retries=0), job("b", "a"), job("c", "b")])
    machine.run_job(run, "a")
    attempt = machine.assign(run, "b")
    machine.do(RetryJob(run=run, job=JobId("a")))
    machine.run_job(run, "a", exit_code=1)
    assert machine.states(run) == {"a": "FAILED", "b": "RUNNING", "c": "PENDING"}
    machine.do(ReleaseAttempt(attempt=attempt, cause="lost"))
    assert machine.states(run) == {"a": "FAILED", "b": "SKIPPED", "c": "SKIPPED"}
    assert machine.told(JobReady) == []
