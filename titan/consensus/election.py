"""When this member may campaign: pre-votes, loyalty to a live leader, and stalls (H9, H10, H11).

A member first asks whether the others would vote for it; only a majority of yes starts a real
election, which raises the term. Nobody says yes, and nobody votes, while a leader is heard.
A stalled process does not campaign for what it slept through: messages are read first.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from typing import Final

from titan.consensus import codec
from titan.consensus.codec import Message
from titan.consensus.config import RaftConfig
from titan.consensus.library import CANDIDATE, Core
from titan.consensus.membership import Membership
from titan.consensus.rules import Rule

_JITTER_S: Final = 0.001  # at least this long after a leader's death, so that others see it too
_LONG_AGO: Final = float("-inf")


class Elections:
    """Pre-vote state of one member."""

    def __init__(
        self,
        core: Core,
        *,
        config: RaftConfig,
        members: Membership,
        send: Callable[[str, Message], None],
        clock: Callable[[], float],
        rng: random.Random,
        rules: frozenset[Rule],
        counters: Counter[str],
    ) -> None:
        self._core = core
        self._config = config
        self._members = members
        self._send = send
        self._clock = clock
        self._rng = rng
        self._rules = rules
        self._counters = counters
        self._rtt_s = config.rtt_budget_ms / 1000
        self._heard = _LONG_AGO
        self._leader_died = False
        self._campaigned_in = 0  # the term of a campaign whose patience was shortened
        self._round = 0
        self._granted: set[str] | None = None  # None: not asking
        self._last_tick = clock()
        self.next_tick_due = clock()  # when the driver meant to tick at the latest
        self.is_transfer = False

    # --- what is known of the leader -------------------------------------------------------

    @property
    def heard_s_ago(self) -> float:
        """Since a leader's last word; infinite when there was none."""
        return self._clock() - self._heard

    def leader_heard(self) -> None:
        """An append of the current leader came in."""
        self._heard = self._clock()
        self._leader_died = False
        self._granted = None

    def peer_lost(self, peer: str) -> None:
        """A connection with `peer`'s process ended: if it led, do not wait for a time-out."""
        if Rule.PREVOTE not in self._rules or self._core.leader != peer:
            return
        self._heard = _LONG_AGO
        self._leader_died = True
        self._core.election_due = self._clock() + self._rng.uniform(_JITTER_S, self._rtt_s / 3)
        self._counters["leader's connection lost"] += 1

    def quorum_is_fresh(self) -> bool:
        """Whether a majority answered this leader within the shortest election time-out."""
        since = self._clock() - self._config.election_min_s
        fresh = sum(self._core.heard(peer) > since for peer in self._members.voting_peers)
        return self._is_majority(fresh + 1)

    @property
    def quorum_s_ago(self) -> float:
        """Since this leader last had a majority behind it."""
        heard = sorted(
            (self._core.heard(peer) for peer in self._members.voting_peers), reverse=True
        )
        deciding = len(self._members.voters) // 2 - 1
        return self._clock() - heard[deciding] if heard else 0.0

    def _follows_live_leader(self) -> bool:
        if self._core.is_leader:
            return self.quorum_is_fresh()
        return self.heard_s_ago < self._config.election_min_s

    def _is_majority(self, count: int) -> bool:
        return self._members.is_majority(count)

    # --- before every tick -----------------------------------------------------------------

    def before_tick(self) -> None:
        """Turn the library's expired deadline into a pre-vote, or let it campaign."""
        now = self._clock()
        gap, self._last_tick = now - self._last_tick, now
        is_late = now - self.next_tick_due > self._config.election_min_s / 2
        if Rule.STALL in self._rules and is_late:
            self._excuse_stall(gap)
            return
        if self._core.is_leader:
            self._granted = None
            return
        if not self._members.is_voter:
            self._postpone()
            return
        self.is_transfer = self._core.is_transferring
        if self.is_transfer or Rule.PREVOTE not in self._rules:
            return
        if self._granted is not None and self._is_majority(len(self._granted) + 1):
            self._granted = None
            self._core.election_due = 0.0
            return
        self._shorten_patience(now)
        if self._core.election_due < now:
            self._ask(now)

    def _excuse_stall(self, gap: float) -> None:
        self._counters["stall excused"] += 1
        if self._core.is_leader:
            self._core.forgive_silence(gap)
        elif not self._core.is_transferring:
            self._postpone()

    def _shorten_patience(self, now: float) -> None:
        """A split vote after a leader's death is settled in round trips, not in time-outs."""
        is_new_campaign = self._core.role == CANDIDATE and self._campaigned_in != self._core.term
        if self._leader_died and is_new_campaign:
            self._campaigned_in = self._core.term
            self._core.election_due = now + self._rng.uniform(self._rtt_s, 3 * self._rtt_s)

    def _postpone(self) -> None:
        self._core.election_due = self._clock() + self._core.draw_election_timeout()

    def _ask(self, now: float) -> None:
        if self._leader_died:
            self._core.election_due = now + self._rng.uniform(self._rtt_s, 3 * self._rtt_s)
        else:
            self._postpone()
        if self.heard_s_ago > self._config.election_min_s:
            self._core.forget_leader()
        self._round += 1
        self._granted = set()
        self._counters["prevote asked"] += 1
        if self._is_majority(1):
            self._granted = None
            self._core.election_due = 0.0
            return
        question = {
            "type": codec.PREVOTE, "term": self._core.term + 1, "round": self._round,
            "last_log_index": self._core.log[-1][1], "last_log_term": self._core.log[-1][2],
        }  # fmt: skip
        for peer in self._members.voting_peers:
            self._send(peer, question)

    # --- messages --------------------------------------------------------------------------

    def on_prevote(self, peer: str, message: Message) -> None:
        """Say yes only if we would vote, and no leader is alive as far as we know."""
        if message["term"] < self._core.term:
            self._send(peer, {"type": codec.TERM, "term": self._core.term})
            return
        theirs = (message["last_log_term"], message["last_log_index"])
        if theirs < (self._core.log[-1][2], self._core.log[-1][1]) or self._follows_live_leader():
            self._counters["prevote refused"] += 1
            return
        self._send(peer, {"type": codec.PREVOTE_OK, "round": message["round"]})

    def on_prevote_ok(self, peer: str, message: Message) -> None:
        """Count a yes once per member and round."""
        if self._granted is not None and message["round"] == self._round:
            self._granted.add(peer)

    def voted(self) -> None:
        """Another member has this one's vote, so its own question is pointless for now."""
        self._granted = None
        self._leader_died = False

    def refuses_vote(self, message: Message) -> bool:
        """Whether a request for a real vote is ignored because a leader lives."""
        if Rule.STICKY_LEADER not in self._rules or message["is_transfer"]:
            return False
        if not self._follows_live_leader():
            return False
        self._counters["vote refused"] += 1
        return True
