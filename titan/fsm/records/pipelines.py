"""Saved pipelines: a name with its versions, each as it was declared and never changed.

Also what runs owe one another: a sub-run that ended or is to be cancelled (`Kin`).
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from titan.ids import Digest
from titan.spec.budgets import BudgetSpec
from titan.spec.model import Input


class PipelineVersion(msgspec.Struct, frozen=True, array_like=True):
    """One version. An array on disk: new fields go to the end, with a default."""

    number: int
    jobs: bytes  # msgpack of a tuple of JobSpec
    count: int  # of jobs
    saved_ms: int
    bundle: Digest = Digest("")
    inputs: dict[str, Input] = {}
    owner: str = ""
    digests: tuple[Digest, ...] = ()  # every blob it refers to, once each
    budget: BudgetSpec | None = None  # of each of its runs
    labels: dict[str, str] = {}  # of each of its runs

    @property
    def size(self) -> int:
        """What it takes, in bytes."""
        labels = len(msgspec.msgpack.encode(self.labels)) if self.labels else 0
        return len(self.jobs) + len(msgspec.msgpack.encode(self.inputs)) + labels

    def is_like(self, other: PipelineVersion) -> bool:
        """Whether both would start the same runs."""
        mine = (self.jobs, self.bundle, self.inputs, self.budget, self.labels)
        return mine == (other.jobs, other.bundle, other.inputs, other.budget, other.labels)


class SavedPipeline(msgspec.Struct, kw_only=True):
    """A name and its versions, oldest first; at least one."""

    name: str
    versions: dict[int, PipelineVersion] = {}
    next_version: int = 1  # numbers are not used again while the name is there

    @property
    def latest(self) -> PipelineVersion:
        """What runs when nobody names a version."""
        return self.versions[next(reversed(self.versions))]


class Kin(NamedTuple):
    """A sub-run and its parent's job have to be looked at together."""

    due_ms: int
    is_orphan: bool  # its parent's job was cancelled, or a budget is at its end
    why: str = "cancelled"  # the reason of its jobs then
