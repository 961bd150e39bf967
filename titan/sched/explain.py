"""Why a job does not run, and the smallest change that would start it.

Walks the conditions in the order in which they bind, with the very filters that placement uses. Answers
for people: codes are stable, texts are not.
"""

from __future__ import annotations

import msgspec

from titan.fsm import settling
from titan.fsm.kin import subrun_of
from titan.fsm.state import Job, JobState, Run, State, is_ready
from titan.ids import JobId, RunId
from titan.sched import filters
from titan.sched.need import Need, need_of
from titan.sched.placement import pinned_seat
from titan.sched.planner import Planner
from titan.sched.seat import Seat

_NAMED_MAX = 3  # parents or workers named in a text; the rest is counted


class Reason(msgspec.Struct, frozen=True):
    """The binding reason. `change` is what would start the job, "" when nothing is needed or helps.

    Codes: unknown, over, running, queued_on_worker, settling, gate, subrun, parents, delay, retry, placing,
    no_workers, capability, size, offline, no_session, cordoned, draining, resting, affinity, resources,
    slots, next.
    """

    code: str
    text: str
    change: str = ""


def why(state: State, planner: Planner | None, run: RunId, job: JobId, *, now_ms: int) -> Reason:
    """Why the job is not running now. Without a planner every online worker counts as connected."""
    found = state.runs.get(run)
    known = None if found is None else found.jobs.get(job)
    if found is None or known is None:
        return Reason("unknown", f"there is no job '{job}' in run {run}")
    if known.state.is_over:
        return _over(known)
    if planner is None:
        planner = _bystander(state)
    if known.live:
        return _running(state, planner, known)
    under_way = settling.why_waits(state, found, known)
    if under_way:
        return Reason("settling", f"it waits until {under_way} is carried out")
    if not is_ready(known):
        return _not_ready(found, known, now_ms=now_ms)
    worker = planner.proposed_to(run, job)
    if worker is not None:
        return Reason("placing", f"its assignment to worker {worker} is being committed")
    return _unplaced(planner, known)


def _bystander(state: State) -> Planner:
    planner = Planner(state)
    for worker in state.workers.values():
        if worker.online:
            planner.session_up(worker.id)
    return planner


# --- not waiting for a worker --------------------------------------------------------------------


def _over(job: Job) -> Reason:
    text = f"it is {job.state.value}" + (f": {job.reason}" if job.reason else "")
    done_well = job.state in (JobState.COMPLETED, JobState.SKIPPED)
    return Reason("over", text, "" if done_well else f"retry '{job.id}'")


def _running(state: State, planner: Planner, job: Job) -> Reason:
    worker = state.attempts[job.live].worker
    seat = planner.fleet.seats.get(worker)
    if seat is None or job.live in seat.started or not _is_beyond_slots(seat, job):
        return Reason("running", f"attempt {job.live} is on worker {worker}")
    text = f"attempt {job.live} waits on worker {worker} behind short jobs"
    return Reason("queued_on_worker", text, "a slot of that worker")


def _is_beyond_slots(seat: Seat, job: Job) -> bool:
    """Whether the attempt's turn on its worker has not come, if those start in order."""
    taken = 0
    for attempt, hold in seat.held.items():
        taken += hold.need.slots
        if attempt == job.live:
            return taken > seat.slots and hold.need.slots > 0
    return False


def _not_ready(run: Run, job: Job, *, now_ms: int) -> Reason:
    if job.state is JobState.WAITING:
        return Reason("gate", "it waits for a person", f"approve '{job.id}'")
    if job.state is JobState.RUNNING:
        return Reason("subrun", f"run {subrun_of(run, job)} does its work", "the end of that run")
    if job.waiting_for:
        open_parents = [p for p in job.parents if not run.jobs[p].state.is_over]
        names = _some([f"'{p}' ({run.jobs[p].state.value})" for p in open_parents])
        return Reason("parents", f"it waits for {names}", f"the end of {_some(open_parents)}")
    wait_ms = max(0, job.not_before_ms - now_ms)
    if job.retries_used:
        text = f"try {job.attempts + 1} comes in {wait_ms} ms"
        text += f" because the last one failed: {job.reason}" if job.reason else ""
        return Reason("retry", text, f"{wait_ms} ms of time")
    return Reason("delay", f"its delay ends in {wait_ms} ms", f"{wait_ms} ms of time")


# --- waiting for a worker ------------------------------------------------------------------------


def _unplaced(planner: Planner, job: Job) -> Reason:
    need = need_of(job.demand)
    queued = planner.queue.find(job.seq)
    pinned = None if queued is None else pinned_seat(planner.fleet, queued[1])
    if pinned is not None:
        lacks = filters.lacks_room(pinned, need) or filters.lacks_slots(pinned, need)
        if lacks:
            text = f"it wants worker {pinned.id}, which ran its parent and has no {lacks} free"
            return Reason("affinity", text, f"{lacks} free on {pinned.id}, or no affinity")
        return Reason("next", f"it goes to worker {pinned.id} with the next plan")
    return _binding(planner, need)


def _binding(planner: Planner, need: Need) -> Reason:
    """The filter at which the workers that come closest fail, and what they lack."""
    seats = [planner.fleet.seats[worker] for worker in sorted(planner.fleet.seats)]
    if not seats:
        return Reason("no_workers", "no worker has ever joined", "a worker")
    tags = [filters.lacks_tags(seat.capabilities, need.requirement) for seat in seats]
    capable = [seat for seat, tag in zip(seats, tags, strict=True) if not tag]
    if not capable:
        wanted = ", ".join(need.requirement)
        return Reason("capability", f"no worker offers {wanted}", f"a worker with {wanted}")
    large = [seat for seat in capable if not filters.too_small(seat, need)]
    if not large:
        return _too_small(capable, need)
    usable = [seat for seat in large if not filters.closed(seat)]
    if not usable:
        return _closed(large)
    roomy = [seat for seat in usable if not filters.lacks_room(seat, need)]
    if not roomy:
        return _taken(usable, need)
    if any(not filters.lacks_slots(seat, need) for seat in roomy):
        return Reason("next", "a worker has room for it; it goes there with the next plan")
    best = max(roomy, key=lambda seat: seat.slots - seat.used)
    missing = need.slots - max(0, best.slots - best.used)
    text = f"all slots of {len(roomy)} capable worker(s) are taken"
    return Reason("slots", text, f"{missing} more free slot(s), as on {best.id}")


def _too_small(capable: list[Seat], need: Need) -> Reason:
    name = filters.too_small(capable[0], need)
    amount = need.slots if name == "slots" else dict(need.others)[name]
    offers = [seat.slots if name == "slots" else seat.totals.get(name, 0) for seat in capable]
    text = f"it needs {amount} {name}; the largest capable worker has {max(offers)}"
    return Reason("size", text, f"a worker with {amount} {name}")


def _closed(large: list[Seat]) -> Reason:
    """What keeps the worker that is closest to taking work from doing so."""
    order = ("resting", "cordoned", "draining", "no_session", "offline")
    seat = min(large, key=lambda s: order.index(filters.closed(s)))
    code = filters.closed(seat)
    changes = {
        "resting": "a moment",
        "cordoned": f"opening {seat.id}",
        "draining": f"opening {seat.id}, or another capable worker",
        "no_session": f"a connection of {seat.id} to the leader",
        "offline": f"the return of {seat.id}, or another capable worker",
    }
    text = f"{len(large)} capable worker(s), none of which takes work; {seat.id} is {code}"
    return Reason(code, text, changes[code])


def _taken(usable: list[Seat], need: Need) -> Reason:
    seat = usable[0]
    name = filters.lacks_room(seat, need)
    amount = dict(need.others).get(name, 1)
    best = max(s.count_max - s.count if name == "attempts" else s.free.get(name, 0) for s in usable)
    text = f"it needs {amount} {name}; the most that is free on one worker is {best}"
    return Reason("resources", text, f"{amount} {name} free on one of {len(usable)} worker(s)")


def _some(names: list[str] | list[JobId]) -> str:
    shown = ", ".join(names[:_NAMED_MAX])
    rest = len(names) - _NAMED_MAX
    return f"{shown} and {rest} more" if rest > 0 else shown
