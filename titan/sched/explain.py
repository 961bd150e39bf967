"""Why a job does not run, and the smallest change that would start it.

Walks the conditions in the order in which they bind, with the very filters that placement uses, and has
the planner itself rehearse what it answers: `Change.proven` says that it assigned the job in a plan.
Answers for people: codes are stable, texts are not.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from titan.fsm import budgets, settling
from titan.fsm.kin import subrun_of
from titan.fsm.state import Job, JobState, Run, State, is_ready
from titan.ids import JobId
from titan.limits import WHY_WORKERS_MAX
from titan.sched import filters, rooms
from titan.sched.autoscale import Standing, offered
from titan.sched.changes import amounts, candidates, some
from titan.sched.need import Need, need_of
from titan.sched.placement import pinned_seat
from titan.sched.planner import Planner
from titan.sched.queue import Lane
from titan.sched.rehearsal import Rehearsals
from titan.sched.seat import Seat
from titan.sched.verdicts import Change, PoolVerdict, Verdict, Why

_NOTHING = Change(kind="nothing")
_FILTERS = ("", "slots", "room", "closed", "size", "tags")  # the closest to taking the job first


class _Binding(msgspec.Struct, frozen=True):
    """The binding reason, and the change that it suggests when no rehearsal finds one."""

    code: str
    text: str
    change: Change = _NOTHING


def why(
    state: State,
    planner: Planner,
    run: Run,
    job: Job,
    *,
    now_ms: int,
    standings: Mapping[str, Standing] | None = None,
) -> Why:
    """Why the job is not running now. `standings`: what the autoscaler says of each pool."""
    found = _without_workers(state, planner, run, job, now_ms=now_ms)
    if found is not None:
        return _answer(run, job, found)
    queued = planner.queue.find(job.seq)
    if queued is None:
        text = "the planner has yet to look at it"
        return _answer(run, job, _Binding("unread", text, Change(kind="nothing", text="a moment")))
    need = need_of(job.demand)
    entry, lane = queued
    lacking = _service(planner, lane, state.ports) if lane.is_of_services else None
    if lacking is not None:
        return _answer(run, job, lacking)
    rehearsals = Rehearsals(state, planner, queued=(entry, lane.key), now_ms=now_ms)
    pinned = pinned_seat(planner.fleet, lane)
    binding = _binding(planner, need, pinned=pinned, ahead=rehearsals.ahead_count)
    if rehearsals.assigns(_NOTHING):
        change = msgspec.structs.replace(_NOTHING, proven=True)
        binding = _Binding("next", "nothing is in the way: the next plan assigns it", change)
    else:
        tries = candidates(
            need,
            seats=_seats(planner),
            workers=state.workers,
            pools=[state.pools[name] for name in sorted(state.pools)],
            standings=standings or {},
            ahead=rehearsals.ahead,
            now_ms=now_ms,
        )
        change = _first_that_works(rehearsals, tries)
        binding = msgspec.structs.replace(binding, change=change)
    return _answer(
        run,
        job,
        binding,
        ahead=rehearsals.ahead_count,
        workers=_verdicts(planner, need),
        pools=_pools(state, need, standings or {}),
    )


def binding_of_lane(state: State, planner: Planner, lane: Lane) -> tuple[str, str]:
    """What jobs of this lane wait for, as code and text, without a rehearsal.

    `next` while the lane is not parked.
    """
    if lane.parked_in is None:
        return "next", "the next plan looks at them"
    lacking = _service(planner, lane, state.ports) if lane.is_of_services else None
    found = lacking or _binding(
        planner, lane.need, pinned=pinned_seat(planner.fleet, lane), ahead=1
    )
    return found.code, found.text


def _first_that_works(rehearsals: Rehearsals, tries: Iterable[Change]) -> Change:
    """The first change that a rehearsal proves; else the first of all, which is a guess and says so."""
    first = _NOTHING
    for change in tries:
        if rehearsals.assigns(change):
            return msgspec.structs.replace(change, proven=True)
        first = change if first is _NOTHING else first
        if not rehearsals.tries_left:
            break
    return first


def _answer(
    run: Run,
    job: Job,
    found: _Binding,
    *,
    ahead: int = 0,
    workers: tuple[Verdict, ...] = (),
    pools: tuple[PoolVerdict, ...] = (),
) -> Why:
    return Why(
        run=run.id,
        job=job.id,
        state=job.state.value,
        code=found.code,
        text=found.text,
        change=found.change,
        ahead=ahead,
        workers=workers,
        pools=pools,
    )


# --- not waiting for a worker --------------------------------------------------------------------


def _without_workers(
    state: State, planner: Planner, run: Run, job: Job, *, now_ms: int
) -> _Binding | None:
    """The reason that has nothing to do with workers; None when it waits for one."""
    if job.state.is_over:
        return _over(job)
    if job.live:
        return _running(state, planner, job)
    under_way = settling.why_waits(state, run, job)
    if under_way:
        return _Binding("settling", f"it waits until {under_way} is carried out")
    if not is_ready(job):
        return _not_ready(state, run, job, now_ms=now_ms)
    worker = planner.proposed_to(run.id, job.id)
    if worker is not None:
        return _Binding("placing", f"its assignment to worker {worker} is being committed")
    return None


def _over(job: Job) -> _Binding:
    text = f"it is {job.state.value}" + (f": {job.reason}" if job.reason else "")
    if job.state in (JobState.COMPLETED, JobState.SKIPPED):
        return _Binding("over", text)
    return _Binding("over", text, Change(kind="retry", text=f"retry '{job.id}'", jobs=(job.id,)))


def _running(state: State, planner: Planner, job: Job) -> _Binding:
    worker = state.attempts[job.live].worker
    seat = planner.fleet.seats.get(worker)
    if seat is None or job.live in seat.started or not _is_beyond_slots(seat, job):
        return _Binding("running", f"attempt {job.live} is on worker {worker}")
    text = f"attempt {job.live} waits on worker {worker} behind short jobs"
    first = next(iter(seat.held))
    change = Change(
        kind="free",
        text=f"a slot of worker {worker}",
        worker=worker,
        attempts=(first,),
        jobs=(seat.held[first].job[1],),
    )
    return _Binding("queued_on_worker", text, change)


def _is_beyond_slots(seat: Seat, job: Job) -> bool:
    """Whether the attempt's turn on its worker has not come, if those start in order."""
    taken = 0
    for attempt, hold in seat.held.items():
        taken += hold.need.slots
        if attempt == job.live:
            return taken > seat.slots and hold.need.slots > 0
    return False


def _not_ready(state: State, run: Run, job: Job, *, now_ms: int) -> _Binding:
    if job.state is JobState.WAITING:
        return _gate(run, job)
    if job.state is JobState.RUNNING:
        return _Binding("subrun", f"run {subrun_of(run, job)} does its work")
    if job.waiting_for:
        return _parents(run, job)
    if job.unpaid:
        return _unpaid(state, run)
    wait_ms = max(0, job.not_before_ms - now_ms)
    change = Change(kind="time", text=f"{wait_ms} ms of time", after_ms=wait_ms)
    if job.retries_used:
        text = f"try {job.attempts + 1} comes in {wait_ms} ms"
        text += f" because the last one failed: {job.reason}" if job.reason else ""
        return _Binding("retry", text, change)
    return _Binding("delay", f"its delay ends in {wait_ms} ms", change)


def _unpaid(state: State, run: Run) -> _Binding:
    """No budget has paid for the job."""
    names = [one.id for one in budgets.covering(state, run) if budgets.why_empty(state, one)]
    change = Change(kind="budget", text=f"raise budget {', '.join(names)}") if names else _NOTHING
    return _Binding("budget", budgets.why_unpaid(state, run), change)


def _gate(run: Run, job: Job) -> _Binding:
    """The job is a gate that a person has to open."""
    what = f": {job.reason}" if job.reason else ""
    change = Change(kind="approve", text=f"approve '{job.id}'", jobs=(job.id,))
    return _Binding("gate", f"gate '{job.id}' of run {run.id} waits for a person{what}", change)


def _parents(run: Run, job: Job) -> _Binding:
    """Parents that have not ended; one that is a gate is named as what it is."""
    parents = [run.jobs[name] for name in job.parents if not run.jobs[name].state.is_over]
    gates = tuple(parent.id for parent in parents if parent.state is JobState.WAITING)
    names = some([f"'{parent.id}' ({parent.state.value})" for parent in parents])
    if gates and len(gates) == len(parents):
        change = Change(kind="approve", text=f"approve {some(gates)}", jobs=gates)
        return _Binding("gate", f"it waits for {names}, which waits for a person", change)
    jobs: tuple[JobId, ...] = tuple(parent.id for parent in parents)
    change = Change(kind="parents", text=f"the end of {some(jobs)}", jobs=jobs)
    return _Binding("parents", f"it waits for {names}", change)


# --- waiting for a worker ------------------------------------------------------------------------


def _service(planner: Planner, lane: Lane, ports: filters.Ports) -> _Binding | None:
    """What only services lack: a worker young enough, or their fixed port."""
    fit = [
        seat
        for seat in _seats(planner)
        if not filters.closed(seat)
        and not filters.lacks_tags(seat.capabilities, lane.need.requirement)
        and not filters.too_small(seat, lane.need)
    ]
    lacks = [filters.lacks_port(seat, lane.port, ports) for seat in fit]
    if not fit or "" in lacks:
        return None
    if "port" not in lacks:
        change = Change(kind="worker", text="newer workers")
        return _Binding("no_services", f"{len(fit)} capable worker(s), all too old", change)
    seat = fit[lacks.index("port")]
    who = f"attempt {ports[seat.machine][lane.port]}"
    text = f"port {lane.port} is held by {who} on the machine of worker {seat.id}"
    change = Change(kind="port", text=f"the end of {who}, or another port")
    return _Binding("port", text, change)


def _seats(planner: Planner) -> list[Seat]:
    return [planner.fleet.seats[worker] for worker in sorted(planner.fleet.seats)]


def _binding(planner: Planner, need: Need, *, pinned: Seat | None, ahead: int) -> _Binding:
    """The filter at which the workers that come closest fail, and what they lack."""
    if pinned is not None:
        lacks = filters.lacks_room(pinned, need) or filters.lacks_slots(pinned, need)
        if lacks:
            text = f"it wants worker {pinned.id}, which ran its parent and has no {lacks} free"
            return _Binding("affinity", text)
        return _behind(ahead)
    seats = _seats(planner)
    if not seats:
        return _Binding("no_workers", "no worker has ever joined")
    capable = [s for s in seats if not filters.lacks_tags(s.capabilities, need.requirement)]
    if not capable:
        return _Binding("capability", f"no worker offers {', '.join(need.requirement)}")
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
        return _behind(ahead)
    return _Binding("slots", f"all slots of {len(roomy)} capable worker(s) are taken")


def _behind(ahead: int) -> _Binding:
    return _Binding("behind", f"a worker has room, which {ahead} more urgent job(s) get first")


def _too_small(capable: list[Seat], need: Need) -> _Binding:
    name = filters.too_small(capable[0], need)
    amount = need.slots if name == "slots" else dict(need.others)[name]
    offers = [seat.slots if name == "slots" else seat.totals.get(name, 0) for seat in capable]
    text = f"it needs {amount} {name}; the largest capable worker has {max(offers)}"
    return _Binding("size", text)


def _closed(large: list[Seat]) -> _Binding:
    """What keeps the worker that is closest to taking work from doing so."""
    order = ("resting", "cordoned", "draining", "no_session", "offline")
    seat = min(large, key=lambda s: order.index(filters.closed(s)))
    code = filters.closed(seat)
    text = f"{len(large)} capable worker(s), none of which takes work; {seat.id} is {code}"
    return _Binding(code, text)


def _taken(usable: list[Seat], need: Need) -> _Binding:
    name = filters.lacks_room(usable[0], need)
    if name == "attempts":
        return _Binding("attempts", f"worker {usable[0].id} holds as many attempts as it may")
    amount = dict(need.others)[name]
    best = max(seat.free.get(name, 0) for seat in usable)
    text = f"it needs {amount} {name}; the most that is free on one worker is {best}"
    return _Binding("resources", text)


# --- one by one ------------------------------------------------------------------------------------


def _verdicts(planner: Planner, need: Need) -> tuple[Verdict, ...]:
    """What the filters say of each worker, the closest first."""
    found = [_verdict(seat, need) for seat in _seats(planner)]
    found.sort(key=lambda one: (_FILTERS.index(one.filter), one.worker))
    return tuple(found[:WHY_WORKERS_MAX])


def _verdict(seat: Seat, need: Need) -> Verdict:
    refusal = filters.trace(seat, need)
    if refusal is None:
        return Verdict(seat.id, "", "", f"has {amounts(need)} free")
    return Verdict(seat.id, refusal.filter, refusal.code, _refusal_text(seat, need, refusal))


def _refusal_text(seat: Seat, need: Need, refusal: filters.Refusal) -> str:
    code = refusal.code
    if refusal.filter == "closed":
        return f"is {code.replace('no_session', 'not connected')}"
    if refusal.filter == "tags":
        return f"does not offer {code}"
    if code == "attempts":
        return f"holds {seat.count} attempts, as many as it may"
    wanted = need.slots if code == "slots" else dict(need.others)[code]
    total = seat.slots if code == "slots" else seat.totals.get(code, 0)
    if refusal.filter == "size":
        return f"has {total} {code}, {wanted} are needed"
    free = max(0, seat.slots - seat.used) if code == "slots" else seat.free.get(code, 0)
    return f"has {free} of {total} {code} free, {wanted} needed"


def _pools(state: State, need: Need, standings: Mapping[str, Standing]) -> tuple[PoolVerdict, ...]:
    found = []
    for name in sorted(state.pools):
        pool = state.pools[name]
        lack = rooms.lacks(
            need, capabilities=offered(pool), slots=pool.slots, resources=pool.resources
        )
        standing = standings.get(name)
        if lack:
            is_tag = lack in need.requirement
            text = f"its workers {'do not offer' if is_tag else 'have too little'} {lack}"
            found.append(PoolVerdict(name, False, "lacks", text))
        elif standing is None:
            found.append(PoolVerdict(name, True, "unknown", "it can serve the job"))
        else:
            found.append(PoolVerdict(name, True, standing.code, standing.text))
    return tuple(found)
