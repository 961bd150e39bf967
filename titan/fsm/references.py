"""Who refers to which blob, counted, so that a blob goes when nobody does.

A blob may go once nothing refers to it and its lease is over: then its timer takes it out of the state and
every master deletes its file. Referring are runs (their bundles, the large arguments of calls), what jobs
hand to their children, checkpoints, artifact keys and packs of logs; each of them calls `hold` and
`release`. The counts are an index: `all_references` counts them afresh.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

import msgspec

from titan.fsm import timers
from titan.fsm.handling import Turn
from titan.fsm.state import Blob, Job, Run, State
from titan.ids import Digest
from titan.spec.manifest import Manifest
from titan.spec.model import BlobRef

_LEASES_SINCE: Final = 2  # the version of the cluster from which on blobs are ever deleted


class _CallOf(msgspec.Struct, gc=False):
    blobs: tuple[BlobRef, ...] = ()


class _SpecOf(msgspec.Struct, gc=False):
    bundle: Digest = Digest("")
    call: _CallOf | None = None


_spec_decoder = msgspec.msgpack.Decoder(_SpecOf)


# --- counting -------------------------------------------------------------------------------------


def hold(state: State, digests: Iterable[Digest]) -> None:
    """One more refers to each of these blobs, published or not."""
    refs = state.blob_refs
    for digest in digests:
        refs[digest] = refs.get(digest, 0) + 1


def release(turn: Turn, digests: Iterable[Digest]) -> None:
    """One less does; a blob that nobody refers to any more may go when its lease is over."""
    state = turn.state
    for digest in digests:
        left = state.blob_refs[digest] - 1
        if left:
            state.blob_refs[digest] = left
            continue
        del state.blob_refs[digest]
        blob = state.blobs.get(digest)
        if blob is not None:
            look_later(state, blob)


def renew(state: State, blob: Blob) -> None:
    """Whoever hears of the blob now has a lease's time to refer to it."""
    if state.version >= _LEASES_SINCE:
        blob.lease_ms = max(blob.lease_ms, state.now_ms + state.retention.lease_ms)
        if not state.blob_refs.get(blob.digest):
            look_later(state, blob)


def look_later(state: State, blob: Blob) -> None:
    """Look whether an unreferenced blob may go, when its lease is over; never in this very entry."""
    if state.version < _LEASES_SINCE or blob.due_ms:
        return
    blob.due_ms = max(blob.lease_ms, state.now_ms + 1)
    timers.set_timer(state, timers.BLOB, blob.digest, due_ms=blob.due_ms)


def lease_all(state: State) -> None:
    """The cluster has just learnt to delete blobs: none goes before a lease is over."""
    for blob in state.blobs.values():
        renew(state, blob)


# --- who refers -----------------------------------------------------------------------------------


def of_run(run: Run) -> Iterator[Digest]:
    """The bundles of a run and of its jobs."""
    if run.bundle:
        yield run.bundle
    yield from of_jobs(run.jobs.values())


def of_jobs(jobs: Iterable[Job]) -> Iterator[Digest]:
    """The bundles that jobs name themselves, and the large arguments of calls. Most specs are not
    decoded: they do not hold these words."""
    for job in jobs:
        if b"bundle" in job.spec or b"blobs" in job.spec:
            spec = _spec_decoder.decode(job.spec)
            if spec.bundle:
                yield spec.bundle
            if spec.call is not None:
                yield from (blob.digest for blob in spec.call.blobs)


def all_references(state: State) -> dict[Digest, int]:
    """Every count afresh, from the records."""
    refs: dict[Digest, int] = {}
    for digest in _each(state):
        refs[digest] = refs.get(digest, 0) + 1
    return refs


def _each(state: State) -> Iterator[Digest]:
    for run in state.runs.values():
        yield from of_run(run)
    for stage in state.stages.values():
        yield from of_jobs(stage.run.jobs.values())
    for saved in state.pipelines.values():
        for version in saved.versions.values():
            yield from version.digests
    for key in state.artifact_keys.values():
        yield key.digest
    for manifest in _manifests(state):
        yield from manifest.digests
    for pack in state.log_packs.values():
        yield pack.digest


def _manifests(state: State) -> Iterator[Manifest]:
    for manifests in state.artifacts.values():
        yield from manifests.values()
    for checkpoints in state.checkpoints.values():
        for checkpoint in checkpoints.values():
            yield checkpoint.manifest


def first_unknown(state: State, manifest: Manifest) -> Digest | None:
    """A blob of the manifest that no master holds, None when all are there."""
    return next((digest for digest in manifest.digests if digest not in state.blobs), None)
