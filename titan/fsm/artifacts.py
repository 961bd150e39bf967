"""Files under keys, and what jobs hand to their children.

Checking and doing are apart (`why_not_publish`, `publish`), so that a publication may be one part of a
larger command that is taken as a whole or not at all.
"""

from __future__ import annotations

import msgspec

from titan.fsm import references
from titan.fsm.batch import Draft, batchable
from titan.fsm.commands import DeleteArtifact, PublishArtifact
from titan.fsm.handling import Stamp, Turn, handles
from titan.fsm.outcomes import Outcome, Rejected
from titan.fsm.records.files import ArtifactKey
from titan.fsm.state import Attempt, Job, Run, State
from titan.ids import JobId, RunId, is_digest
from titan.limits import ARTIFACT_KEY_BYTES_MAX, ARTIFACT_KEYS_MAX, NAME_CHARS_MAX
from titan.spec.manifest import Manifest, is_inside, why_not_manifest
from titan.spec.model import BlobRef


@handles(PublishArtifact)
def publish_artifact(state: State, cmd: PublishArtifact, at: Stamp) -> Outcome:
    """Name a published blob."""
    refusal = why_not_publish(state, cmd)
    if refusal is not None:
        return refusal
    turn = Turn(state, at)
    publish(turn, cmd, by=None)
    return turn.done(at.index)


def why_not_publish(state: State, cmd: PublishArtifact) -> Rejected | None:
    """Why the publication cannot be; None when it can. Changes nothing."""
    if not cmd.key or len(cmd.key.encode()) > ARTIFACT_KEY_BYTES_MAX:
        return Rejected("invalid", f"a key has 1 to {ARTIFACT_KEY_BYTES_MAX} bytes")
    is_name = is_inside(cmd.name) and "/" not in cmd.name and len(cmd.name) <= 2 * NAME_CHARS_MAX
    if not is_name or not 0 <= cmd.mode <= 0o7777:
        return Rejected("invalid", f"{cmd.name[:200]!r} is not the name of a file without folders")
    if not is_digest(cmd.digest):
        return Rejected("invalid", "an artifact is named by its SHA-256 in hex")
    if cmd.digest not in state.blobs:
        return Rejected("unknown_blob", f"no master holds {cmd.digest}; upload it first")
    if cmd.key not in state.artifact_keys and len(state.artifact_keys) >= ARTIFACT_KEYS_MAX:
        return Rejected("too_many", f"there are {ARTIFACT_KEYS_MAX} artifacts; delete some")
    return None


def publish(turn: Turn, cmd: PublishArtifact, *, by: Attempt | None) -> None:
    """Do what `why_not_publish` has allowed. `by`: the attempt that publishes, if it is one."""
    state = turn.state
    references.hold(state, (cmd.digest,))
    old = state.artifact_keys.get(cmd.key)
    state.artifact_keys[cmd.key] = ArtifactKey(
        digest=cmd.digest,
        size=state.blobs[cmd.digest].size,
        name=cmd.name,
        mode=cmd.mode,
        published_ms=turn.at.now_ms,
        run=by.run if by is not None else RunId(""),
        job=by.job if by is not None else JobId(""),
    )
    if old is not None:
        references.release(turn, (old.digest,))


class NewKeys(msgspec.Struct):
    """The keys that a batch adds."""

    keys: dict[str, None] = msgspec.field(default_factory=dict)


def _check_in_batch(draft: Draft, cmd: PublishArtifact) -> Rejected | None:
    pad = draft.pad(NewKeys)
    if cmd.key not in draft.state.artifact_keys:
        pad.keys[cmd.key] = None
    if len(draft.state.artifact_keys) + len(pad.keys) > ARTIFACT_KEYS_MAX:
        return Rejected("too_many", f"there are {ARTIFACT_KEYS_MAX} artifacts; delete some")
    return why_not_publish(draft.state, cmd)


def _apply_in_batch(turn: Turn, cmd: PublishArtifact, _ticket: None) -> int:
    publish(turn, cmd, by=None)
    return turn.at.index


batchable(PublishArtifact, check=_check_in_batch, apply=_apply_in_batch)


@handles(DeleteArtifact)
def delete_artifact(state: State, cmd: DeleteArtifact, at: Stamp) -> Outcome:
    """Remove a key."""
    turn = Turn(state, at)
    old = state.artifact_keys.pop(cmd.key, None)
    if old is not None:
        references.release(turn, (old.digest,))
    return turn.done(old is not None)


# --- what jobs hand on ----------------------------------------------------------------------------


def why_not_outputs(state: State, manifest: Manifest) -> str:
    """What is wrong with the files that an attempt says it leaves; "" when nothing is."""
    problem = why_not_manifest(manifest)
    if problem:
        return problem
    unknown = references.first_unknown(state, manifest)
    return f"no master holds {unknown}" if unknown is not None else ""


def keep_outputs(turn: Turn, run: Run, job: Job, *, manifest: Manifest) -> None:
    """The job has succeeded and leaves these files; those of an earlier success go."""
    references.hold(turn.state, manifest.digests)
    drop_outputs(turn, run.id, job.id)
    turn.state.artifacts.setdefault(run.id, {})[job.id] = manifest


def output_of(manifest: Manifest | None) -> bytes:
    """What stands for an output that is in a blob; b"" when none is."""
    return manifest.output_reference if manifest is not None and manifest.output else b""


def large_output(state: State, run: Run, job: Job) -> BlobRef | None:
    """The blob that the job's output is a mere reference to; None when it is the output itself."""
    manifest = state.artifacts.get(run.id, {}).get(job.id)
    if manifest is None or not manifest.output or job.output != manifest.output_reference:
        return None
    return BlobRef(manifest.output, manifest.output_size)


def drop_outputs(turn: Turn, run: RunId, job: JobId) -> None:
    """The job is to run again: what it left before is not there any more."""
    of_run = turn.state.artifacts.get(run)
    manifest = of_run.pop(job, None) if of_run is not None else None
    if manifest is not None:
        references.release(turn, manifest.digests)
    if of_run is not None and not of_run:
        del turn.state.artifacts[run]


def run_is_forgotten(turn: Turn, run: RunId) -> None:
    """The run is gone: so is what its jobs left."""
    for manifest in turn.state.artifacts.pop(run, {}).values():
        references.release(turn, manifest.digests)
