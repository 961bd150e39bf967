"""A line of ready jobs: the most urgent one first, at a cost that does not grow with its length.

Jobs of a run become ready mostly in the order in which they are to be placed. Those join the end of a
queue; only one that goes before others that wait already is put into a heap beside it.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from titan.ids import JobId, RunId


class Ready(NamedTuple):
    """A ready job. Compares by who goes first: `seq` differs between any two jobs."""

    urgency: int  # the priority, negated
    seq: int
    run: RunId
    job: JobId


class Line:
    """Entries, live and stale: who holds it knows which are which."""

    __slots__ = ("_late", "_queue", "length")

    def __init__(self) -> None:
        self._queue: deque[Ready] = deque()  # ascending
        self._late: list[Ready] = []  # a heap
        self.length = 0

    def add(self, entry: Ready) -> bool:
        """Let an entry stand in line; whether it is the first."""
        self.length += 1
        queue, late = self._queue, self._late
        if not queue or queue[-1] < entry:
            queue.append(entry)
            return queue[0] is entry and (not late or entry < late[0])
        heapq.heappush(late, entry)
        return late[0] is entry and entry < queue[0]

    def first(self) -> Ready:
        """The most urgent entry. Raises `IndexError` when there is none."""
        if not self._late:
            return self._queue[0]
        if not self._queue:
            return self._late[0]
        return min(self._queue[0], self._late[0])

    def drop(self, entry: Ready) -> None:
        """Remove the first entry, which is this one."""
        self.length -= 1
        if self._queue and self._queue[0] is entry:
            self._queue.popleft()
        else:
            heapq.heappop(self._late)

    def keep(self, is_wanted: Callable[[Ready], bool]) -> None:
        """Remove the entries that are not wanted."""
        self._queue = deque(filter(is_wanted, self._queue))
        self._late = list(filter(is_wanted, self._late))
        heapq.heapify(self._late)
        self.length = len(self._queue) + len(self._late)
