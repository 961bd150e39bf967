"""Linearizable reads without log entries: the read index, shared by all reads of a round.

After Ongaro's dissertation, section 6.4: note the commit index, prove leadership by answers of a
majority to something sent afterwards, wait until the noted index is applied. No clock is trusted.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from titan import limits
from titan.consensus.proposals import Waiter, answer, refuse
from titan.errors import NotLeader, Unavailable


class _Batch(NamedTuple):
    commit_index: int
    seq: int  # answers to this sequence number or a later one prove leadership
    waiters: list[Waiter]


class Reads:
    """The reads of one leader."""

    def __init__(self) -> None:
        self._waiting: list[Waiter] = []
        self._batches: deque[_Batch] = deque()

    @property
    def is_waiting(self) -> bool:
        """Whether a round should start a batch."""
        return bool(self._waiting)

    def put(self, waiter: Waiter) -> None:
        """Queue for the next round. Raises `Unavailable` when too many wait."""
        if len(self._waiting) >= limits.READS_WAITING_MAX:
            raise Unavailable("too many reads wait for a round", hint="slow down and retry")
        self._waiting.append(waiter)

    def start_batch(self, *, commit_index: int, next_seq: int) -> None:
        """All waiting reads share what is sent from `next_seq` on."""
        waiting, self._waiting = self._waiting, []
        self._batches.append(_Batch(commit_index, next_seq, waiting))

    @property
    def is_idle(self) -> bool:
        """Whether nobody waits for anything."""
        return not (self._waiting or self._batches)

    @property
    def oldest_seq(self) -> int | None:
        """The sequence number that the oldest batch waits for."""
        return self._batches[0].seq if self._batches else None

    def settle(self, *, applied_index: int) -> bool:
        """The oldest batch is proved: answer it if its index is applied, and say whether it was."""
        if self._batches[0].commit_index > applied_index:
            return False
        batch = self._batches.popleft()
        for waiter in batch.waiters:
            answer(waiter, batch.commit_index)
        return True

    def leadership_lost(self, *, leader: str | None) -> None:
        """A read has no effect: it is simply asked elsewhere."""
        waiters, self._waiting = self._waiting, []
        while self._batches:
            waiters += self._batches.popleft().waiters
        for waiter in waiters:
            refuse(waiter, NotLeader(leader=leader))
