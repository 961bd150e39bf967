"""Checking a graph of jobs as a whole, before any of it enters a run.

Works on graphs of any depth: no recursion, and one pass when parents are declared before children.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from titan import limits
from titan.fsm.outcomes import Rejected
from titan.fsm.policy import asks_about_others, decode_spec
from titan.fsm.state import Job
from titan.ids import JobId
from titan.spec.ancestry import Ancestry
from titan.spec.conditions import asked_by


def why_not_graph(
    jobs: Sequence[Job], *, known: Mapping[JobId, Job], absent: str = "which does not exist"
) -> Rejected | None:
    """Why these jobs cannot join a run that has `known` jobs: duplicates, unknown parents, a cycle.

    `absent` says in the refusal what is wrong with a parent that is nowhere.
    """
    total = len(jobs) + len(known)
    if total > limits.JOBS_PER_RUN_MAX:
        return Rejected("too_large", f"{total} jobs; a run has at most {limits.JOBS_PER_RUN_MAX}")
    new: dict[JobId, Job] = {}
    in_order = True
    for job in jobs:
        if job.id in new or job.id in known:
            return Rejected("duplicate_job", f"there are two jobs '{job.id}'")
        if in_order:
            for parent in job.parents:
                if parent not in new and parent not in known:
                    in_order = False  # declared later, unknown, or itself
        new[job.id] = job
    if in_order:  # every parent stands before its children: the usual case needs no search
        return why_not_asked(jobs, new=new, known=known)
    for job in jobs:
        for parent in job.parents:
            if parent not in new and parent not in known:
                why = f"job '{job.id}' depends on '{parent[:200]}', {absent}"
                return Rejected("unknown_parent", why)
    cycle = find_cycle({job.id: Vertex(job.id, job.parents) for job in new.values()})
    if cycle:
        return Rejected("cycle", " → ".join(cycle))
    return why_not_asked(jobs, new=new, known=known)


def why_not_asked(
    jobs: Sequence[Job], *, new: Mapping[JobId, Job], known: Mapping[JobId, Job]
) -> Rejected | None:
    """Why a condition among these is about a job that it cannot know, which is any that is not above."""

    def find(name: str) -> Job | None:
        return new.get(JobId(name)) or known.get(JobId(name))

    def parents_of(name: str) -> Sequence[str]:
        job = find(name)
        return job.parents if job is not None else ()

    ancestry = Ancestry(parents_of)
    for job in jobs:
        if not asks_about_others(job):
            continue
        asked = asked_by(decode_spec(job))
        why = ancestry.why_not(job.id, asked, exists=lambda name: find(name) is not None)
        if why:
            return Rejected("unknown_parent", f"job '{job.id}': its condition: {why}")
    return None


class Vertex(NamedTuple):
    """A job as the search sees it."""

    id: JobId
    parents: tuple[JobId, ...]


def find_cycle(jobs: Mapping[JobId, Vertex]) -> list[JobId]:
    """One cycle, from a job along the order of execution back to it; empty when there is none.

    Removes what has no parents left (Kahn 1962); whatever stays has a parent that stays, so walking up
    from any of it must meet itself.
    """
    parents = {
        job.id: [name for name in dict.fromkeys(job.parents) if name in jobs]
        for job in jobs.values()
    }
    children: dict[JobId, list[JobId]] = {}
    for name, above in parents.items():
        for parent in above:
            children.setdefault(parent, []).append(name)
    left = {name: len(above) for name, above in parents.items()}
    queue = deque(name for name, count in left.items() if not count)
    while queue:
        name = queue.popleft()
        del left[name]
        for child in children.get(name, ()):
            left[child] -= 1
            if not left[child]:
                queue.append(child)
    if not left:
        return []
    trail: dict[JobId, None] = {}
    name = next(iter(left))
    while name not in trail:
        trail[name] = None
        name = next(parent for parent in parents[name] if parent in left)
    walk = list(trail)
    cycle = walk[walk.index(name) :]
    return [name, *reversed(cycle)]
