"""Submitting runs, growing them, and what a run is called while its jobs differ."""

from __future__ import annotations

import pytest

from tests.fsm.driver import MachineDriver, chain, job
from titan import limits
from titan.fsm.commands import (
    AddJobs,
    CancelJob,
    CancelRun,
    Entry,
    ExpireWorker,
    Proposal,
    StageJobs,
    SubmitRun,
    encode_entry,
)
from titan.fsm.events import JobReady, RunChanged, RunSubmitted
from titan.fsm.outcomes import Applied, Rejected
from titan.fsm.policy import decode_spec
from titan.ids import JobId, RunId, WorkerId
from titan.spec.model import JobSpec

R = RunId("r-00000000000000000xyz")


def submit(*jobs: JobSpec, **fields: object) -> SubmitRun:
    return SubmitRun(run=R, name="n", jobs=jobs, **fields)  # type: ignore[arg-type]


def test_only_jobs_without_parents_are_ready_at_first(machine: MachineDriver) -> None:
    run = machine.submit(chain("a", "b"))
    assert machine.told(RunSubmitted) == [RunSubmitted(run)]
    assert machine.told(JobReady) == [JobReady(run, JobId("a"))]


def test_a_duplicate_id_rejects_the_whole_submission(machine: MachineDriver) -> None:
    outcome = machine.apply(submit(job("a"), job("b"), job("a")))
    assert outcome == Rejected("duplicate_job", "there are two jobs 'a'")
    assert not machine.state.runs


def test_an_unknown_parent_rejects_the_whole_submission(machine: MachineDriver) -> None:
    outcome = machine.apply(submit(job("a"), job("b", "ghost")))
    assert outcome == Rejected("unknown_parent", "job 'b' depends on 'ghost', which does not exist")
    assert not machine.state.runs


def test_a_cycle_rejects_the_submission_with_its_path(machine: MachineDriver) -> None:
    outcome = machine.apply(
        submit(job("root"), job("a", "root", "c"), job("b", "a"), job("c", "b"), job("d", "c"))
    )
    assert outcome == Rejected("cycle", "a → b → c → a")
    assert machine.apply(submit(job("a", "b"), job("b", "a"))) == Rejected("cycle", "a → b → a")
    assert machine.apply(submit(job("me", "me"))) == Rejected("cycle", "me → me")


def test_parents_may_be_declared_after_their_children(machine: MachineDriver) -> None:
    run = machine.submit([job("b", "a"), job("a")])
    assert machine.told(JobReady) == [JobReady(run, JobId("a"))]


def test_a_very_deep_chain_declared_backwards_is_no_problem(
    machine: MachineDriver,
) -> None:
    count = 20_000
    jobs = [job(f"j{i}", *([f"j{i - 1}"] if i else [])) for i in reversed(range(count))]
    for part in range(20):
        at = 19 - part  # backwards within a part; parts come parents first
        piece = tuple(jobs[at * count // 20 : (at + 1) * count // 20])
        machine.machine.apply(
            machine.state.index + 1, _entry(machine, StageJobs(run=R, part=part, jobs=piece))
        )
    machine.do(SubmitRun(run=R, name="deep", jobs=(), parts=20))
    machine.run_job(R, "j0", exit_code=1, cause="start_failed")
    assert machine.settle() == (count - 1) // limits.SETTLE_STEPS_PER_ENTRY
    assert machine.run(R).counts == {"FAILED": 1, "SKIPPED": count - 1}


def _entry(machine: MachineDriver, command: StageJobs) -> bytes:
    return encode_entry(Entry(1, 1, machine.now_ms, (Proposal(command),)))


def test_the_same_run_id_again_has_no_effect(machine: MachineDriver) -> None:
    machine.do(submit(job("a")))
    assert machine.apply(submit(job("b"))) == Applied(R)
    assert list(machine.run(R).jobs) == ["a"]


def test_a_run_without_jobs_is_refused(machine: MachineDriver) -> None:
    assert machine.refuse(submit()) == "invalid"


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"type": "service"}, "not_supported"),
        ({"type": "gate"}, "invalid_job"),
        ({"type": "pipeline"}, "invalid_job"),
        ({"hitl_message": "ok?"}, "invalid_job"),
        ({"isolation": "container"}, "invalid_job"),
        ({"image": "busybox"}, "invalid_job"),
        ({"network": False}, "invalid_job"),
        ({"limits": {"hope": 1}}, "invalid_job"),
        ({"limits": {"open_files": 0}}, "invalid_job"),
        ({"requirements": ("a",), "requirements_file": "r.txt"}, "invalid_job"),
        ({"isolation": "container", "image": "i", "requirements": ("a",)}, "invalid_job"),
        ({"type": "opera"}, "invalid_job"),
        ({"isolation": "hope"}, "invalid_job"),
        ({"trigger": "sometimes"}, "invalid_job"),
        ({"file": "a.py"}, "invalid_job"),
        ({"argv": ()}, "invalid_job"),
        ({"requirement": ()}, "invalid_job"),
        ({"resources": {"gpus": -1}}, "invalid_job"),
        ({"retries": -1}, "invalid_job"),
        ({"delay_ms": -1}, "invalid_job"),
        ({"delay_ms": limits.DURATION_MS_MAX + 1}, "invalid_job"),
        ({"timeout_ms": 0}, "invalid_job"),
        ({"env": {"A": "x" * limits.JOB_SPEC_BYTES_MAX}}, "too_large"),
    ],
)
def test_a_job_that_cannot_run_is_refused_and_named(
    machine: MachineDriver, fields: dict[str, object], code: str
) -> None:
    outcome = machine.apply(submit(job("fine"), job("odd-one", **fields)))
    assert isinstance(outcome, Rejected)
    assert outcome.code == code
    assert "'odd-one'" in outcome.why
    assert not machine.state.runs


def test_what_is_not_supported_is_said_plainly(machine: MachineDriver) -> None:
    assert machine.apply(submit(job("web", type="service"))) == Rejected(
        "not_supported",
        "job 'web' asks for type 'service'; this version does not run that yet",
    )


def test_arguments_of_any_characters_survive(machine: MachineDriver) -> None:
    odd = (b"a|b", b"x;y", b"new\nline", b"\xff\xfe", b"")
    run = machine.submit([job("a", args=odd)])
    assert decode_spec(machine.job(run, "a")).args == odd


def test_the_same_job_id_in_two_runs_never_collides(machine: MachineDriver) -> None:
    first, second = machine.submit([job("a")]), machine.submit([job("a")])
    machine.run_job(first, "a")
    assert machine.states(first) == {"a": "COMPLETED"}
    assert machine.states(second) == {"a": "PENDING"}


# --- staging --------------------------------------------------------------------------------------


def test_parts_become_visible_by_the_last_one_in_the_order_of_their_numbers(
    machine: MachineDriver,
) -> None:
    machine.do(StageJobs(run=R, part=1, jobs=(job("c", "b"),)))
    machine.do(StageJobs(run=R, part=0, jobs=(job("a"), job("b", "a"))))
    assert not machine.state.runs
    machine.do(SubmitRun(run=R, name="n", jobs=(job("d", "c"),), parts=2))
    assert list(machine.run(R).jobs) == ["a", "b", "c", "d"]
    assert not machine.state.stages


def test_a_submission_with_a_missing_part_is_refused(machine: MachineDriver) -> None:
    machine.do(StageJobs(run=R, part=1, jobs=(job("b"),)))
    assert machine.apply(submit(parts=2)) == Rejected("stage_incomplete", "part 0 of 2 is missing")


def test_the_same_part_again_has_no_effect(machine: MachineDriver) -> None:
    machine.do(StageJobs(run=R, part=0, jobs=(job("a"),)))
    size = machine.state.stages[R].size
    machine.do(StageJobs(run=R, part=0, jobs=(job("a"),)))
    assert machine.state.stages[R].size == size


def test_parts_that_nobody_completes_are_dropped_after_a_while(machine: MachineDriver) -> None:
    machine.do(StageJobs(run=R, part=0, jobs=(job("a"),)))
    machine.wait(limits.STAGE_TTL_MS - 1)
    machine.do(StageJobs(run=R, part=1, jobs=(job("b"),)))
    assert machine.wait(limits.STAGE_TTL_MS - 1) == 0
    assert machine.wait(1) == 1
    assert not machine.state.stages


def test_staged_bytes_are_bounded(machine: MachineDriver) -> None:
    big = job("big", env={"A": "x" * 60_000})
    part = tuple(job(f"b{i}", env=big.env) for i in range(1000))
    assert machine.refuse(StageJobs(run=R, part=0, jobs=(*part, *part[:200]))) == "stage_full"
    machine.do(StageJobs(run=R, part=0, jobs=part))
    assert machine.refuse(StageJobs(run=RunId("r-other"), part=0, jobs=part)) == "stage_full"


# --- growing --------------------------------------------------------------------------------------


def test_a_child_added_after_its_parent_finished_is_ready_at_once(machine: MachineDriver) -> None:
    run = machine.submit([job("a"), job("other")])
    machine.run_job(run, "a")
    assert machine.do(AddJobs(run=run, jobs=(job("child", "a"),))) == 1
    assert machine.told(JobReady) == [JobReady(run, JobId("child"))]


def test_a_run_that_is_over_lives_again_when_it_grows(machine: MachineDriver) -> None:
    run = machine.submit([job("a")])
    machine.run_job(run, "a")
    assert machine.run_view(run).over
    machine.do(AddJobs(run=run, jobs=(job("b", "a"),)))
    assert machine.told(RunChanged) == [RunChanged(run, "RUNNING", False)]
    machine.run_job(run, "b")
    assert machine.run_view(run).state == "COMPLETED"


def test_a_cancelled_run_does_not_grow(machine: MachineDriver) -> None:
    run = machine.submit([job("a")])
    machine.do(CancelRun(run=run))
    assert machine.refuse(AddJobs(run=run, jobs=(job("b"),))) == "run_over"


def test_a_failed_run_that_was_cancelled_does_not_grow_either(machine: MachineDriver) -> None:
    run = machine.submit([job("a", retries=0), job("b")])
    machine.run_job(run, "a", exit_code=1)
    machine.do(CancelRun(run=run))
    assert machine.run_view(run).state == "FAILED"
    assert machine.refuse(AddJobs(run=run, jobs=(job("c"),))) == "run_over"


def test_a_run_whose_jobs_were_all_cancelled_one_by_one_does_not_grow(
    machine: MachineDriver,
) -> None:
    run = machine.submit([job("a")])
    machine.do(CancelJob(run=run, job=JobId("a")))
    assert machine.refuse(AddJobs(run=run, jobs=(job("b"),))) == "run_over"


@pytest.mark.parametrize("trigger", ["any_success", "none_failed"])
def test_a_trigger_that_an_ended_parent_rules_out_skips_an_added_job(
    machine: MachineDriver, trigger: str
) -> None:
    run = machine.submit([job("a", retries=0), job("other")])
    machine.run_job(run, "a", exit_code=1)
    machine.do(AddJobs(run=run, jobs=(job("b", "a", trigger=trigger),)))
    assert machine.states(run)["b"] == "SKIPPED"


def test_jobs_that_are_added_must_fit_the_graph(machine: MachineDriver) -> None:
    run = machine.submit([job("a")])
    assert machine.refuse(AddJobs(run=run, jobs=(job("a"),))) == "duplicate_job"
    assert machine.refuse(AddJobs(run=run, jobs=(job("b", "nobody"),))) == "unknown_parent"
    assert machine.refuse(AddJobs(run=run, jobs=(job("b", "c"), job("c", "b")))) == "cycle"
    assert list(machine.run(run).jobs) == ["a"]


def test_a_child_added_to_a_failed_parent_is_skipped_with_its_own_children(
    machine: MachineDriver,
) -> None:
    run = machine.submit([job("a", retries=0), job("other")])
    machine.run_job(run, "a", exit_code=1)
    machine.do(AddJobs(run=run, jobs=(job("b", "a"), job("c", "b"))))
    assert machine.states(run)["c"] == "SKIPPED"
    assert machine.view(run, "b").reason == "parent 'a' is FAILED"


def test_an_added_job_that_a_skipped_one_lets_start_is_announced_once(
    machine: MachineDriver,
) -> None:
    run = machine.submit([job("a", retries=0), job("other")])
    machine.run_job(run, "a", exit_code=1)
    machine.do(AddJobs(run=run, jobs=(job("b", "a"), job("clean", "b", trigger="all_done"))))
    assert machine.told(JobReady) == [JobReady(run, JobId("clean"))]


# --- what a run is called -------------------------------------------------------------------------


def test_a_run_is_pending_until_something_starts(machine: MachineDriver) -> None:
    run = machine.submit([job("a")])
    assert machine.run_view(run).state == "PENDING"
    machine.assign(run, "a")
    assert machine.run_view(run).state == "RUNNING"


def test_a_run_that_has_begun_is_running_while_its_next_job_waits(machine: MachineDriver) -> None:
    run = machine.submit(chain("a", "b"))
    machine.run_job(run, "a")
    assert machine.run_view(run).state == "RUNNING"
    assert not machine.run_view(run).over


def test_a_run_that_lost_its_only_worker_is_still_running(machine: MachineDriver) -> None:
    run = machine.submit([job("a")])
    machine.assign(run, "a")
    machine.do(ExpireWorker(worker=WorkerId("w1"), incarnation=1))
    assert machine.states(run) == {"a": "PENDING"}
    assert machine.run_view(run).state == "RUNNING"


def test_a_run_is_failed_as_soon_as_one_job_is_but_over_only_at_the_end(
    machine: MachineDriver,
) -> None:
    run = machine.submit([job("a", retries=0), job("b")])
    machine.run_job(run, "a", exit_code=3)
    assert machine.run_view(run).state == "FAILED"
    assert not machine.run_view(run).over
    machine.run_job(run, "b")
    assert machine.told(RunChanged) == [RunChanged(run, "FAILED", True)]


def test_a_run_with_skipped_jobs_is_completed(machine: MachineDriver) -> None:
    run = machine.submit([job("a"), job("rescue", "a", trigger="any_failed")])
    machine.run_job(run, "a")
    assert machine.states(run) == {"a": "COMPLETED", "rescue": "SKIPPED"}
    assert machine.run_view(run).state == "COMPLETED"
