"""Whether jobs form a graph that can run: ids once each, parents that exist, no cycle, within limits.

Everything is iterative: chains of a hundred thousand jobs are ordinary. Knows ids alone, so that the
loader and the SDK share it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from titan.limits import JOBS_PER_RUN_MAX
from titan.spec.problems import Problems, did_you_mean

_PATH_SHOWN_MAX = 12
_ANCESTORS_MAX = 10_000  # looked at for one job; the state machine checks what arrives anyway
_WHITE, _GREY, _BLACK = 0, 1, 2  # not seen, on the path, done


class Vertex(NamedTuple):
    """A job as the graph sees it."""

    id: str
    parents: Sequence[str]
    needs: Sequence[str] = ()  # jobs whose files it takes


class Fault(NamedTuple):
    """What is wrong, at which job (by position) and in which of its fields."""

    job: int
    field: str
    message: str


def find_faults(jobs: Sequence[Vertex], *, open_world: bool = False) -> Iterator[Fault]:
    """Every fault, lazily. With `open_world` unknown parents may already be in the run."""
    if len(jobs) > JOBS_PER_RUN_MAX:
        yield Fault(0, "", f"a run holds at most {JOBS_PER_RUN_MAX} jobs, not {len(jobs)}")
        return
    first: dict[str, int] = {}
    for position, job in enumerate(jobs):
        if job.id in first:
            yield Fault(position, "id", f"{job.id!r} is already the id of job {first[job.id] + 1}")
        first.setdefault(job.id, position)
    if not open_world:
        yield from _unknown_parents(jobs, first)
        yield from _needs_of_others(jobs, first)
    if _is_in_order(jobs, first):
        return  # the usual case needs no search
    for cycle in find_cycles({job.id: job.parents for job in reversed(jobs)}, order=first):
        yield Fault(first[cycle[0]], "depends_on", f"cycle: {_path(cycle)}")


def _is_in_order(jobs: Sequence[Vertex], place: Mapping[str, int]) -> bool:
    """Whether every parent stands before its children, which no cycle allows. Unknown ones may be."""
    return all(
        place.get(parent, -1) < position
        for position, job in enumerate(jobs)
        for parent in job.parents
    )


def check(jobs: Sequence[Vertex], *, problems: Problems, open_world: bool = False) -> None:
    """Put every fault into `problems`, named by the job's id; stops searching when that is full."""
    for fault in find_faults(jobs, open_world=open_world):
        where = f"job {jobs[fault.job].id!r}" if jobs and fault.field else "jobs"
        problems.add(fault.message, field=f"{where}.{fault.field}" if fault.field else where)
        if problems.is_full:
            return


def _unknown_parents(jobs: Sequence[Vertex], known: Mapping[str, int]) -> Iterator[Fault]:
    for position, job in enumerate(jobs):
        for parent in job.parents:
            if parent not in known:
                hint = did_you_mean(parent, known)
                yield Fault(position, "depends_on", f"unknown parent {parent!r}{hint}")


def _needs_of_others(jobs: Sequence[Vertex], known: Mapping[str, int]) -> Iterator[Fault]:
    """Files come from jobs that are surely over: parents, or theirs."""
    for position, job in enumerate(jobs):
        for need in job.needs:
            if need not in known:
                hint = did_you_mean(need, known)
                yield Fault(position, "artifacts", f"takes files of unknown job {need!r}{hint}")
            elif need not in job.parents and not _is_above(jobs, known, job, need):
                why = (
                    f"takes files of {need!r}, which need not be over by then; let it depend on it"
                )
                yield Fault(position, "artifacts", why)


def _is_above(jobs: Sequence[Vertex], known: Mapping[str, int], job: Vertex, wanted: str) -> bool:
    """Whether a job is an ancestor of another; a search that takes too long is answered yes."""
    seen = dict.fromkeys(job.parents)
    for name in (queue := list(seen)):
        if name == wanted or len(seen) > _ANCESTORS_MAX:
            return True
        above = jobs[known[name]].parents if name in known else ()
        for parent in above:
            if parent not in seen:
                seen[parent] = None
                queue.append(parent)
    return False


def find_cycles(
    parents: Mapping[str, Sequence[str]], *, order: Mapping[str, int]
) -> Iterator[list[str]]:
    """Cycles along the direction of execution, each as its jobs with the first declared one first.

    Depth-first search with colours (Cormen et al., section 20.3): one cycle per back edge, so every
    strongly connected part is named at least once. Parents outside `parents` are ignored.
    """
    colour = dict.fromkeys(parents, _WHITE)
    for root in order:
        if colour[root] == _WHITE:
            yield from _search(root, parents=parents, colour=colour, order=order)


def _search(
    root: str,
    *,
    parents: Mapping[str, Sequence[str]],
    colour: dict[str, int],
    order: Mapping[str, int],
) -> Iterator[list[str]]:
    path: list[str] = [root]
    depth = {root: 0}
    ahead = [iter(parents[root])]
    colour[root] = _GREY
    while path:
        parent = next(ahead[-1], None)
        if parent is None:
            done = path.pop()
            del depth[done]
            ahead.pop()
            colour[done] = _BLACK
        elif colour.get(parent, _BLACK) == _WHITE:
            colour[parent] = _GREY
            depth[parent] = len(path)
            path.append(parent)
            ahead.append(iter(parents[parent]))
        elif colour.get(parent) == _GREY:
            yield _forward(path[depth[parent] :], order)


def _forward(upstream: list[str], order: Mapping[str, int]) -> list[str]:
    forward = upstream[::-1]  # the search walks to parents; work flows to children
    start = min(range(len(forward)), key=lambda place: order[forward[place]])
    return forward[start:] + forward[:start]


def _path(cycle: list[str]) -> str:
    shown = [*cycle, cycle[0]]
    left_out = len(shown) - _PATH_SHOWN_MAX
    if left_out > 0:
        half = _PATH_SHOWN_MAX // 2
        shown = [*shown[:half], f"({left_out} more)", *shown[-half:]]
    return " → ".join(shown)
