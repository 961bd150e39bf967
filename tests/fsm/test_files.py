"""Files in the state: what refers to a blob keeps it, and what nothing refers to goes in time."""

from __future__ import annotations

import msgspec
import pytest

from tests.fsm.driver import MachineDriver, chain, job
from titan.fsm import commands as c
from titan.fsm import logs
from titan.fsm.events import BlobForgotten, LogTailGrew
from titan.fsm.logs import packs_with
from titan.fsm.machine import Machine
from titan.fsm.outcomes import Rejected
from titan.fsm.queries import GetResults
from titan.fsm.views import read
from titan.ids import AttemptId, Digest, JobId, RunId
from titan.limits import (
    BLOB_LEASE_MS,
    CHECKPOINT_KEEP_MS,
    FINISHED_KEEP_MS,
    LOG_INLINE_BYTES_MAX,
    MANIFEST_FILES_MAX,
)
from titan.master.dispatch import run_message
from titan.spec.manifest import FileEntry, Manifest, manifest_of
from titan.spec.model import BlobRef, Call

TAIL_BYTES = 256 * 1024

ONE, TWO, THREE = (Digest(two * 32) for two in ("ab", "cd", "ef"))


def publish(machine: MachineDriver, *digests: Digest) -> None:
    for digest in digests:
        machine.do(c.PublishBlob(digest=digest, size=3, holders=("m1", "m2")))


def files(**paths: Digest) -> Manifest:
    return manifest_of([FileEntry(path, digest, 3, 0o644) for path, digest in paths.items()])


def forgotten(machine: MachineDriver) -> list[Digest]:
    return [event.digest for event in machine.events if isinstance(event, BlobForgotten)]


def test_an_upload_that_nobody_uses_goes_when_its_lease_is_over(machine: MachineDriver) -> None:
    publish(machine, ONE)
    machine.wait(BLOB_LEASE_MS - 1)
    assert ONE in machine.state.blobs
    assert machine.do(c.RenewBlobs(digests=(ONE, TWO))) == [TWO]
    machine.wait(2)  # the first lease is over
    assert not forgotten(machine)
    machine.wait(BLOB_LEASE_MS)
    assert forgotten(machine) == [ONE]
    assert not machine.state.blobs


def test_a_submit_that_was_told_the_blob_is_there_finds_it(machine: MachineDriver) -> None:
    publish(machine, ONE)
    machine.wait(BLOB_LEASE_MS - 1)
    machine.do(c.RenewBlobs(digests=(ONE,)))
    machine.wait(BLOB_LEASE_MS // 2)  # a slow client
    machine.submit([job("a")], bundle=ONE)
    machine.wait(10 * BLOB_LEASE_MS)
    assert ONE in machine.state.blobs


def test_what_only_a_forgotten_run_used_goes_with_it(machine: MachineDriver) -> None:
    publish(machine, ONE, TWO, THREE)
    run = machine.submit([job("a"), job("b", bundle=TWO)], bundle=ONE)
    attempt = machine.assign(run, "a")
    machine.do(c.FinishAttempt(attempt=attempt, exit_code=0, artifacts=files(out=THREE)))
    machine.run_job(run, "b")
    other = machine.submit([job("a")], bundle=ONE)
    machine.wait(10 * BLOB_LEASE_MS)
    assert len(machine.state.blobs) == 3
    machine.wait(FINISHED_KEEP_MS)
    assert run not in machine.state.runs
    machine.wait(1)
    assert list(machine.state.blobs) == [ONE]  # the other run, which is live, needs it
    assert machine.state.runs[other].bundle == ONE
    assert not machine.state.artifacts


def test_a_version_1_cluster_deletes_nothing_and_gives_every_blob_a_lease_when_raised() -> None:
    machine = MachineDriver()
    machine.machine = Machine()  # one that nobody has raised
    machine.do(c.OpenEpoch(epoch=1, leader="m1", cluster_id="x"))
    publish(machine, ONE)
    machine.wait(10 * BLOB_LEASE_MS)
    assert ONE in machine.state.blobs
    machine.do(c.RaiseVersion(version=2))
    machine.wait(BLOB_LEASE_MS - 1)
    assert ONE in machine.state.blobs
    machine.wait(1)
    assert forgotten(machine) == [ONE]


def test_an_artifact_key_keeps_its_file_until_it_is_replaced_or_deleted(
    machine: MachineDriver,
) -> None:
    publish(machine, ONE, TWO)
    for digest in (ONE, TWO):
        machine.do(c.PublishArtifact(key="k", digest=digest, name="f"))
    machine.wait(2 * BLOB_LEASE_MS)
    assert list(machine.state.blobs) == [TWO]
    assert machine.do(c.DeleteArtifact(key="k")) is True
    assert machine.do(c.DeleteArtifact(key="k")) is False
    machine.wait(1)
    assert not machine.state.blobs


def test_a_publication_is_part_of_a_commit_or_nothing_is(machine: MachineDriver) -> None:
    publish(machine, ONE)
    attempt = machine.assign(machine.submit([job("a")]), "a")
    good = c.PublishArtifact(key="k", digest=ONE, name="f")
    lacking = c.PublishArtifact(key="l", digest=TWO, name="f")
    refused = c.CommitEffects(effects=(c.KvPut(key="x", value=b"1"), good, lacking))
    assert machine.refuse(refused, attempt=attempt) == "unknown_blob"
    assert not machine.state.artifact_keys
    assert not machine.state.kv
    machine.do(c.CommitEffects(effects=(c.KvPut(key="x", value=b"1"), good)), attempt=attempt)
    assert list(machine.state.artifact_keys) == ["k"]


@pytest.mark.parametrize(
    ("field", "value", "code"),
    [
        ("digest", THREE, "unknown_blob"),
        ("digest", "../x", "invalid"),
        ("name", "../f", "invalid"),
        ("name", "", "invalid"),
        ("key", "", "invalid"),
        ("mode", -1, "invalid"),
    ],
)
def test_an_artifact_that_cannot_be_is_refused(
    machine: MachineDriver, field: str, value: object, code: str
) -> None:
    publish(machine, ONE)
    fields = {"key": "k", "digest": ONE, "name": "f", field: value}
    assert machine.refuse(c.PublishArtifact(**fields)) == code  # type: ignore[arg-type]


def test_a_success_whose_files_nobody_holds_is_none(machine: MachineDriver) -> None:
    run = machine.submit([job("a", retries=0)])
    attempt = machine.assign(run, "a")
    machine.do(c.FinishAttempt(attempt=attempt, exit_code=0, artifacts=files(x=ONE)))
    view = machine.view(run, "a")
    assert view.state == "FAILED"
    assert view.reason == f"its artifacts are incomplete: no master holds {ONE}"


def test_a_retried_job_leaves_its_files_anew(machine: MachineDriver) -> None:
    publish(machine, ONE, TWO)
    run = machine.submit(chain("a", "b"))
    attempt = machine.assign(run, "a")
    machine.do(c.FinishAttempt(attempt=attempt, exit_code=0, artifacts=files(x=ONE)))
    machine.do(c.RetryJob(run=run, job=machine.job(run, "a").id))
    assert not machine.state.artifacts
    attempt = machine.assign(run, "a")
    machine.do(c.FinishAttempt(attempt=attempt, exit_code=0, artifacts=files(x=TWO)))
    machine.wait(2 * BLOB_LEASE_MS)
    assert list(machine.state.blobs) == [TWO]


@pytest.mark.parametrize("path", ["../x", "/x", "a/../../x", "", "a//b", "a/./b"])
def test_a_manifest_that_leads_out_of_its_folder_is_refused(
    machine: MachineDriver, path: str
) -> None:
    publish(machine, ONE)
    run = machine.submit([job("a")])
    attempt = machine.assign(run, "a")
    manifest = manifest_of([FileEntry(path, ONE, 3, 0o644)])
    publication = c.PublishCheckpoint(attempt=attempt, manifest=manifest, taken_ms=1)
    assert machine.refuse(publication) == "invalid"


def test_a_manifest_has_a_bound(machine: MachineDriver) -> None:
    publish(machine, ONE)
    attempt = machine.assign(machine.submit([job("a")]), "a")
    many = [FileEntry(f"f{n}", ONE, 3, 0o644) for n in range(MANIFEST_FILES_MAX + 1)]
    publication = c.PublishCheckpoint(attempt=attempt, manifest=manifest_of(many), taken_ms=1)
    assert machine.refuse(publication) == "invalid"
    packed = Manifest(listing=ONE, pack=ONE, count=len(many), size=9)
    machine.do(c.PublishCheckpoint(attempt=attempt, manifest=packed, taken_ms=1))


def test_a_checkpoint_is_the_live_attempts_and_the_newest_wins(machine: MachineDriver) -> None:
    publish(machine, ONE, TWO, THREE)
    run = machine.submit([job("a", retry_backoff_ms=0)])
    first = machine.assign(run, "a")

    def take(attempt: AttemptId, digest: Digest, taken_ms: int) -> c.PublishCheckpoint:
        return c.PublishCheckpoint(attempt=attempt, manifest=files(n=digest), taken_ms=taken_ms)

    assert machine.do(take(first, ONE, 10)) is True
    assert machine.do(take(first, TWO, 9)) is False
    machine.do(c.ExpireWorker(worker=machine.job(run, "a").worker, incarnation=1))
    assert machine.refuse(take(first, TWO, 11)) == "attempt_not_live"
    second = machine.assign(run, "a", "w2")
    assert machine.do(take(second, THREE, 1)) is True  # another clock
    (checkpoint,) = machine.state.checkpoints[run].values()
    assert checkpoint.manifest == files(n=THREE)
    machine.do(c.FinishAttempt(attempt=second, exit_code=0))
    machine.wait(CHECKPOINT_KEEP_MS - 1)
    assert machine.state.checkpoints
    machine.wait(1)
    assert not machine.state.checkpoints
    machine.wait(BLOB_LEASE_MS)
    assert not machine.state.blobs


def test_a_job_that_is_run_again_in_time_finds_its_checkpoint(machine: MachineDriver) -> None:
    publish(machine, ONE)
    run = machine.submit([job("a", retries=0)])
    attempt = machine.assign(run, "a")
    machine.do(c.PublishCheckpoint(attempt=attempt, manifest=files(n=ONE), taken_ms=1))
    machine.do(c.FinishAttempt(attempt=attempt, exit_code=1))
    machine.do(c.RetryJob(run=run, job=machine.job(run, "a").id))
    machine.wait(10 * CHECKPOINT_KEEP_MS)
    assert machine.state.checkpoints[run]


# --- logs -----------------------------------------------------------------------------------------


def run_printing(machine: MachineDriver, text: bytes) -> tuple[RunId, AttemptId]:
    run = machine.submit([job("a")])
    attempt = machine.assign(run, "a")
    machine.do(c.FinishAttempt(attempt=attempt, exit_code=0, log=text, log_bytes=max(1, len(text))))
    return run, attempt


def test_small_logs_wait_in_the_state_until_they_are_packed_and_go_with_their_runs(
    machine: MachineDriver,
) -> None:
    publish(machine, ONE)
    run, attempt = run_printing(machine, b"hello\n")
    other, second = run_printing(machine, b"world\n")
    assert machine.state.log_tail[attempt].text == b"hello\n"
    assert machine.do(c.PackLogs(digest=ONE, attempts=(attempt, second))) == 2
    assert not machine.state.log_tail
    assert [pack.digest for pack in packs_with(machine.state, run, attempt)] == [ONE]
    assert not packs_with(machine.state, run, AttemptId(second + 1))
    machine.wait(2 * BLOB_LEASE_MS)
    assert ONE in machine.state.blobs
    machine.wait(FINISHED_KEEP_MS)
    assert run not in machine.state.runs
    assert other not in machine.state.runs
    assert not machine.state.log_packs
    machine.wait(1)
    assert not machine.state.blobs


def test_the_tail_is_bounded_and_asks_to_be_packed(
    machine: MachineDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs, "LOG_TAIL_BYTES_MAX", TAIL_BYTES)
    monkeypatch.setattr(logs, "LOG_TAIL_PACK_BYTES", TAIL_BYTES // 8)
    text = b"x" * LOG_INLINE_BYTES_MAX
    entries = TAIL_BYTES // len(text) + 10
    asked = 0
    for _ in range(entries):
        run_printing(machine, text)
        is_enough = machine.state.log_tail_bytes >= TAIL_BYTES // 8
        assert is_enough == any(isinstance(event, LogTailGrew) for event in machine.events)
        asked += is_enough
    assert machine.state.log_tail_bytes <= TAIL_BYTES
    assert 0 < asked < entries
    run_printing(machine, text + b"x")
    assert b"x" * (len(text) + 1) not in [log.text for log in machine.state.log_tail.values()]


def test_a_worker_that_repeats_itself_adds_no_second_pack(machine: MachineDriver) -> None:
    publish(machine, ONE)
    run, attempt = run_printing(machine, b"")
    keep = c.KeepLogs(digest=ONE, attempts=(attempt,), runs=(run, RunId("r-gone")))
    assert machine.do(keep) is True
    assert machine.do(keep) is True
    assert len(machine.state.log_packs) == 1
    assert machine.do(c.KeepLogs(digest=ONE, attempts=(attempt,), runs=(RunId("x"),))) is False
    assert (
        machine.refuse(c.KeepLogs(digest=TWO, attempts=(attempt,), runs=(run,))) == "unknown_blob"
    )


def test_an_output_in_a_blob_is_kept_as_long_as_the_job_stands(machine: MachineDriver) -> None:
    publish(machine, THREE)
    jobs = [
        job("a"),
        job("b", "a", when="outputs.a == 1"),
        job("c", "a", when="states.a == 'FAILED'"),
    ]
    run = machine.submit(jobs)
    left = Manifest(output=THREE, output_size=70_000)
    machine.run_job(run, "a", artifacts=left)
    assert machine.job(run, "a").output == left.output_reference
    assert machine.state.blob_refs == {THREE: 1}
    machine.wait(0)
    assert machine.view(run, "b").reason == "when: the output of 'a' is too large to be asked about"
    assert machine.states(run)["c"] == "SKIPPED"
    machine.do(c.RetryJob(run=run, job=JobId("a")))
    assert machine.state.blob_refs == {}
    machine.run_job(run, "a", output=b"1")
    machine.wait(0)
    machine.run_job(run, "b")


def test_a_small_output_that_looks_like_a_reference_is_none(machine: MachineDriver) -> None:
    run = machine.submit([job("a"), job("b", "a", when="len(outputs.a) == 2")])
    machine.run_job(run, "a", output=Manifest(output=ONE, output_size=3).output_reference)
    machine.wait(0)
    machine.run_job(run, "b")


def test_an_output_in_a_blob_that_nobody_holds_is_lost(machine: MachineDriver) -> None:
    run = machine.submit([job("a", retries=0)])
    machine.run_job(run, "a", artifacts=Manifest(output=TWO, output_size=70_000))
    assert machine.states(run)["a"] in ("FAILED", "DEAD")


def test_large_arguments_are_kept_as_long_as_their_run_is_known(machine: MachineDriver) -> None:
    publish(machine, ONE, TWO, THREE)
    call = Call("m", "f", blobs=(BlobRef(ONE, 60_000), BlobRef(TWO, 70_000)), args_are_blob=True)
    run = machine.submit([job("a", argv=(), call=call), job("b", "a", argv=(), call=call)])
    machine.do(c.AddJobs(run=run, jobs=(job("c", "b", argv=(), call=call, bundle=THREE),)))
    machine.wait(10 * BLOB_LEASE_MS)
    assert machine.state.blob_refs == {ONE: 3, TWO: 3, THREE: 1}
    for name in "abc":
        machine.run_job(run, name)
    machine.wait(FINISHED_KEEP_MS)
    assert run not in machine.state.runs
    machine.wait(1)
    assert not machine.state.blobs
    assert not machine.state.blob_refs


def test_a_saved_pipeline_keeps_its_large_arguments(machine: MachineDriver) -> None:
    publish(machine, ONE)
    call = Call("m", "f", blobs=(BlobRef(ONE, 60_000),))
    machine.do(c.SavePipeline(name="p", jobs=(job("a", argv=(), call=call),)))
    machine.wait(10 * BLOB_LEASE_MS)
    assert machine.state.blob_refs == {ONE: 1}
    machine.do(c.DeletePipeline(name="p"))
    assert machine.state.blob_refs == {}


@pytest.mark.parametrize(
    ("call", "why"),
    [
        (Call("m", "f", blobs=(BlobRef(Digest("x"), 1),)), "named by its SHA-256"),
        (Call("m", "f", blobs=(BlobRef(ONE, -1),)), "named by its SHA-256"),
        (Call("m", "f", blobs=(BlobRef(ONE, 1),) * 65), "at most 64"),
        (Call("m", "f", b"x", blobs=(BlobRef(ONE, 1),), args_are_blob=True), "not both"),
        (Call("m", "f", args_are_blob=True), "not both"),
    ],
)
def test_a_call_whose_blobs_cannot_be_is_refused(
    machine: MachineDriver, call: Call, why: str
) -> None:
    submit = c.SubmitRun(run=RunId("r-1"), name="n", jobs=(job("a", argv=(), call=call),))
    refused = machine.apply(submit)
    assert isinstance(refused, Rejected)
    assert why in refused.why


def test_the_large_result_of_a_superseded_attempt_is_refused_and_its_blob_goes(
    machine: MachineDriver,
) -> None:
    publish(machine, ONE, TWO)
    run = machine.submit([job("a"), job("b", "a")])
    first = machine.assign(run, "a")
    machine.do(c.ReleaseAttempt(attempt=first, cause="lost"))
    second = machine.assign(run, "a")
    stale = c.FinishAttempt(
        attempt=first, exit_code=0, artifacts=Manifest(output=ONE, output_size=70_000)
    )
    refused = machine.apply(stale)
    assert isinstance(refused, Rejected)
    assert refused.code == "attempt_not_live"
    machine.do(msgspec.structs.replace(stale, attempt=second, artifacts=Manifest(output=TWO)))
    machine.wait(10 * BLOB_LEASE_MS)
    assert list(machine.state.blobs) == [TWO]


def test_whoever_asks_for_results_and_whoever_is_given_them_hears_which_are_blobs(
    machine: MachineDriver,
) -> None:
    publish(machine, ONE)
    call = Call("m", "f", inputs=(JobId("b"), JobId("a")))
    jobs = [job("a"), job("b"), job("c", "a", "b", argv=(), call=call)]
    run = machine.submit(jobs)
    machine.run_job(run, "a", artifacts=Manifest(output=ONE, output_size=70_000))
    lookalike = Manifest(output=ONE, output_size=70_000).output_reference
    machine.run_job(run, "b", output=lookalike)
    asked = GetResults(run=run, jobs=(JobId("a"), JobId("b")))
    assert [view.blob for view in read(machine.state, asked)] == [BlobRef(ONE, 70_000), None]
    attempt = machine.state.attempts[machine.assign(run, "c")]
    told = run_message(machine.state, attempt, epoch=1)
    assert told.results == (lookalike, lookalike)
    assert told.large_results == {1: BlobRef(ONE, 70_000)}
