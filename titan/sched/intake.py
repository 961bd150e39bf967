"""Jobs that the planner has yet to look at, a few thousand at a time.

A run of 100,000 jobs becomes ready, or is cancelled, by one entry; looking at all of its jobs at once
would stop the leader's loop for longer than an election takes. So they wait here in order, and each
look tells what is true of the job by then. Holds ids only: no job is kept alive.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from itertools import islice

from titan.ids import JobId, RunId


class Intake:
    """A queue of jobs to look at, by run."""

    def __init__(self) -> None:
        self._runs: deque[tuple[RunId, Iterator[JobId]]] = deque()

    def __bool__(self) -> bool:
        return bool(self._runs)

    def add(self, run: RunId, jobs: Sequence[JobId]) -> None:
        """Look at these jobs of the run later, after all that wait already."""
        self._runs.append((run, iter(jobs)))

    def take(self, count: int) -> Iterator[tuple[RunId, JobId]]:
        """The next jobs to look at, at most `count`."""
        while self._runs and count > 0:
            run, jobs = self._runs[0]
            taken = list(islice(jobs, count))
            if len(taken) < count:
                self._runs.popleft()
            count -= len(taken)
            for job in taken:
                yield run, job
