"""Proposals that wait until their run is settled, each run's in the order in which they were refused.

They come back a few at a time: the first of them may well unsettle the run again, and then the others
would fill entries only to be refused once more.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Container
from typing import Generic, TypeVar

from titan.ids import RunId
from titan.limits import HELD_BACK_AT_ONCE

T = TypeVar("T")


class HeldBack(Generic[T]):
    """Proposals by the run that they wait for. Bounded with all that wait, by the proposer."""

    def __init__(self) -> None:
        self._by_run: dict[RunId, deque[T]] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, one: T, *, run: RunId) -> None:
        """Keep a proposal until the run is settled."""
        self._by_run.setdefault(run, deque()).append(one)
        self._count += 1

    def take_free(self, unsettled: Container[RunId]) -> list[T]:
        """The next proposals about runs that are settled, some of each."""
        free: list[T] = []
        for run in [run for run in self._by_run if run not in unsettled]:
            line = self._by_run[run]
            free.extend([line.popleft() for _ in range(min(len(line), HELD_BACK_AT_ONCE))])
            if not line:
                del self._by_run[run]
        self._count -= len(free)
        return free

    def clear(self) -> list[T]:
        """All of them, by run."""
        every = [one for line in self._by_run.values() for one in line]
        self._by_run, self._count = {}, 0
        return every
