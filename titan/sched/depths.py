"""How much waits, and for what: the ready queue by requirement, and what is not ready yet.

For people who look at the whole cluster. Costs what there are kinds of waiting jobs and live runs, not what
there are jobs; the leader asks once a second at most. Never changes the planner.
"""

from __future__ import annotations

import msgspec

from titan.fsm.state import JobState, State
from titan.limits import QUEUES_TOLD_MAX
from titan.sched.explain import binding_of_lane
from titan.sched.planner import Planner
from titan.sched.queue import Lane


class Depth(msgspec.Struct, frozen=True, kw_only=True):
    """Ready jobs with one requirement. `code` and `text` say what most of them wait for, with the codes of
    `titan why`; `next`: the next plan looks at them."""

    requirement: tuple[str, ...]
    jobs: int
    code: str
    text: str


class Queues(msgspec.Struct, frozen=True, kw_only=True):
    """What waits. `requirements` names the deepest queues, `others` counts the ready jobs of the rest.

    `held`: pending jobs that are not ready: their parents, their time or their turn has not come.
    `unpaid`: no budget has paid for them. `waiting`: gates that wait for a person. `placed`: on
    workers, whether they have been started or not.
    """

    ready: int
    requirements: tuple[Depth, ...]
    others: int
    held: int
    unpaid: int
    waiting: int
    placed: int


def queues(state: State, planner: Planner) -> Queues:
    """The depths of this moment."""
    grouped: dict[tuple[str, ...], list[Lane]] = {}
    for lane in planner.queue.lanes.values():
        grouped.setdefault(lane.need.requirement, []).append(lane)
    counted = [(sum(lane.size for lane in lanes), tags) for tags, lanes in grouped.items()]
    counted.sort(key=lambda pair: (-pair[0], pair[1]))
    told = tuple(
        _depth(state, planner, tags, jobs, grouped[tags])
        for jobs, tags in counted[:QUEUES_TOLD_MAX]
    )
    ready = len(planner.queue)
    pending, waiting, unpaid = _not_running(state)
    return Queues(
        ready=ready,
        requirements=told,
        others=ready - sum(depth.jobs for depth in told),
        held=max(0, pending - ready - unpaid),
        unpaid=unpaid,
        waiting=waiting,
        placed=len(state.attempts),
    )


def _depth(
    state: State, planner: Planner, tags: tuple[str, ...], jobs: int, lanes: list[Lane]
) -> Depth:
    deepest = max(lanes, key=lambda lane: (lane.size, -lane.number))
    code, text = binding_of_lane(state, planner, deepest)
    return Depth(requirement=tags, jobs=jobs, code=code, text=text)


def _not_running(state: State) -> tuple[int, int, int]:
    """How many jobs of live runs are pending, wait for people, or lack a budget's payment."""
    pending = waiting = unpaid = 0
    for run in state.runs.values():
        if not run.ended_ms:
            pending += run.counts.get(JobState.PENDING, 0)
            waiting += run.counts.get(JobState.WAITING, 0)
            unpaid += len(run.unpaid)
    return pending, waiting, unpaid
