"""Changing live runs, for code without asyncio: the twin of `mutations.py`."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from titan.sdk.edits import RunEdits
from titan.sdk.face import Face

if TYPE_CHECKING:
    from titan.fsm.commands.mutation import AnyEdit
    from titan.fsm.queries.graph import DeadView, RevisionView
    from titan.sdk.mutations import Graph


class MutationsFace(Face):
    """Changes of runs. Every change answers the run's new revision."""

    def mutate(
        self,
        run: object,
        edits: RunEdits | Iterable[AnyEdit],
        *,
        if_revision: int = 0,
        note: str = "",
    ) -> int:
        """Change a live run: all of the edits or none. Answers its new revision.

        With `if_revision` only while that is the run's revision, else `Conflict` (`revision_changed`).
        `Conflict` and `InvalidSpec` tell why the run cannot be as asked.
        """
        return self._call(self._here().mutate(run, edits, if_revision=if_revision, note=note))

    def add_yaml(
        self,
        run: object,
        path: str | os.PathLike[str],
        *,
        if_revision: int = 0,
        note: str = "",
    ) -> int:
        """Add the jobs of a pipeline's YAML file; they may depend on jobs that the run has."""
        return self._call(self._here().add_yaml(run, path, if_revision=if_revision, note=note))

    @contextmanager
    def changing(self, run: object, *, if_revision: int = 0, note: str = "") -> Iterator[RunEdits]:
        """Collect edits in a block; they are committed together when it ends, unless it raises."""
        edits = RunEdits()
        yield edits
        if edits.edits or edits.jobs:
            self.mutate(run, edits, if_revision=if_revision, note=note)

    def set_job(self, run: object, job: str, **fields: Any) -> int:
        """Change fields of a job that has not started: any of requirement, resources, priority, parents,
        affinity, retries, timeout (seconds), args and env."""
        return self._call(self._here().set_job(run, job, **fields))

    def set_priority(self, run: object, job: str, priority: int) -> int:
        """Let a job that has not started go earlier (higher) or later."""
        return self._call(self._here().set_priority(run, job, priority))

    def set_requirement(self, run: object, job: str, requirement: str | Iterable[str]) -> int:
        """Let a job that has not started ask for other capabilities."""
        return self._call(self._here().set_requirement(run, job, requirement))

    def set_resources(self, run: object, job: str, resources: Mapping[str, float]) -> int:
        """Let a job that has not started ask for other resources."""
        return self._call(self._here().set_resources(run, job, resources))

    def set_parents(self, run: object, job: str, parents: Iterable[str]) -> int:
        """Let a job that has not started wait for other parents."""
        return self._call(self._here().set_parents(run, job, parents))

    def skip(self, run: object, job: str, *, note: str = "") -> int:
        """Do not run a job that has not started; its children decide by their triggers."""
        return self._call(self._here().skip(run, job, note=note))

    def reroute(
        self,
        run: object,
        job: str,
        requirement: str | Iterable[str] | None = None,
        *,
        affinity: bool | None = None,
        restart: bool = False,
    ) -> int:
        """Run a job elsewhere; a running one is stopped and started again, with `restart` only."""
        work = self._here().reroute(run, job, requirement, affinity=affinity, restart=restart)
        return self._call(work)

    def rerun(self, run: object) -> int:
        """Run every failed job of a run again, and what ended because of it; in a run where none
        failed, what was cancelled. The run keeps its history."""
        return self._call(self._here().rerun(run))

    def rerun_from(self, run: object, job: str) -> int:
        """Run an ended job again, and the descendants that ended because of it."""
        return self._call(self._here().rerun_from(run, job))

    def undo(self, run: object, revision: int = 0) -> int:
        """Undo a revision, the newest by default. Raises `Conflict` when that cannot be."""
        return self._call(self._here().undo(run, revision))

    def graph(self, run: object, at: int = 0) -> Graph:
        """A run's graph, now or at an earlier revision. Raises `NotFound` when that is not known."""
        return self._call(self._here().graph(run, at))

    def revisions(self, run: object) -> list[RevisionView]:
        """How a run's graph has changed, newest first."""
        return self._call(self._here().revisions(run))

    def dead_letters(
        self,
        limit: int = 100,
        *,
        run: object = "",
        name: str = "",
        since_ms: int = 0,
        reason: str = "",
        text: str = "",
    ) -> list[DeadView]:
        """Jobs whose retries are used up, the latest first: of one run, of runs of that name, dead
        since then, with a reason that contains a text, with `text` in the name of the run, its
        pipeline or the job."""
        work = self._here().dead_letters(
            limit, run=run, name=name, since_ms=since_ms, reason=reason, text=text
        )
        return self._call(work)

    def replay(self, job_id: str, run: object | None = None) -> None:
        """Run a dead job again in its run, with the descendants that ended because of it."""
        self._call(self._here().replay(job_id, run))

    def replay_all(
        self,
        *,
        run: object = "",
        name: str = "",
        since_ms: int = 0,
        reason: str = "",
        text: str = "",
    ) -> int:
        """Run every dead letter again that the filters let through; answers how many there were."""
        work = self._here().replay_all(
            run=run, name=name, since_ms=since_ms, reason=reason, text=text
        )
        return self._call(work)
