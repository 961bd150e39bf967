"""Edits of a run, collected: `with run.mutate() as edits:` sends them together when the block ends.

Light to import. What jobs take along is packed when the edits are sent (`mutations.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

from titan.errors import InvalidSpec

if TYPE_CHECKING:
    from titan.fsm.commands.mutation import AnyEdit, Fields
    from titan.sdk.jobs import TitanJob

CHANGEABLE: Final = (
    "requirement",
    "resources",
    "priority",
    "parents",
    "affinity",
    "retries",
    "timeout",
    "args",
    "env",
)  # as `TitanJob` names them


class RunEdits:
    """What is to change about a run, all of it or nothing. Methods answer the edits, to go on with."""

    def __init__(self) -> None:
        self.jobs: list[TitanJob] = []
        self.edits: list[AnyEdit] = []
        self.revision = 0  # the run's, once they are committed

    def add(self, *jobs: TitanJob | Iterable[TitanJob]) -> RunEdits:
        """Add jobs; their parents may have ended, run, wait or be new."""
        for job in jobs:
            self.jobs.extend(job if isinstance(job, Iterable) else [job])
        return self

    def set(self, job: str, **fields: Any) -> RunEdits:
        """Change what a job that has not started asks for: any of requirement, resources, priority,
        parents, affinity, retries, timeout (seconds), args and env."""
        from titan.fsm.commands.mutation import Change

        if not fields:
            raise InvalidSpec(f"job {job!r}: nothing is to change", hint=", ".join(CHANGEABLE))
        return self._take(Change, job, set=read_fields(job, fields))

    def skip(self, job: str) -> RunEdits:
        """Do not run it; its children are told, and decide by their triggers."""
        from titan.fsm.commands.mutation import Skip

        return self._take(Skip, job)

    def cancel(self, job: str) -> RunEdits:
        """Cancel it and its descendants."""
        from titan.fsm.commands.mutation import Cancel

        return self._take(Cancel, job)

    def reroute(
        self,
        job: str,
        requirement: str | Iterable[str] | None = None,
        *,
        affinity: bool | None = None,
        restart: bool = False,
    ) -> RunEdits:
        """Run it elsewhere. A running one is taken from its worker, with `restart` only."""
        from titan.fsm.commands.mutation import Reroute

        given = {"requirement": requirement, "affinity": affinity}
        fields = read_fields(job, {name: v for name, v in given.items() if v is not None})
        where = {"requirement": fields.requirement, "affinity": fields.affinity}
        return self._take(Reroute, job, restart=restart, **where)

    def rerun(self, job: str) -> RunEdits:
        """Run an ended job again, and what ended because of it."""
        from titan.fsm.commands.mutation import Rerun

        return self._take(Rerun, job)

    def _take(self, kind: Any, job: str, **fields: Any) -> RunEdits:
        from titan.ids import JobId, strip_v1_prefix

        self.edits.append(kind(job=JobId(strip_v1_prefix(job)), **fields))
        return self


def read_fields(job: str, given: Mapping[str, Any]) -> Fields:
    """Values as people write them, in the types of the model. Raises `InvalidSpec` with every problem."""
    from titan.fsm.commands.mutation import Fields
    from titan.spec.fields import JOB_FIELD
    from titan.spec.problems import Problems, did_you_mean

    problems = Problems(f"job {job!r}")
    read: dict[str, Any] = {}
    for name, value in given.items():
        if name not in CHANGEABLE:
            hint = did_you_mean(name, CHANGEABLE)
            problems.add(f"cannot be changed{hint}", field=name)
            continue
        field = JOB_FIELD[name]
        try:
            read[field.attr] = field.read(value)
        except (ValueError, TypeError) as why:
            problems.add(str(why), field=name)
    problems.raise_if_any()
    return Fields(**read)
