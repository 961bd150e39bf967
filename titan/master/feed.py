"""What changed, for live pages: by id, since any recent index of the log, on any master.

Apply produces the same events on every master, so a page that followed one master can go on at another
from the index it has seen. Only names of what changed are kept, and for a while; whoever was away longer
is told to read everything anew. A slow follower gets fewer, larger updates, never an unbounded queue.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from titan.errors import Unavailable
from titan.fsm.events import (
    AnyEvent,
    AttemptAssigned,
    AttemptFinished,
    AttemptRevoked,
    JobChanged,
    JobsChanged,
    KeyChanged,
    ProgressReported,
    RunChanged,
    RunForgotten,
    RunSettled,
    RunSubmitted,
    ScheduleChanged,
    StateReplaced,
    WorkerChanged,
    WorkerExpired,
    WorkerJoined,
)
from titan.limits import FEED_ENTRIES_KEPT, FEED_IDS_KEPT, STREAMS_PER_MASTER_MAX
from titan.master.replica import Replica

# A kind, then names: run RUN, job RUN JOB, worker WORKER, key KEY, schedule NAME, or fact alone.
Id = tuple[str, ...]
FACT: Final[Id] = ("fact",)  # something happened
EVERYTHING: Final[Id] = ("everything",)  # a snapshot replaced the state


class Interest(NamedTuple):
    """Which changes somebody follows."""

    runs: bool = False
    run: str = ""  # one run, with its jobs
    workers: bool = False
    keys: str | None = None  # those with this prefix
    schedules: bool = False
    facts: bool = False  # every entry's events as they are

    def covers(self, what: Id) -> bool:
        """Whether the change concerns the follower."""
        kind = what[0]
        if kind == "run":
            return self.runs or what[1] == self.run
        if kind == "job":
            return what[1] == self.run
        if kind == "worker":
            return self.workers
        if kind == "key":
            return self.keys is not None and what[1].startswith(self.keys)
        if kind == "schedule":
            return self.schedules
        if kind == "fact":
            return self.facts
        return True


class Follower:
    """What one follower has not been told yet."""

    def __init__(self, interest: Interest) -> None:
        self.interest = interest
        self._changed: dict[Id, None] = {}
        self._wake = asyncio.Event()

    def touch(self, changes: Iterable[Id]) -> None:
        """Note those changes that concern it."""
        mine = [what for what in changes if self.interest.covers(what)]
        if mine:
            self._changed.update(dict.fromkeys(mine))
            self._wake.set()

    async def changes(self, *, timeout_s: float) -> list[Id]:
        """What changed since the last call, waiting for something; nothing after `timeout_s`."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._wake.wait()
        except TimeoutError:
            return []
        self._wake.clear()
        changed, self._changed = list(self._changed), {}
        return changed


class Feed:
    """The changes of this master's state, and who follows them."""

    def __init__(self, replica: Replica) -> None:
        self._replica = replica
        self._kept: deque[tuple[int, Sequence[AnyEvent]]] = deque()
        self._ids_kept = 0
        self._oldest = 0  # changes after this index are kept
        self._followers: dict[Follower, None] = {}
        replica.listen(self._on_applied)

    def follow(self, interest: Interest) -> Follower:
        """A new follower; `leave` it when done. Raises `Unavailable` when there are too many."""
        if len(self._followers) >= STREAMS_PER_MASTER_MAX:
            raise Unavailable(f"this master has {STREAMS_PER_MASTER_MAX} live streams already")
        follower = Follower(interest)
        self._followers[follower] = None
        return follower

    def leave(self, follower: Follower) -> None:
        """Tell it nothing more."""
        self._followers.pop(follower, None)

    def since(self, index: int, interest: Interest) -> list[Id] | None:
        """What changed after `index`, or None when that is not known (any more): read everything."""
        if index < self._oldest or index > self._replica.state.index:
            return None
        found: dict[Id, None] = {}
        for at, events in self._kept:
            if at > index:
                found.update((what, None) for what in changes_of(events) if interest.covers(what))
                if interest.facts:
                    found[FACT] = None
        return list(found)

    def recent(self) -> Iterator[tuple[int, Sequence[AnyEvent]]]:
        """The facts kept, oldest first, by index."""
        return iter(self._kept)

    def newest_first(self) -> Iterator[tuple[int, Sequence[AnyEvent]]]:
        """The same, newest first."""
        return reversed(self._kept)

    def _on_applied(self, index: int, events: Sequence[AnyEvent]) -> None:
        if not events:
            return
        if isinstance(events[0], StateReplaced):
            self._start_anew(index)
            return
        self._kept.append((index, events))
        self._ids_kept += _weight(events)
        while len(self._kept) > FEED_ENTRIES_KEPT or self._ids_kept > FEED_IDS_KEPT:
            at, dropped = self._kept.popleft()
            self._ids_kept -= _weight(dropped)
            self._oldest = at
        if self._followers:
            changes = [*changes_of(events), FACT]
            for follower in self._followers:
                follower.touch(changes)

    def _start_anew(self, index: int) -> None:
        self._kept.clear()
        self._ids_kept, self._oldest = 0, index
        for follower in self._followers:
            follower.touch([EVERYTHING])


def _weight(events: Sequence[AnyEvent]) -> int:
    return sum(len(one.jobs) if isinstance(one, JobsChanged) else 1 for one in events)


def changes_of(events: Iterable[AnyEvent]) -> Iterator[Id]:
    """The names of what the events are about; a name may come more than once."""
    for event in events:
        namer = _NAMERS.get(type(event))
        if namer is not None:
            yield from namer(event)


_NAMERS: Final[dict[type, Callable[..., tuple[Id, ...] | list[Id]]]] = {
    RunSubmitted: lambda event: (("run", event.run),),
    RunChanged: lambda event: (("run", event.run),),
    RunSettled: lambda event: (("run", event.run),),
    RunForgotten: lambda event: (("run", event.run),),
    JobChanged: lambda event: (("run", event.run), ("job", event.run, event.job)),
    JobsChanged: lambda event: [
        ("run", event.run),
        *(("job", event.run, job) for job in event.jobs),
    ],
    AttemptAssigned: lambda event: (
        ("job", event.run, event.job),
        ("worker", event.worker),
    ),
    AttemptFinished: lambda event: (
        ("job", event.run, event.job),
        ("worker", event.worker),
    ),
    AttemptRevoked: lambda event: (
        ("job", event.run, event.job),
        ("worker", event.worker),
    ),
    ProgressReported: lambda event: (("job", event.run, event.job),),
    WorkerJoined: lambda event: (("worker", event.worker),),
    WorkerChanged: lambda event: (("worker", event.worker),),
    WorkerExpired: lambda event: (("worker", event.worker),),
    KeyChanged: lambda event: (("key", event.key),),
    ScheduleChanged: lambda event: (("schedule", event.name),),
}
