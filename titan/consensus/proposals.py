"""Proposals on their way: waiting for a round, then for their commit. Owns every waiter's end.

A waiter is answered only outside the library's tick, so nothing a caller does can disturb apply.
Success comes from this leader's own apply of the same entry; everything else is "unknown".
"""

from __future__ import annotations

from collections import deque
from typing import Any, Protocol

from titan import limits
from titan.errors import NotLeader, TitanError, Unavailable, UnknownOutcome


class Waiter(Protocol):
    """An `asyncio.Future`, or the simulator's."""

    def done(self) -> bool:
        """Whether it was answered or given up."""

    def set_result(self, result: Any, /) -> None:
        """Answer it."""

    def set_exception(self, exception: BaseException, /) -> None:
        """Refuse it."""


def answer(waiter: Waiter, result: Any) -> None:
    """Give the result unless the caller has gone."""
    if not waiter.done():
        waiter.set_result(result)


def refuse(waiter: Waiter, error: TitanError) -> None:
    """Give the error unless the caller has gone."""
    if not waiter.done():
        waiter.set_exception(error)


class Proposals:
    """One leader's proposals."""

    def __init__(self) -> None:
        self._waiting: deque[tuple[bytes, Waiter]] = deque()
        self._appended: dict[int, tuple[int, Waiter]] = {}  # by index: the term and who waits
        self._results: list[tuple[Waiter, Any]] = []
        self._lost: list[Waiter] = []

    @property
    def is_waiting(self) -> bool:
        """Whether a round has something to append."""
        return bool(self._waiting)

    def put(self, payload: bytes, waiter: Waiter) -> None:
        """Queue for the next round. Raises `Unavailable` when too many wait."""
        if len(self._waiting) >= limits.PROPOSALS_WAITING_MAX:
            raise Unavailable("too many proposals wait for the log", hint="slow down and retry")
        self._waiting.append((payload, waiter))

    def take(self) -> list[tuple[bytes, Waiter]]:
        """All that wait, in order; those whose callers have gone are not worth an entry."""
        taken = [(payload, waiter) for payload, waiter in self._waiting if not waiter.done()]
        self._waiting.clear()
        return taken

    def appended(self, waiter: Waiter, *, index: int, term: int) -> None:
        """It is in the log now."""
        self._appended[index] = (term, waiter)

    def applied(self, index: int, *, term: int, result: Any) -> None:
        """The entry at `index` took effect; called from within the library's tick."""
        found = self._appended.pop(index, None)
        if found is None:
            return
        if found[0] == term:
            self._results.append((found[1], result))
        else:
            self._lost.append(found[1])

    def settle(self) -> None:
        """Answer those whose entries were applied. Never called from within a tick."""
        results, self._results = self._results, []
        for waiter, result in results:
            answer(waiter, result)
        lost, self._lost = self._lost, []
        for waiter in lost:
            refuse(waiter, UnknownOutcome("another leader's entry took the place of this one"))

    def leadership_lost(self, *, leader: str | None) -> None:
        """Nobody can say any more what becomes of the appended ones."""
        self.settle()
        waiting, self._waiting = self._waiting, deque()
        for _, waiter in waiting:
            refuse(waiter, NotLeader(leader=leader))
        appended, self._appended = self._appended, {}
        for _, waiter in appended.values():
            refuse(waiter, UnknownOutcome("this master stopped leading before it knew the outcome"))

    @property
    def is_idle(self) -> bool:
        """Whether nobody waits for anything."""
        return not (self._waiting or self._appended or self._results or self._lost)
