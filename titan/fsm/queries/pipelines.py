"""Questions about saved pipelines, and the shapes of their answers."""

from __future__ import annotations

import msgspec

from titan.fsm.queries.base import Query
from titan.ids import Digest
from titan.spec.model import Input, JobSpec


class ListPipelines(Query, frozen=True, kw_only=True, tag="pipelines"):
    """Saved pipelines by name, the latest version of each → list[PipelineView]."""

    limit: int = 1000
    after: str = ""  # the last name of the page before


class GetPipeline(Query, frozen=True, kw_only=True, tag="pipeline"):
    """One version of a saved pipeline, the latest for 0 → PipelineView with its jobs."""

    name: str
    version: int = 0


class PipelineView(msgspec.Struct, frozen=True, kw_only=True):
    """A version of a saved pipeline. `jobs` only when one was asked for."""

    name: str
    version: int
    versions: tuple[int, ...]  # all that are kept
    count: int  # of jobs
    saved_ms: int
    owner: str
    bundle: Digest
    digests: tuple[Digest, ...]  # every blob it refers to
    inputs: dict[str, Input]
    jobs: tuple[JobSpec, ...] = ()
    labels: dict[str, str] = {}  # of each of its runs
