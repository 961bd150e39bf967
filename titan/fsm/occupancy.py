"""What live attempts take of their worker besides slots, which they may also wait for there."""

from __future__ import annotations

from titan.fsm.state import Job


def occupy(used: dict[str, int], job: Job) -> None:
    """Count one more attempt of the job in its worker's `used`."""
    for name, amount in job.demand.resources:
        if amount and name != "slots":
            used[name] = used.get(name, 0) + amount


def vacate(used: dict[str, int], job: Job) -> None:
    """Count one attempt of the job less; nothing is left of what nobody uses."""
    for name, amount in job.demand.resources:
        if amount and name != "slots":
            used[name] -= amount
            if not used[name]:
                del used[name]
