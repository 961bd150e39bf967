"""What waits for workers that do not exist yet: the ready queue by demand, for the autoscaler.

Counts only jobs that more workers would help: not those that wait for one certain worker.
"""

from __future__ import annotations

import msgspec

from titan.sched.need import Need
from titan.sched.placement import pinned_seat
from titan.sched.planner import Planner


class Backlog(msgspec.Struct, frozen=True):
    """Ready jobs of one demand for which no worker has room."""

    need: Need
    count: int
    urgency: int = 0  # of the most urgent one; smaller goes first
    since_ms: int = 0  # since when some have waited without a break


def backlogs(planner: Planner) -> list[Backlog]:
    """The queue by demand, most urgent first. What a plan under way would place may be among them."""
    found: dict[object, Backlog] = {}
    for lane in planner.queue.lanes.values():
        if pinned_seat(planner.fleet, lane) is not None:
            continue
        urgency = planner.queue.head(lane).urgency
        known = found.get(lane.need.demand)
        if known is None:
            found[lane.need.demand] = Backlog(lane.need, lane.size, urgency)
        else:
            urgency = min(urgency, known.urgency)
            found[lane.need.demand] = Backlog(lane.need, known.count + lane.size, urgency)
    return sorted(found.values(), key=lambda one: (one.urgency, one.need.demand))
