"""Stands between the library and the wire and closes the protocol's hazards from outside.

Every message passes here in both directions, and may be dropped, rewritten or answered instead.
Each protection is one method and one `Rule`; `DESIGN.md` says which hazard it closes and which test
notices when it is gone. The counters show that a test really reached a rule.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable

from titan.consensus import codec
from titan.consensus.codec import Message
from titan.consensus.config import RaftConfig
from titan.consensus.election import Elections
from titan.consensus.library import Core
from titan.consensus.matching import fit_append
from titan.consensus.membership import Membership
from titan.consensus.replication import Replication
from titan.consensus.rules import ALL_RULES, Rule


class Guard:
    """The rules of one member."""

    def __init__(
        self,
        core: Core,
        *,
        config: RaftConfig,
        members: Membership,
        replication: Replication,
        send: Callable[[str, Message], None],
        clock: Callable[[], float],
        rng: random.Random,
        rules: frozenset[Rule] = ALL_RULES,
        counters: Counter[str],
    ) -> None:
        self._core = core
        self._members = members
        self._replication = replication
        self._send = send
        self._rules = rules
        self.counters = counters
        self.elections = Elections(
            core, config=config, members=members, send=send, clock=clock, rng=rng, rules=rules,
            counters=counters,
        )  # fmt: skip
        self._votes: set[str] = set()
        self._answering_seq = 0
        self._answer: int | None = None
        self._next_chunk: dict[str, int] = {}
        self._installed: int | None = None  # the index an install of this message reached
        self._is_last_chunk = False

    def _has(self, rule: Rule) -> bool:
        return rule in self._rules

    # --- from the library to the wire ------------------------------------------------------

    def outgoing(self, peer: str, message: Message) -> None:
        """Stamp and send what the library wants to say."""
        kind = message["type"]
        if kind == codec.ACK:
            message = self._stamp_ack(message)
        elif kind == codec.REQUEST_VOTE:
            self._votes.clear()
            message = message | {"is_transfer": self.elections.is_transfer}
        elif kind == codec.VOTE:
            self.elections.voted()
        self._send(peer, message)

    def _stamp_ack(self, message: Message) -> Message:
        stamped = message | {"term": self._core.term, "seq": self._answering_seq}
        if self._answer is not None:
            stamped["next_node_idx"] = self._answer
        if self._has(Rule.VERIFIED_INSTALL) and self._is_last_chunk and message["success"]:
            if self._installed != self._core.applied_index:
                self.counters["failed install not acknowledged"] += 1
                return stamped | {"success": False, "reset": False}
            stamped["next_node_idx"] = self._installed + 1
        return stamped

    def installed(self, index: int) -> None:
        """The machine now holds the snapshot that ends at `index`."""
        self._installed = index

    # --- from the wire to the library ------------------------------------------------------

    def incoming(self, peer: str, message: Message) -> None:
        """Judge one message; what passes reaches the library. Raises `Fatal` for divergence."""
        if self._has(Rule.MEMBERS_ONLY) and not self._is_known(peer):
            self.counters["stranger ignored"] += 1
            return
        match message["type"]:
            case codec.APPEND:
                self._on_append(peer, message)
            case codec.ACK:
                self._on_ack(peer, message)
            case codec.REQUEST_VOTE:
                if not self.elections.refuses_vote(message):
                    self._core.receive(peer, message)
            case codec.VOTE:
                self._on_vote(peer, message)
            case codec.TIMEOUT_NOW:
                if self._members.is_voter:
                    self._core.receive(peer, message)
            case codec.TERM:
                self._see_term(message["term"])
            case codec.PREVOTE:
                self.elections.on_prevote(peer, message)
            case codec.PREVOTE_OK:
                self.elections.on_prevote_ok(peer, message)
            case codec.SNAPSHOT_RESTART:
                self._replication.restart_snapshot(peer)

    def _is_known(self, peer: str) -> bool:
        """A member, or somebody in whose log this one is a member although not yet in ours.

        The transport only connects those that belong to this cluster.
        """
        return peer in self._members.peers or peer in self._core.connected_peers

    def peer_down(self, peer: str) -> None:
        """The connection that carried `peer`'s messages ended: a transfer starts over."""
        self._next_chunk.pop(peer, None)
        self.elections.peer_lost(peer)

    def _see_term(self, term: int) -> None:
        if term > self._core.term:
            self.counters["stepped down by term"] += 1
            self._core.step_down(term=term)

    def _on_vote(self, peer: str, message: Message) -> None:
        """Votes are a set of members, not a number (H7)."""
        if self._has(Rule.VOTERS_COUNT) and peer not in self._members.voting_peers:
            self.counters["vote of no voter ignored"] += 1
            return
        if self._has(Rule.ONE_VOTE_PER_MEMBER) and peer in self._votes:
            self.counters["repeated vote ignored"] += 1
            return
        if message["term"] == self._core.term:
            self._votes.add(peer)
        self._core.receive(peer, message)

    # --- appends: the follower's side ------------------------------------------------------

    def _on_append(self, peer: str, message: Message) -> None:
        if message["term"] < self._core.term:
            self._tell_old_leader(peer)
            return
        self.elections.leader_heard()
        self._answering_seq, self._answer = message["seq"], None
        self._installed, self._is_last_chunk = None, False
        if "prevLogIdx" in message:
            self._core.receive(peer, self._fitted(message))
        else:
            self._on_chunk(peer, message)
        self._answer, self._is_last_chunk = None, False

    def _tell_old_leader(self, peer: str) -> None:
        """A deposed leader learns it at once instead of by its own time-out (H5)."""
        if self._has(Rule.TELL_OLD_LEADER):
            self.counters["old leader told"] += 1
            self._send(peer, {"type": codec.TERM, "term": self._core.term})

    def _fitted(self, message: Message) -> Message:
        """Only a real contradiction deletes entries, and never a committed one (H2, H3)."""
        if not self._has(Rule.NO_NEEDLESS_TRUNCATION):
            return message
        committed = max(self._core.commit_index, self._core.applied_index)
        fit = fit_append(self._core.log, message, committed=committed)
        self._answer = fit.answer
        if fit.counted:
            self.counters[fit.counted] += 1
        return fit.message

    def _on_chunk(self, peer: str, message: Message) -> None:
        """A piece of a snapshot proves nothing about our log (H1), and gaps start over (H6)."""
        if self._has(Rule.CLAMP_UNVERIFIED_COMMIT):
            clamped = min(message["commit_index"], self._core.commit_index)
            if clamped < message["commit_index"]:
                self.counters["unverified commit clamped"] += 1
            message = message | {"commit_index": clamped}
        if message["serialized"] is None:
            self._core.receive(peer, message)
            self._send(peer, self._chunk_received(message))
            return
        if self._has(Rule.NUMBERED_CHUNKS) and not self._chunk_is_next(peer, message["chunk"]):
            self.counters["snapshot gap"] += 1
            self._core.receive(peer, message | {"serialized": None})
            self._send(peer, {"type": codec.SNAPSHOT_RESTART, "term": self._core.term})
            return
        self._is_last_chunk = message["serialized"][2]
        self._core.receive(peer, message)
        if not self._is_last_chunk:
            self._send(peer, self._chunk_received(message))

    def _chunk_is_next(self, peer: str, number: int) -> bool:
        expected = 0 if number == 0 else self._next_chunk.pop(peer, -1)
        if number != expected:
            return False
        self._next_chunk[peer] = number + 1
        return True

    def _chunk_received(self, message: Message) -> Message:
        # Keeps the leader's quorum fresh and its window open during a long transfer.
        return {
            "type": codec.ACK, "term": self._core.term, "seq": message["seq"],
            "next_node_idx": 0, "reset": False, "success": False,
        }  # fmt: skip

    # --- acks: the leader's side -----------------------------------------------------------

    def _on_ack(self, peer: str, message: Message) -> None:
        if message["term"] > self._core.term:
            self._see_term(message["term"])
            return
        stale = message["term"] < self._core.term or not self._core.is_leader
        if stale and self._has(Rule.TERM_ON_ACKS):
            self.counters["stale ack ignored"] += 1
            return
        if not self._core.is_leader or peer not in self._members.peers:
            return
        if message["success"] and message["next_node_idx"] > self._core.log.last_index + 1:
            self.counters["ack beyond the log ignored"] += 1
            return
        self._replication.acknowledged(peer, seq=message["seq"])
        if message["reset"]:
            self._on_reset(peer, message)
        else:
            self._on_progress(peer, message)

    def _on_reset(self, peer: str, message: Message) -> None:
        """One correction per probe: answers to what was sent before it are old news (H3)."""
        if self._has(Rule.ONE_RESET_PER_PROBE):
            if self._replication.is_superseded(peer, seq=message["seq"]):
                self.counters["superseded reset ignored"] += 1
                self._core.receive(peer, message | {"reset": False})
                return
            end = self._core.log.last_index + 1
            message = message | {"next_node_idx": max(1, min(message["next_node_idx"], end))}
        self._core.receive(peer, message)
        self._replication.was_reset(peer)

    def _on_progress(self, peer: str, message: Message) -> None:
        """An ack never rewinds what is on its way already (H2)."""
        before = self._core.next_index(peer)
        self._core.receive(peer, message)
        if self._has(Rule.NO_REWIND_BY_ACK) and self._core.next_index(peer) < before:
            self._core.set_next_index(peer, before)
