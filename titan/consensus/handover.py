"""Giving leadership away on purpose: stop taking proposals, let the other catch up, ask it to campaign.

The library would hand over while commands still come in, and calls it done once it has asked (H24).
Here it is done when the cluster has another leader.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from titan.consensus.library import Core
from titan.consensus.proposals import Waiter, answer
from titan.errors import NotLeader, Unavailable


class Patience:
    """The waiter of a handover that nobody asked for: it gives up when its time is over."""

    def __init__(self, *, until: float, clock: Callable[[], float]) -> None:
        self._until = until
        self._clock = clock

    def done(self) -> bool:
        """Whether the leader goes on leading."""
        return self._clock() >= self._until

    def set_result(self, result: Any, /) -> None:
        """Another member leads: nobody is to be told."""

    def set_exception(self, exception: BaseException, /) -> None:
        """It did not work: nobody is to be told."""


class Handover:
    """At most one handover of one leader."""

    def __init__(self) -> None:
        self._target = ""
        self._waiter: Waiter | None = None
        self._is_asked = False

    @property
    def is_under_way(self) -> bool:
        """Whether proposals are refused for it."""
        return self._waiter is not None

    def begin(
        self, core: Core, *, peer: str | None, voters: tuple[str, ...], waiter: Waiter
    ) -> None:
        """Choose among `voters`. Raises `NotLeader`, or `Unavailable` when nobody is connected."""
        if not core.is_leader or self.is_under_way:
            raise NotLeader(leader=core.leader or None)
        connected = [each for each in core.connected_peers if each in voters]
        ranked = [(core.match_index(each), each) for each in connected]
        target = peer or (max(ranked)[1] if ranked else "")
        if target not in connected:
            raise Unavailable(f"{target or 'no other master'} is not there to take over")
        self._target, self._waiter, self._is_asked = target, waiter, False

    def abort(self) -> None:
        """Go on leading."""
        self._waiter = None

    def drive(self, core: Core) -> None:
        """Ask once the target has everything; give up when the caller has."""
        if self._waiter is None:
            return
        if self._waiter.done():
            self.abort()
        elif self._is_asked:
            return
        elif core.applied_index == core.match_index(self._target) == core.log.last_index:
            # Everything is applied, so whoever waited here has been answered by this leader.
            self._is_asked = True
            core.transfer_to(self._target)

    def finished(self, *, leader: str) -> None:
        """Another member leads."""
        if self._waiter is not None:
            answer(self._waiter, leader)
            self._waiter = None
