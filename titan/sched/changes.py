"""Changes that might start a job, the smallest first. Guesses: `rehearsal.py` tells which are right."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from titan.fsm.records.pools import Pool
from titan.fsm.state import Worker
from titan.ids import AttemptId, WorkerId
from titan.limits import SLOTS_PER_WORKER_MAX
from titan.sched import filters, rooms
from titan.sched.autoscale import AT_MAX, Standing, offered
from titan.sched.line import Ready
from titan.sched.need import Need, need_of
from titan.sched.queue import LaneKey
from titan.sched.seat import Seat
from titan.sched.verdicts import Change
from titan.spec.model import DEFAULT_CAPABILITY

SEATS_TRIED_MAX = 3  # workers of one kind of trouble; the others are no closer
SEATS_LOOKED_MAX = 256  # workers whose attempts are counted, to find where the fewest must end
NAMED_MAX = 3  # jobs or workers named in a text; the rest is counted


def some(names: Sequence[str]) -> str:
    """A few of the names, and how many more there are."""
    shown = ", ".join(names[:NAMED_MAX])
    rest = len(names) - NAMED_MAX
    return f"{shown} and {rest} more" if rest > 0 else shown


def candidates(
    need: Need,
    *,
    seats: Sequence[Seat],
    workers: Mapping[WorkerId, Worker],
    pools: Sequence[Pool],
    standings: Mapping[str, Standing],
    ahead: Sequence[tuple[Ready, LaneKey]],
    now_ms: int,
) -> Iterator[Change]:
    """What to try, in order."""
    able = [
        seat
        for seat in seats
        if not filters.lacks_tags(seat.capabilities, need.requirement)
        and not filters.too_small(seat, need)
    ]
    yield from _rests(able, now_ms=now_ms)
    yield from _launches(need, pools, standings)
    yield from _openings(able)
    yield from _frees(need, able, workers)
    yield from _connections(able)
    yield from _raises(need, pools, standings)
    yield from _priority(ahead)
    yield from _newcomers(need, ahead)


def _rests(able: Iterable[Seat], *, now_ms: int) -> Iterator[Change]:
    for seat in [seat for seat in able if filters.closed(seat) == "resting"][:SEATS_TRIED_MAX]:
        after_ms = max(0, seat.rests_until_ms - now_ms)
        yield Change(kind="rest", text="a moment", worker=seat.id, after_ms=after_ms)


def _openings(able: Iterable[Seat]) -> Iterator[Change]:
    closed = [seat for seat in able if filters.closed(seat) in ("cordoned", "draining")]
    closed.sort(key=lambda seat: (seat.mode, seat.used - seat.slots, seat.id))
    for seat in closed[:SEATS_TRIED_MAX]:
        yield Change(kind="open", text=f"uncordon worker {seat.id}", worker=seat.id)


def _connections(able: Iterable[Seat]) -> Iterator[Change]:
    away = [seat for seat in able if filters.closed(seat) in ("offline", "no_session")]
    for seat in away[:SEATS_TRIED_MAX]:
        text = f"the return of worker {seat.id}"
        yield Change(kind="connect", text=text, worker=seat.id)


def _frees(
    need: Need, able: Sequence[Seat], workers: Mapping[WorkerId, Worker]
) -> Iterator[Change]:
    """The fewest attempts whose end makes room on one worker; then everything that it holds."""
    found = []
    open_seats = [seat for seat in able if not filters.closed(seat)]
    for seat in open_seats[:SEATS_LOOKED_MAX]:
        if seat.held:
            ends = _enough(need, seat, workers[seat.id])
            if ends:
                found.append((len(ends), seat.id, seat, ends))
    found.sort(key=lambda one: one[:2])
    for _, _, seat, ends in found[:SEATS_TRIED_MAX]:
        yield _free(need, seat, ends)
    for _, _, seat, ends in found[:1]:
        if len(ends) < len(seat.held):
            yield _free(need, seat, tuple(seat.held))


def _enough(need: Need, seat: Seat, record: Worker) -> tuple[AttemptId, ...]:
    """Attempts whose end makes room, the oldest first; empty when proposals on their way are in the way."""
    empty = Seat(record, serial=0, session=True)
    for hold in (*seat.held.values(), *seat.reserved.values()):
        empty.take(hold)
    ends: list[AttemptId] = []
    for attempt, hold in seat.held.items():
        if not _helps(need, empty, hold.need):
            continue
        empty.give(hold)
        ends.append(attempt)
        if not filters.lacks_room(empty, need) and not filters.lacks_slots(empty, need):
            return tuple(ends)
    return ()


def _helps(need: Need, seat: Seat, held: Need) -> bool:
    """Whether the end of what takes `held` gives back something that is missing."""
    if seat.count >= seat.count_max:
        return True
    if filters.lacks_slots(seat, need) and held.slots:
        return True
    names = [name for name, amount in need.others if amount > seat.free.get(name, 0)]
    return any(name in names for name, _ in held.others)


def _free(need: Need, seat: Seat, ends: tuple[AttemptId, ...]) -> Change:
    jobs = tuple(seat.held[attempt].job[1] for attempt in ends)
    what = amounts(need)
    verb = "ends" if len(jobs) == 1 else "end"
    names = some([f"'{name}'" for name in jobs])
    text = f"{what} free on worker {seat.id}: so it is when {names} {verb}"
    return Change(kind="free", text=text, worker=seat.id, attempts=ends, jobs=jobs)


def _launches(
    need: Need, pools: Sequence[Pool], standings: Mapping[str, Standing]
) -> Iterator[Change]:
    for pool in pools:
        standing = standings.get(pool.name)
        if standing is not None and standing.code != AT_MAX and _serves(pool, need):
            text = f"a worker of pool {pool.name}: {standing.text}"
            yield _of_pool(pool, kind="launch", text=text)


def _raises(
    need: Need, pools: Sequence[Pool], standings: Mapping[str, Standing]
) -> Iterator[Change]:
    for pool in pools:
        standing = standings.get(pool.name)
        if standing is not None and standing.code == AT_MAX and _serves(pool, need):
            text = f"raise the maximum of pool {pool.name} above {pool.workers_max}"
            yield _of_pool(pool, kind="raise_max", text=text)


def _serves(pool: Pool, need: Need) -> bool:
    return not rooms.lacks(
        need, capabilities=offered(pool), slots=pool.slots, resources=pool.resources
    )


def _of_pool(pool: Pool, *, kind: str, text: str) -> Change:
    return Change(
        kind=kind,
        text=text,
        pool=pool.name,
        capabilities=offered(pool),
        slots=pool.slots,
        resources=dict(pool.resources),
    )


def _priority(ahead: Sequence[tuple[Ready, LaneKey]]) -> Iterator[Change]:
    if ahead:
        priority = 1 - ahead[0][0].urgency
        yield Change(kind="priority", text=f"a priority of {priority}", priority=priority)


def _newcomers(need: Need, ahead: Sequence[tuple[Ready, LaneKey]]) -> Iterator[Change]:
    """A worker for this job alone; then one that also holds those that go first and would be put there."""
    yield _newcomer(need, slots=max(1, need.slots), resources=dict(need.others), first=0)
    slots, resources, first = need.slots, dict(need.others), 0
    for _, (demand, _, _) in ahead:
        other = need_of(demand)
        if filters.lacks_tags(_tags(need), other.requirement):
            continue
        first += 1
        slots += other.slots
        for name, amount in other.others:
            if name in resources:
                resources[name] += amount
    if first and slots <= SLOTS_PER_WORKER_MAX:
        # One attempt may need no slot, and a worker takes only so many for each of its slots.
        yield _newcomer(need, slots=max(slots, first + 1), resources=resources, first=first)


def _newcomer(need: Need, *, slots: int, resources: dict[str, int], first: int) -> Change:
    wanted = [f"{amount} {name}" for name, amount in resources.items()]
    offers = [tag for tag in need.requirement if tag != DEFAULT_CAPABILITY]
    parts = [*offers, *wanted, f"{slots} free slot{'s' if slots > 1 else ''}"]
    text = f"a worker with {' and '.join(parts)}"
    if first:
        text += f" ({first} more urgent jobs go there first)"
    return Change(
        kind="worker", text=text, capabilities=_tags(need), slots=slots, resources=resources
    )


def _tags(need: Need) -> tuple[str, ...]:
    return tuple(dict.fromkeys((DEFAULT_CAPABILITY, *need.requirement)))


def amounts(need: Need) -> str:
    """What the job takes, in words: `2 slots and 1 gpus`."""
    slots = [f"{need.slots} slot{'s' if need.slots > 1 else ''}"] if need.slots else []
    others = [f"{amount} {name}" for name, amount in need.others]
    return " and ".join([*slots, *others]) or "a place"
