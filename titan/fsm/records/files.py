"""What the state holds about files besides the blobs themselves."""

from __future__ import annotations

import msgspec

from titan.ids import AttemptId, Digest, JobId, RunId
from titan.spec.manifest import Manifest


class ArtifactKey(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A file published under a key, until it is replaced or deleted."""

    digest: Digest
    size: int
    name: str  # of the file, without folders
    mode: int
    published_ms: int
    run: RunId = RunId("")  # of the task that published it, if it was one
    job: JobId = JobId("")


class Checkpoint(msgspec.Struct, array_like=True):
    """The files that a job's attempts have published last."""

    manifest: Manifest
    attempt: AttemptId
    taken_ms: int  # by the clock of the worker: orders what one attempt has published
    published_ms: int
    expires_ms: int = 0  # once the job is over


class TailLog(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A small finished log that no pack holds yet."""

    run: RunId
    job: JobId
    text: bytes
    started_ms: int
    ended_ms: int


class LogPack(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A blob with finished logs. Which attempts exactly, its own index tells."""

    digest: Digest
    first: AttemptId
    last: AttemptId
    runs: tuple[RunId, ...]  # that are retained, each once
