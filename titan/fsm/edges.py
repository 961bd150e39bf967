"""Giving jobs of a run other parents: whether the graph would still be one, and tying the new edges.

A cycle that such a change closes goes through a job that gained a parent. So the search starts at those,
on the graph as it would be, down along children and up along parents by turns: the smaller side ends it.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final

from titan import limits
from titan.fsm.graph import Vertex, find_cycle
from titan.fsm.handling import Budget
from titan.fsm.outcomes import SETTLING, Rejected
from titan.fsm.state import Job, Run
from titan.ids import JobId

Parents = Mapping[JobId, tuple[JobId, ...]]  # job → its parents as they would be
_SLICE: Final = 256  # steps of one side before the other has its turn
_PATH_SHOWN_MAX: Final = 12


def why_not_edges(
    run: Run, changed: Parents, *, new: Mapping[JobId, Job], budget: Budget
) -> Rejected | None:
    """Why these jobs cannot have those parents. `new` are the jobs that join with the same change."""
    gaining: list[JobId] = []
    edges = 0
    for name, parents in changed.items():
        for parent in parents:
            if parent not in run.jobs and parent not in new:
                why = f"job '{name}' depends on '{parent[:200]}', which does not exist"
                return Rejected("unknown_parent", why)
        old = dict.fromkeys(run.jobs[name].parents)
        edges += len(old) + len(parents)
        if any(parent not in old for parent in parents):
            gaining.append(name)
    left = {old: None for name in changed for old in run.jobs[name].parents}
    edges += sum(len(run.jobs[name].children) for name in left)
    if edges > limits.GRAPH_SEARCH_STEPS_MAX:
        return Rejected("too_large", f"{edges} edges would have to be looked at; change fewer jobs")
    return _why_cyclic(run, changed, gaining, new=new, budget=budget) if gaining else None


def _why_cyclic(
    run: Run,
    changed: Parents,
    gaining: Sequence[JobId],
    *,
    new: Mapping[JobId, Job],
    budget: Budget,
) -> Rejected | None:
    if budget.search_left <= 0:  # others have searched in this entry: in the next one it is done
        return Rejected(SETTLING, f"run {run.id}: too much to look at in one entry", run=run.id)
    graph = _Graph(run, changed, new=new)
    sides = (_reach(gaining, graph.below), _reach(gaining, graph.above))
    spent = 0
    while spent <= limits.GRAPH_SEARCH_STEPS_MAX:
        for side, (search, back) in enumerate(zip(sides, (graph.above, graph.below), strict=True)):
            found = next(search)
            spent += _SLICE  # begun ones count as whole
            if found is not None:
                budget.search_left -= spent
                cycle = _cycle_in(found, gaining, graph, back=back)
                return _refusal(cycle[::-1] if side else cycle)
    budget.search_left -= spent
    return Rejected("too_large", "the graph around these jobs is too large to look for cycles")


class _Graph:
    """The graph as it would be."""

    def __init__(self, run: Run, changed: Parents, *, new: Mapping[JobId, Job]) -> None:
        self._jobs = run.jobs
        self._changed = changed
        self._new = new
        self._gained: dict[JobId, list[JobId]] = {}
        added = ((job.id, job.parents) for job in new.values())
        for name, parents in (*changed.items(), *added):
            for parent in parents:
                self._gained.setdefault(parent, []).append(name)

    def above(self, name: JobId) -> Iterable[JobId]:
        """The job's parents."""
        found = self._changed.get(name)
        if found is not None:
            return found
        return (self._new[name] if name in self._new else self._jobs[name]).parents

    def below(self, name: JobId) -> Iterable[JobId]:
        """The job's children."""
        job, changed = self._jobs.get(name), self._changed
        kept = () if job is None else [each for each in job.children if each not in changed]
        gained = self._gained.get(name)
        return kept if gained is None else [*kept, *gained]


_Reached = dict[JobId, JobId]  # job → from which one it was reached first


def _reach(
    starts: Sequence[JobId], following: Callable[[JobId], Iterable[JobId]]
) -> Iterator[_Reached | None]:
    """All that can be reached, without the starts unless they are too; None while it is not done."""
    reached: _Reached = {}
    begun = dict.fromkeys(starts)
    queue, steps = list(begun), 0
    for name in queue:
        for other in following(name):
            steps += 1
            if other not in reached:
                if other not in begun:
                    queue.append(other)
                reached[other] = name
        steps += 1
        if steps >= _SLICE:
            yield from [None] * (steps // _SLICE)
            steps = 0
    yield reached


def _cycle_in(
    reached: _Reached,
    gaining: Sequence[JobId],
    graph: _Graph,
    *,
    back: Callable[[JobId], Iterable[JobId]],
) -> list[JobId]:
    """A cycle through a job that gained a parent: one that can be reached from such jobs again."""
    again = [name for name in gaining if name in reached]
    if not again:
        return []
    if len(gaining) == 1:
        trail = [again[0], reached[again[0]]]
        while trail[-1] != again[0]:
            trail.append(reached[trail[-1]])
        return trail[::-1]
    inside = {name: Vertex(name, tuple(graph.above(name))) for name in (*reached, *gaining)}
    found = find_cycle(inside)
    return found if back == graph.above else found[::-1]


def _refusal(cycle: Sequence[JobId]) -> Rejected | None:
    if not cycle:
        return None
    shown, left_out = list(cycle), len(cycle) - _PATH_SHOWN_MAX
    if left_out > 0:
        half = _PATH_SHOWN_MAX // 2
        shown = [*shown[:half], JobId(f"({left_out} more)"), *shown[-half:]]
    return Rejected("cycle", " → ".join(shown))


def relink(run: Run, changed: Parents) -> None:
    """Give existing jobs their new parents. Children stay in the order of submission."""
    lost: dict[JobId, None] = {}
    for name in changed:
        lost.update(dict.fromkeys(run.jobs[name].parents))
    for name in lost:
        parent = run.jobs[name]
        _keep(parent, [child for child in parent.children if child not in changed])
    for name, parents in changed.items():
        job = run.jobs[name]
        job.parents = tuple([run.jobs[parent].id for parent in parents])  # one string each
        for parent_name in job.parents:
            parent = run.jobs[parent_name]
            if not isinstance(parent.children, list):
                parent.children = list(parent.children)
            insort(parent.children, job.id, key=lambda child: run.jobs[child].seq)
            _keep(parent, parent.children)


def _keep(parent: Job, children: list[JobId]) -> None:
    """As `jobs.link` would have made them."""
    parent.children = children if len(children) > 1 else tuple(children)
