"""What a task does from inside: fenced by its attempt, and in a batch all of it or nothing."""

from __future__ import annotations

from typing import Any

import pytest

from tests.fsm.driver import MachineDriver, job
from titan import limits
from titan.fsm import batch
from titan.fsm.commands import (
    AckSignal,
    AcquireLock,
    AddJobs,
    CommitEffects,
    Effect,
    ExpireWorker,
    FinishAttempt,
    KvCas,
    KvDelete,
    KvIncr,
    KvPut,
    KvSetAdd,
    KvSetRemove,
    ReleaseLock,
    ReportProgress,
    SendSignal,
    SetOutput,
)
from titan.fsm.events import KeyChanged, ProgressReported
from titan.fsm.queries import GetOutput
from titan.fsm.views import read
from titan.ids import AttemptId, JobId, RunId, WorkerId
from titan.spec.model import JobSpec


class Task(MachineDriver):
    """A machine on which job `a` of one run is running."""

    def __init__(self) -> None:
        super().__init__()
        self.its_run = self.submit([job("a"), job("b", "a")])
        self.attempt = self.assign(self.its_run, "a")

    def says(self, command: Any) -> Any:
        return self.do(command, attempt=self.attempt)

    def commit(self, *effects: Effect, **fields: Any) -> Any:
        return self.says(CommitEffects(effects=effects, **fields))

    def why_not(self, *effects: Effect, **fields: Any) -> str:
        """The code of a batch that is refused; nothing but index and digest may have changed."""
        before = self.picture()
        code = self.refuse(CommitEffects(effects=effects, **fields), attempt=self.attempt)
        assert self.picture() == before
        assert self.events == ()
        return code

    def picture(self) -> list[bytes]:
        self.state.digest, digest = b"", self.state.digest
        self.state.index, index = 0, self.state.index
        blocks = list(self.machine.freeze())
        self.state.index, self.state.digest = index, digest
        return blocks

    def lose(self) -> AttemptId:
        """The worker is gone and the job runs elsewhere; the attempt that it ran before."""
        stale = self.attempt
        self.do(ExpireWorker(worker=WorkerId("w1"), incarnation=1))
        self.attempt = self.assign(self.its_run, "a", worker="w2")
        return stale


@pytest.fixture
def task() -> Task:
    return Task()


def test_the_output_that_a_task_sets_is_the_jobs_once_it_ends_well(task: Task) -> None:
    task.says(SetOutput(value=b"1"))
    task.says(SetOutput(value=b"2"))
    assert task.job(task.its_run, "a").output == b""
    assert read(task.state, GetOutput(run=task.its_run, job=JobId("a"))) == b"2"
    task.do(FinishAttempt(attempt=task.attempt, exit_code=0, output=b"of the file"))
    assert task.job(task.its_run, "a").output == b"2"
    assert read(task.state, GetOutput(run=task.its_run, job=JobId("a"))) == b"2"


def test_the_output_file_counts_when_the_task_has_set_none(task: Task) -> None:
    task.do(FinishAttempt(attempt=task.attempt, exit_code=0, output=b"of the file"))
    assert task.job(task.its_run, "a").output == b"of the file"


def test_the_output_of_an_attempt_that_fails_is_forgotten(task: Task) -> None:
    task.says(SetOutput(value=b"bad"))
    task.do(FinishAttempt(attempt=task.attempt, exit_code=1))
    assert task.job(task.its_run, "a").output == b""
    task.wait(60_000)
    again = task.assign(task.its_run, "a")
    task.do(FinishAttempt(attempt=again, exit_code=0, output=b"good"))
    assert task.job(task.its_run, "a").output == b"good"


def test_an_output_is_bounded(task: Task) -> None:
    big = SetOutput(value=b"x" * (limits.OUTPUT_BYTES_MAX + 1))
    assert task.refuse(big, attempt=task.attempt) == "too_large"
    assert task.why_not(big) == "too_large"


def test_progress_is_shown_while_the_job_runs(task: Task) -> None:
    assert task.view(task.its_run, "a").progress is None
    task.says(ReportProgress(ppm=250_000, note="a quarter"))
    view = task.view(task.its_run, "a")
    assert (view.progress, view.note) == (0.25, "a quarter")
    assert task.told(ProgressReported) == [ProgressReported(task.its_run, JobId("a"))]
    assert task.refuse(ReportProgress(ppm=-1), attempt=task.attempt) == "invalid"
    long = "n" * (limits.PROGRESS_NOTE_BYTES_MAX + 1)
    assert task.refuse(ReportProgress(ppm=0, note=long), attempt=task.attempt) == "too_large"
    task.do(FinishAttempt(attempt=task.attempt, exit_code=0))
    assert task.view(task.its_run, "a").progress is None


@pytest.mark.parametrize(
    "command", [SetOutput(value=b""), ReportProgress(ppm=0), AckSignal(seq=1)], ids=repr
)
def test_only_a_task_speaks_for_an_attempt(machine: MachineDriver, command: Any) -> None:
    assert machine.refuse(command) == "not_in_task"


def effects(run: RunId) -> list[Any]:
    """Something of every kind that a task can do."""
    spec: JobSpec = job("child")
    singles = [
        KvPut(key="k", value=b"stale"),
        KvDelete(key="kept"),
        KvCas(key="kept", expected=b"1", value=b"stale"),
        KvIncr(key="kept"),
        KvSetAdd(key="s", member="stale"),
        KvSetRemove(key="members", member="m"),
        SetOutput(value=b"stale"),
        ReportProgress(ppm=1, note="stale"),
        AddJobs(run=run, jobs=(spec,)),
        AckSignal(seq=1),
        SendSignal(run=run, name="stale"),
        AcquireLock(name="l", claim="stale", ttl_ms=1000, wait_ms=1000),
        ReleaseLock(name="l", claim="c"),
    ]
    batch = CommitEffects(effects=(KvPut(key="k", value=b"stale"), SetOutput(value=b"stale")))
    return [*singles, batch]


def test_a_superseded_attempt_changes_nothing_whatever_it_tries(task: Task) -> None:
    task.do(KvPut(key="kept", value=b"1"))
    task.do(KvSetAdd(key="members", member="m"))
    task.do(SendSignal(run=task.its_run, name="go"))
    stale = task.lose()
    task.says(AcquireLock(name="l", claim="c", ttl_ms=60_000))
    before = task.picture()
    for command in effects(task.its_run):
        assert task.refuse(command, attempt=stale) == "attempt_not_live", command
    assert task.picture() == before


# --- batches --------------------------------------------------------------------------------------


def test_a_batch_answers_each_of_its_effects(task: Task) -> None:
    task.do(KvPut(key="old", value=b"1"))
    task.do(KvSetAdd(key="s", member="a"))
    answers = task.commit(
        KvPut(key="k", value=b"1"),
        KvIncr(key="n", by=5),
        KvCas(key="old", expected=b"1", value=b"2"),
        KvDelete(key="missing"),
        KvSetAdd(key="s", member="a"),
        KvSetAdd(key="s", member="b"),
        KvSetRemove(key="s", member="a"),
        SetOutput(value=b"7"),
        AddJobs(run=task.its_run, jobs=(job("c1"), job("c2", "c1"))),
    )
    index = task.state.index
    assert answers == [index, 5, True, False, 0, 1, 1, None, 2]
    assert [event.key for event in task.told(KeyChanged)] == ["k", "n", "old", "s", "s"]
    assert task.states(task.its_run)["c1"] == "PENDING"
    assert {item.version for item in task.state.kv.values()} == {index}


def test_effects_see_what_those_before_them_in_the_batch_do(task: Task) -> None:
    assert task.commit(KvIncr(key="n"), KvIncr(key="n", by=10)) == [1, 11]
    index = task.state.index + 1
    assert task.commit(
        KvCas(key="n", expected=b"11", value=b"x"),
        KvCas(key="n", expected=b"x", value=b"y"),
        KvDelete(key="n"),
        KvCas(key="n", expected=None, value=b"z"),
        KvPut(key="n", value=b"3"),
        KvIncr(key="n"),
    ) == [True, True, True, True, index, 4]
    assert task.state.kv["n"].value == b"4"
    assert task.commit(
        KvSetAdd(key="s", member="a"),
        KvSetAdd(key="s", member="a"),
        KvSetRemove(key="s", member="a"),
        KvIncr(key="s"),
    ) == [1, 0, 1, 1]


def test_jobs_of_one_batch_may_depend_on_each_other_and_on_the_task_itself(task: Task) -> None:
    run = task.its_run
    task.commit(
        AddJobs(run=run, jobs=(job("c", "a"),)), AddJobs(run=run, jobs=(job("d", "c", "b"),))
    )
    assert task.job(run, "d").parents == ("c", "b")
    assert task.why_not(AddJobs(run=run, jobs=(job("e"),)), AddJobs(run=run, jobs=(job("e"),))) == (
        "duplicate_job"
    )
    assert task.why_not(AddJobs(run=run, jobs=(job("e", "f"),))) == "unknown_parent"


LATE_FAULTS: list[tuple[Any, str]] = [
    (KvIncr(key="text"), "wrong_type"),
    (KvCas(key="text", expected=b"other", value=b""), "cas_failed"),
    (KvPut(key="", value=b""), "too_large"),
    (KvIncr(key="n", by=2**63 - 1), "too_large"),
    (KvSetAdd(key="k", member="m"), "wrong_type"),
    (SetOutput(value=b"x" * (limits.OUTPUT_BYTES_MAX + 1)), "too_large"),
    (AddJobs(run=RunId("r-00000000000000000001"), jobs=(job("a"),)), "duplicate_job"),
    (AddJobs(run=RunId("r-other"), jobs=(job("x"),)), "invalid"),
    (AckSignal(seq=99), "signal_gone"),
]


@pytest.mark.parametrize(("fault", "code"), LATE_FAULTS)
def test_one_effect_that_cannot_be_takes_all_the_others_with_it(
    task: Task, fault: Any, code: str
) -> None:
    task.do(KvPut(key="text", value=b"text"))
    task.do(SendSignal(run=task.its_run, name="go"))
    good: list[Any] = [
        KvPut(key="k", value=b"1", ttl_ms=5),
        KvIncr(key="n"),
        KvDelete(key="text2"),
        KvSetAdd(key="s", member="m"),
        SetOutput(value=b"1"),
        AddJobs(run=task.its_run, jobs=(job("child"),)),
        AckSignal(seq=1),
    ]
    assert task.why_not(*good, fault) == code
    assert task.commit(*good)


def test_a_batch_is_bounded_and_says_which_effect_is_at_fault(
    task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcome: Any = task.apply(
        CommitEffects(effects=(KvIncr(key="n"), KvPut(key="", value=b""))), attempt=task.attempt
    )
    assert outcome.why.startswith("effect 2 of 2: a key has")
    many = [KvIncr(key="n")] * (limits.EFFECTS_PER_COMMIT_MAX + 1)
    assert task.why_not(*many) == "too_large"
    assert len(task.commit(*many[1:])) == limits.EFFECTS_PER_COMMIT_MAX
    monkeypatch.setattr("titan.fsm.kv_changes.KV_KEYS_MAX", 2)
    assert task.why_not(KvIncr(key="two"), KvIncr(key="three")) == "key_limit"
    assert task.commit(KvIncr(key="two"), KvDelete(key="two"), KvIncr(key="three")) == [1, True, 1]


def test_keys_may_be_changed_together_from_outside_a_task_and_jobs_may_not(task: Task) -> None:
    assert task.do(CommitEffects(effects=(KvIncr(key="a"), KvIncr(key="b")))) == [1, 1]
    jobs = AddJobs(run=task.its_run, jobs=(job("c"),))
    assert task.refuse(CommitEffects(effects=(jobs,))) == "not_in_task"


def test_a_repeated_batch_gets_its_first_answer_and_has_no_second_effect(task: Task) -> None:
    command = CommitEffects(effects=(KvIncr(key="n"),))
    for _ in range(3):
        assert task.do(command, attempt=task.attempt, client="c", request=1) == [1]
    assert task.state.kv["n"].value == b"1"


def test_every_effect_that_a_batch_may_carry_is_registered() -> None:
    assert set(batch.BATCHABLES) == set(Effect.__args__)  # type: ignore[attr-defined]
