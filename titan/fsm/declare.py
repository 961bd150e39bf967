"""Turning declarations into jobs: what is refused, and how a graph is checked as a whole.

The client has checked all of this with better words; here it is checked once more because nothing that
enters the state may be wrong. No handlers, and no change to the state but interned demands.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from typing import Final

from titan import limits
from titan.fsm.outcomes import Rejected
from titan.fsm.state import Demand, Job
from titan.ids import JobId, is_job_id
from titan.spec.model import DEFAULT_CAPABILITY, ISOLATIONS, JOB_TYPES, TRIGGERS, JobSpec

_PLAIN: Final = Demand((DEFAULT_CAPABILITY,), (("slots", 1),))


def demand_of(spec: JobSpec) -> Demand:
    """What the job asks of a worker, in the one form that equal demands share."""
    if not spec.resources and spec.requirement == _PLAIN.requirement:
        return _PLAIN
    resources = {"slots": 1, **spec.resources}
    return Demand(
        tuple(sorted(dict.fromkeys(spec.requirement))), tuple(sorted(resources.items()))
    )


def why_not_job(spec: JobSpec) -> Rejected | None:
    """Why one declaration cannot be a job, whatever its graph; None when it can."""
    if not is_job_id(spec.id):
        return Rejected("invalid_job", f"'{spec.id[:200]}' is no job id: [A-Za-z0-9._-]{{1,128}}")
    if spec.type != "run" or spec.isolation != "process":
        return _why_not_kind(spec)
    problem = _problem(spec)
    return Rejected("invalid_job", f"job '{spec.id}': {problem}") if problem else None


def _why_not_kind(spec: JobSpec) -> Rejected:
    if spec.type not in JOB_TYPES:
        return Rejected("invalid_job", f"job '{spec.id}': there is no type '{spec.type[:100]}'")
    if spec.isolation not in ISOLATIONS:
        return Rejected(
            "invalid_job", f"job '{spec.id}': there is no isolation '{spec.isolation[:100]}'"
        )
    if spec.type != "run":
        what = f"type '{spec.type}'; this version runs jobs of type 'run' only"
    else:
        what = f"isolation '{spec.isolation}'; this version isolates by 'process' only"
    return Rejected("not_supported", f"job '{spec.id}' asks for {what}")


def _problem(spec: JobSpec) -> str:
    if bool(spec.file) + bool(spec.argv) + bool(spec.shell) != 1:
        return "give exactly one of file, argv and shell"
    if spec.trigger not in TRIGGERS:
        return f"there is no trigger '{spec.trigger[:100]}'"
    if not spec.requirement or "" in spec.requirement:
        return "requirement names at least one capability"
    if not 0 <= spec.retries <= limits.RETRIES_MAX:
        return f"retries is 0 to {limits.RETRIES_MAX}"
    if spec.resources and ("" in spec.resources or min(spec.resources.values()) < 0):
        return "resources have names and are not negative"
    if len(spec.depends_on) > limits.PARENTS_PER_JOB_MAX:
        return f"at most {limits.PARENTS_PER_JOB_MAX} parents"
    return _problem_of_times(spec)


def _problem_of_times(spec: JobSpec) -> str:
    if spec.timeout_ms == 0:
        return "timeout_ms is at least 1"
    for name, value in (
        ("delay_ms", spec.delay_ms),
        ("retry_backoff_ms", spec.retry_backoff_ms),
        ("retry_backoff_cap_ms", spec.retry_backoff_cap_ms),
        ("timeout_ms", spec.timeout_ms),
        ("queue_timeout_ms", spec.queue_timeout_ms),
    ):
        if not 0 <= value <= limits.DURATION_MS_MAX:
            return f"{name} is 0 to {limits.DURATION_MS_MAX}"
    return ""


def why_not_graph(jobs: Sequence[JobSpec], *, known: Mapping[JobId, Job]) -> Rejected | None:
    """Why these jobs cannot join a run that has `known` jobs: duplicates, unknown parents, a cycle."""
    total = len(jobs) + len(known)
    if total > limits.JOBS_PER_RUN_MAX:
        return Rejected(
            "too_large", f"{total} jobs; a run has at most {limits.JOBS_PER_RUN_MAX}"
        )
    new: dict[JobId, JobSpec] = {}
    in_order = True
    for spec in jobs:
        if spec.id in new or spec.id in known:
            return Rejected("duplicate_job", f"there are two jobs '{spec.id}'")
        if in_order:
            for parent in spec.depends_on:
                if parent not in new and parent not in known:
                    in_order = False  # declared later, unknown, or itself
        new[spec.id] = spec
    if in_order:
        return None  # every parent stands before its children: the usual case needs no search
    for spec in jobs:
        for parent in spec.depends_on:
            if parent not in new and parent not in known:
                why = f"job '{spec.id}' depends on '{parent[:200]}', which does not exist"
                return Rejected("unknown_parent", why)
    cycle = _find_cycle(new)
    return Rejected("cycle", " → ".join(cycle)) if cycle else None


def _find_cycle(jobs: Mapping[JobId, JobSpec]) -> list[JobId]:
    """One cycle, from a job along the order of execution back to it; empty when there is none.

    Removes what has no parents left (Kahn 1962); whatever stays has a parent that stays, so walking up
    from any of it must meet itself.
    """
    parents = {
        spec.id: [name for name in dict.fromkeys(spec.depends_on) if name in jobs]
        for spec in jobs.values()
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
