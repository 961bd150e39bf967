"""The leader's side of membership: when a change may be appended, and when a learner is promoted.

Decides; the replica appends. One change is under way at a time, and none before this leader has
committed an entry of its own term (without that, two leaders could each use a majority that the
other does not know of; see the correction of single-server changes by their author).
"""

from __future__ import annotations

from collections.abc import Callable

from titan import limits
from titan.consensus.config import RaftConfig
from titan.consensus.library import Core
from titan.consensus.membership import Membership, Roster
from titan.consensus.rules import Rule
from titan.errors import Conflict, Unavailable


class Changes:
    """Changes of the members that one leader makes."""

    def __init__(
        self,
        core: Core,
        *,
        config: RaftConfig,
        members: Membership,
        rules: frozenset[Rule],
        clock: Callable[[], float],
    ) -> None:
        self._core = core
        self._config = config
        self._members = members
        self._rules = rules
        self._clock = clock

    def add(self, address: str, *, member_id: str) -> Roster:
        """The roster with a newcomer that learns. Raises `Unavailable`, `Conflict`."""
        self._check()
        new = self._members.roster.with_learner(address, member_id=member_id)
        if len(new.members) > limits.PEERS_MAX + 1:
            raise Conflict(
                f"a cluster has at most {limits.PEERS_MAX + 1} masters", reason="too_many_members"
            )
        return new if Rule.LEARN_FIRST in self._rules else new.with_voter(address)

    def remove(self, address: str, *, member_id: str) -> Roster:
        """The roster without a member. Raises `Unavailable`, `Conflict`."""
        self._check()
        if address == self._config.address:
            raise Conflict(
                "a leader is not removed while it leads",
                reason="is_leader", hint="transfer the leadership first",
            )  # fmt: skip
        new = self._members.roster.without(address, member_id=member_id)
        alive = [each for each in new.voters if self._is_alive(each)]
        if not new.is_majority(len(alive)):
            raise Unavailable(
                f"without {address} only {len(alive)} of {len(new.voters)} voters would be there",
                hint="bring another master back first",
            )
        return new

    def promotion(self) -> Roster | None:
        """The roster in which a learner that has caught up counts, when there is one."""
        if self._under_way():
            return None
        for address in self._members.roster.learners:
            held = self._core.match_index(address)
            lag = self._core.log.last_index - held
            if held and lag <= limits.LEARNER_LAG_ENTRIES and self._is_alive(address):
                return self._members.roster.with_voter(address)
        return None

    def _under_way(self) -> bool:
        return self._members.index > self._core.commit_index

    def _check(self) -> None:
        if Rule.CHANGE_WHEN_READY in self._rules and not self._is_settled():
            raise Unavailable("the leader has not committed an entry of its own term yet")
        if Rule.ONE_CHANGE in self._rules and self._under_way():
            raise Unavailable("another change of the members is under way")

    def _is_settled(self) -> bool:
        return 0 < self._core.noop_index <= self._core.applied_index

    def _is_alive(self, address: str) -> bool:
        if address == self._config.address:
            return True
        silence_s = self._clock() - self._core.heard(address)
        is_connected = address in self._core.connected_peers
        return is_connected and silence_s < self._config.election_max_s
