"""Who has space on its disk: this member, as looked up now and then, and its peers, as they say."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from titan.consensus.journal import Journal
from titan.consensus.library import Core

_CHECK_S: Final = 1.0


class Room:
    """What one member knows of free space."""

    def __init__(self, journal: Journal, *, clock: Callable[[], float]) -> None:
        self._journal = journal
        self._clock = clock
        self._has_room = True
        self._peers: dict[str, bool] = {}
        self.checked_at = float("-inf")

    @property
    def is_here(self) -> bool:
        """Whether this member's log may grow."""
        if self._clock() - self.checked_at > _CHECK_S:
            self.checked_at = self._clock()
            self._has_room = self._journal.has_room()
        return self._has_room

    def heard(self, peer: str, *, has_room: bool) -> None:
        """A peer said whether its log may grow."""
        self._peers[peer] = has_room

    def forget(self) -> None:
        """What was said to an earlier leader is old."""
        self._peers.clear()

    def best_elsewhere(self, core: Core, *, voters: tuple[str, ...]) -> str:
        """The most caught-up of the connected voters with space, "" when there is none."""
        roomy = [
            (core.match_index(each), each)
            for each in voters
            if self._peers.get(each) and each in core.connected_peers
        ]
        return max(roomy)[1] if roomy else ""
