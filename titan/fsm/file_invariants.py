"""What must be true of files in every state; see `invariants.py`."""

from __future__ import annotations

from titan import limits
from titan.fsm import logs, references, timers
from titan.fsm.state import State
from titan.spec.manifest import why_not_manifest

Counted = dict[tuple[str, tuple[str, ...]], int]


def validate_files(state: State, counted: Counted) -> None:
    """Raise `AssertionError` unless counts, leases and timers of files agree with the records."""
    refs = references.all_references(state)
    assert state.blob_refs == refs, f"blobs are referred to by {refs}, not {state.blob_refs}"
    _validate_blobs(state, counted)
    _validate_keys(state)
    _validate_outputs(state)
    _validate_checkpoints(state, counted)
    _validate_logs(state)


def _validate_blobs(state: State, counted: Counted) -> None:
    for digest, blob in state.blobs.items():
        assert digest == blob.digest, f"blob {digest} is filed wrongly"
        due_ms = counted.get((timers.BLOB, (digest,)), 0)
        assert due_ms == blob.due_ms, f"blob {digest} is looked at {due_ms}, not {blob.due_ms}"
        may_go = state.version >= 2 and digest not in state.blob_refs
        assert blob.due_ms or not may_go, f"blob {digest} is never deleted"


def _validate_keys(state: State) -> None:
    assert len(state.artifact_keys) <= limits.ARTIFACT_KEYS_MAX, "too many artifacts"
    for key, artifact in state.artifact_keys.items():
        assert artifact.digest in state.blobs, f"the blob of artifact {key} is gone"
        assert artifact.size == state.blobs[artifact.digest].size, (
            f"artifact {key} has a wrong size"
        )


def _validate_outputs(state: State) -> None:
    for run, manifests in state.artifacts.items():
        assert manifests, f"run {run} has an empty list of artifacts"
        for job_id, manifest in manifests.items():
            job = state.job(run, job_id)
            assert job is not None, f"{run}/{job_id} is gone and has artifacts"
            assert job.state.value == "COMPLETED", f"{run}/{job_id} has artifacts: {job.state}"
            assert not why_not_manifest(manifest), why_not_manifest(manifest)
            assert references.first_unknown(state, manifest) is None, f"{run}/{job_id}: blobs gone"


def _validate_checkpoints(state: State, counted: Counted) -> None:
    for run, checkpoints in state.checkpoints.items():
        assert checkpoints, f"run {run} has an empty list of checkpoints"
        for job_id, checkpoint in checkpoints.items():
            name = f"the checkpoint of {run}/{job_id}"
            job = state.job(run, job_id)
            assert job is not None, f"{name}: no such job"
            assert job.state.is_over == bool(checkpoint.expires_ms), f"{name}: {checkpoint}"
            due_ms = counted.get((timers.CHECKPOINT, (run, job_id)), 0)
            assert due_ms == checkpoint.expires_ms, f"{name} expires at {due_ms}"
            unknown = references.first_unknown(state, checkpoint.manifest)
            assert unknown is None, f"{name}: {unknown} is gone"


def _validate_logs(state: State) -> None:
    size = sum(logs.size_of(log) for log in state.log_tail.values())
    assert state.log_tail_bytes == size, f"{size} bytes of logs, not {state.log_tail_bytes}"
    assert size <= limits.LOG_TAIL_BYTES_MAX, f"{size} bytes of logs wait"
    of_runs: dict[str, tuple[int, ...]] = {}
    for number, pack in state.log_packs.items():
        assert 0 < number < state.next_log_pack, f"pack {number} was never drawn"
        assert pack.digest in state.blobs, f"the blob of pack {number} is gone"
        assert pack.runs, f"nobody needs pack {number}"
        for run in pack.runs:
            assert run in state.runs, f"pack {number} is kept for run {run}, which is gone"
            of_runs[run] = (*of_runs.get(run, ()), number)
    assert dict(state.packs_of) == of_runs, f"packs are of {of_runs}, not {state.packs_of}"
