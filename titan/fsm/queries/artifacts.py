"""Questions about artifacts and what jobs leave, and the shapes of their answers."""

from __future__ import annotations

import msgspec

from titan.fsm.queries.base import Query
from titan.ids import Digest, JobId, RunId
from titan.spec.manifest import Manifest


class GetArtifact(Query, frozen=True, kw_only=True, tag="artifact"):
    """One artifact key → ArtifactView, or None when it is absent."""

    key: str


class ListArtifacts(Query, frozen=True, kw_only=True, tag="artifacts"):
    """Artifact keys with a prefix, sorted → list[ArtifactView]. `after` continues a page."""

    prefix: str = ""
    limit: int = 1000
    after: str = ""


class GetOutputs(Query, frozen=True, kw_only=True, tag="outputs"):
    """What the jobs of a run, or one of them, hand to their children → list[OutputsView]."""

    run: RunId
    job: str = ""
    limit: int = 100
    after: str = ""


class ArtifactView(msgspec.Struct, frozen=True, kw_only=True):
    """A file published under a key. `run` and `job` are "" unless a task published it."""

    key: str
    digest: Digest
    size: int
    name: str
    mode: int
    published_ms: int
    run: RunId
    job: JobId


class OutputsView(msgspec.Struct, frozen=True, kw_only=True):
    """The files that a job leaves."""

    job: JobId
    manifest: Manifest
