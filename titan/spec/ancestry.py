"""Whether jobs ask only about jobs above them: no other has surely put anything out by then.

`Ancestry` is shared by the state machine and by `find_faults`, which says the same to people earlier.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from titan.limits import ANCESTRY_STEPS_MAX
from titan.spec.conditions import why_not_parameters
from titan.spec.expressions import Expression, parse
from titan.spec.gates import gate_id
from titan.spec.graph import Fault
from titan.spec.model import Scalar
from titan.spec.problems import did_you_mean
from titan.spec.templates import expressions_in


class Ancestry:
    """Looks whether the jobs that are asked about are above those who ask; all together only so far.

    `parents_of` answers None for a job that it does not know: then whatever is asked may be above it.
    """

    def __init__(self, parents_of: Callable[[str], Sequence[str] | None]) -> None:
        self._parents_of = parents_of
        self._left = ANCESTRY_STEPS_MAX

    def why_not(self, job: str, asked: Iterable[str], *, exists: Callable[[str], bool]) -> str:
        """Why the job cannot ask about one of these; "" when it can."""
        parents = self._parents_of(job) or ()
        far = [name for name in asked if name not in parents]
        if not far:
            return ""
        if job in far:
            return f"job {job!r} cannot ask about itself"
        above, is_open = self._above(parents, wanted=dict.fromkeys(far))
        for name in far:
            if name in above or is_open:
                continue
            if not exists(name):
                return f"there is no job {name!r}"
            if self._left <= 0:
                return f"{name!r} is too far above: add it to depends_on"
            return f"does not depend on {name!r}: add it to depends_on"
        return ""

    def _above(
        self, parents: Sequence[str], *, wanted: dict[str, None]
    ) -> tuple[dict[str, None], bool]:
        """Ancestors, as many as it takes to find those that are wanted; and whether some are unknown."""
        seen = dict.fromkeys(parents)
        queue, is_open, missing = list(seen), False, len(wanted)
        while queue and missing and self._left > 0:
            above = self._parents_of(queue.pop())
            is_open = is_open or above is None
            for name in above or ():
                self._left -= 1
                if name not in seen:
                    seen[name] = None
                    queue.append(name)
                    missing -= name in wanted
        return seen, is_open


class Asker(NamedTuple):
    """A job as declared, with its expressions, which can be read."""

    id: str
    parents: Sequence[str]
    when: str = ""
    foreach: str = ""
    parameters: Mapping[str, Scalar] = {}  # of a sub-run

    @property
    def expressions(self) -> Iterator[tuple[str, Expression]]:
        """Each, with the field that it stands in."""
        for field, text in (("when", self.when), ("foreach", self.foreach)):
            if text:
                yield field, parse(text)
        for _, expression in expressions_in(self.parameters):
            yield "with", expression


def find_faults(
    jobs: Sequence[Asker], *, gates: Iterable[tuple[str, str]] = (), open_world: bool = False
) -> Iterator[Fault]:
    """Every expression that is about a job it cannot know. `gates`: those that are put after jobs. With
    `open_world` unknown parents may already be in the run."""
    gate_of = {job: gate for gate, job in gates}
    parents: dict[str, Sequence[str]] = {gate: (job,) for job, gate in gate_of.items()}
    for job in jobs:
        behind = [gate_of[name] for name in job.parents if name in gate_of]
        parents[job.id] = (*job.parents, *behind)
    missing = None if open_world else ()
    ancestry = Ancestry(lambda name: parents.get(name, missing))
    for position, job in enumerate(jobs):
        for field, expression in job.expressions:
            asked = expression.jobs
            why = ancestry.why_not(job.id, asked, exists=parents.__contains__)
            if why:
                yield Fault(position, field, why + _hint(why, asked, parents))


def _hint(why: str, asked: Iterable[str], known: Iterable[str]) -> str:
    if not why.startswith("there is no job"):
        return ""
    return next(
        (hint for name in asked if name not in known and (hint := did_you_mean(name, known))), ""
    )


def faults_of_declared(
    declared: Sequence[Mapping[str, Any]], parameters: Mapping[str, object]
) -> Iterator[Fault]:
    """The same for jobs as they were read from a file, with those about unknown parameters."""
    askers = [
        Asker(
            job.get("id", f"({position})"),
            job.get("depends_on", ()),
            job.get("when", ""),
            job.get("foreach", ""),
            job.get("parameters", {}),
        )
        for position, job in enumerate(declared)
    ]
    gates = [
        (gate_id(asker.id), asker.id)
        for asker, job in zip(askers, declared, strict=True)
        if job.get("hitl_message") and job.get("type") != "gate"
    ]
    yield from find_faults(askers, gates=gates)
    for position, asker in enumerate(askers):
        for field, expression in asker.expressions:
            why = why_not_parameters(expression, parameters)
            if why:
                yield Fault(position, field, why)
