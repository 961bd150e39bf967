"""What a member does only while it leads: proposals, reads, changes of the members, a handover.

Owns everybody who waits for this leader, and ends their waiting when it leads no longer. `replica.py`
says when in a round each of this happens; making it durable is not decided here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any, Final

from titan import limits
from titan.consensus.changes import Changes
from titan.consensus.config import RaftConfig
from titan.consensus.handover import Handover, Patience
from titan.consensus.journal import CHANGE, Journal
from titan.consensus.library import REGULAR, Core
from titan.consensus.membership import Membership, Roster, encode
from titan.consensus.proposals import Proposals, Waiter
from titan.consensus.reads import Reads
from titan.consensus.replication import Replication
from titan.consensus.room import Room
from titan.consensus.rules import Rule
from titan.errors import DiskFull, LimitExceeded, NotLeader

_COMMIT_NOTICE_S: Final = 0.003  # an idle leader tells of a commit this soon


class Leading:
    """See the module's docstring. `follow_roster` is called once a change of the members is in the log."""

    def __init__(
        self,
        config: RaftConfig,
        *,
        members: Membership,
        journal: Journal,
        replication: Replication,
        room: Room,
        clock: Callable[[], float],
        rules: frozenset[Rule],
        counters: Counter[str],
        follow_roster: Callable[[], None],
    ) -> None:
        self._config = config
        self._members = members
        self._journal = journal
        self._replication = replication
        self._room = room
        self._clock = clock
        self._rules = rules
        self._counters = counters
        self._follow_roster = follow_roster
        self._proposals = Proposals()
        self._reads = Reads()
        self._handover = Handover()
        self._reign = 0  # the term this member leads or led last
        self.commit_noticed_at: float | None = None  # when an idle leader tells of a commit
        self._core: Core
        self._changes: Changes

    def bind(self, core: Core) -> None:
        """The library is there now."""
        self._core = core
        self._changes = Changes(
            core,
            config=self._config,
            members=self._members,
            rules=self._rules,
            clock=self._clock,
        )

    @property
    def is_ready(self) -> bool:
        """Whether this member leads and has applied an entry of its own term."""
        return self._core.is_leader and 0 < self._core.noop_index <= self._core.applied_index

    # --- inputs ----------------------------------------------------------------------------

    def propose(self, payload: bytes, waiter: Waiter) -> None:
        """Queue an entry. Raises `NotLeader`, `DiskFull`, `LimitExceeded`, `Unavailable`."""
        self._need_to_lead()
        if len(payload) > limits.ENTRY_BYTES_MAX:
            raise LimitExceeded(f"an entry of {len(payload)} bytes")
        if not self._room.is_here:
            raise DiskFull(hint="free space in the data directory")
        self._proposals.put(payload, waiter)

    def read_index(self, waiter: Waiter) -> None:
        """Ask for an index at which a local read is linearizable. Raises `NotLeader`."""
        if not self._core.is_leader:
            raise NotLeader(leader=self._core.leader or None)
        self._reads.put(waiter)

    def begin_transfer(self, peer: str | None, waiter: Waiter) -> None:
        """Hand over to `peer`, None: the most caught-up. Raises `NotLeader`, `Unavailable`."""
        voters = self._members.voting_peers
        self._handover.begin(self._core, peer=peer, voters=voters, waiter=waiter)

    def abort_transfer(self) -> None:
        """Go on leading."""
        self._handover.abort()

    def add_member(self, address: str, *, member_id: str, waiter: Waiter) -> None:
        """Let a newcomer learn; it counts once it has caught up. Raises, see `Changes.add`."""
        self._need_to_lead()
        self._append_roster(self._changes.add(address, member_id=member_id), waiter)

    def remove_member(self, address: str, *, member_id: str, waiter: Waiter) -> None:
        """Take a member out for good. Raises, see `Changes.remove`."""
        self._need_to_lead()
        self._append_roster(self._changes.remove(address, member_id=member_id), waiter)

    def _need_to_lead(self) -> None:
        core = self._core
        if not core.is_leader or self._handover.is_under_way:
            raise NotLeader(leader=None if core.is_leader else core.leader or None)

    def _append_roster(self, roster: Roster, waiter: Waiter | None = None) -> None:
        index, term = self._journal.last_index + 1, self._core.term
        self._journal.add(CHANGE + encode(roster), index, term)
        self._follow_roster()
        if waiter is not None:
            self._proposals.appended(waiter, index=index, term=term)

    # --- a round ---------------------------------------------------------------------------

    def begin_round(self) -> bool:
        """Append and send what is new. Says whether anything was sent."""
        took = self._append_proposals()
        read = self._start_reads()
        told = self.commit_noticed_at is not None and self._clock() >= self.commit_noticed_at
        has_news = took or read or told or self._replication.has_backlog()
        if has_news:
            self._core.replicate()
        return has_news

    @property
    def has_work(self) -> bool:
        """Whether an answer of a follower may have made anything possible."""
        if self._core.applied_index < self._journal.last_index or self._handover.is_under_way:
            return True
        return bool(self._members.roster.learners) or self.wants_round

    @property
    def wants_round(self) -> bool:
        """Whether something waits that the round just finished could not do."""
        waits = self._proposals.is_waiting or (self._reads.is_waiting and self.is_ready)
        return waits or self._replication.has_backlog()

    def _append_proposals(self) -> bool:
        taken = self._proposals.take()
        term, index = self._core.term, self._journal.last_index
        for payload, waiter in taken:
            index += 1
            self._journal.add(REGULAR + payload, index, term)
            self._proposals.appended(waiter, index=index, term=term)
        return bool(taken)

    def _start_reads(self) -> bool:
        if not self._reads.is_waiting or not self.is_ready:
            return False
        self._reads.start_batch(
            commit_index=self._core.commit_index, next_seq=self._replication.seq + 1
        )
        return True

    # --- a reign ---------------------------------------------------------------------------

    def begin_reign(self) -> None:
        """A new reign counts no answers from before it."""
        self._reign = self._core.term
        self._replication.reset_reign()
        self._room.forget()
        self._handover.abort()

    def applied(self, index: int, *, term: int, result: Any) -> None:
        """An entry took effect; whoever proposed it is answered by `settle`."""
        self._proposals.applied(index, term=term, result=result)

    def settle(self) -> None:
        """After a tick: answer whoever can be answered, and go on with what a leader does by itself."""
        self._proposals.settle()
        if self._core.is_leader and self._core.term == self._reign:
            self.settle_reads()
            self._notice_commit()
            self._handover.drive(self._core)
            self._promote()
            self._yield_when_full()
        else:
            self.commit_noticed_at = None
            self.stop_waiting()

    def settle_reads(self) -> None:
        """Answer the reads whose proof of leadership has come and whose index is applied."""
        if not self._core.is_leader:
            return
        while (seq := self._reads.oldest_seq) is not None:
            answered = self._replication.reached(seq, voters=self._members.voting_peers)
            proved = self._members.is_majority(answered + 1)
            if not proved or not self._reads.settle(applied_index=self._core.applied_index):
                return

    def stop_waiting(self) -> None:
        """It leads no longer: whoever waits is refused, or told who leads."""
        if self._proposals.is_idle and self._reads.is_idle and not self._handover.is_under_way:
            return
        leader = self._core.leader or None
        self._proposals.leadership_lost(leader=leader)
        self._reads.leadership_lost(leader=leader)
        if leader is not None and leader != self._config.address:
            self._handover.finished(leader=leader)

    def _notice_commit(self) -> None:
        """Followers learn of a commit with the next append; an idle leader sends one for it."""
        if self._replication.told_commit >= self._core.commit_index or not self._members.peers:
            self.commit_noticed_at = None
        elif self.commit_noticed_at is None:
            self.commit_noticed_at = self._clock() + _COMMIT_NOTICE_S

    def _promote(self) -> None:
        if self._members.roster.learners and self.is_ready and not self._handover.is_under_way:
            roster = self._changes.promotion()
            if roster is not None:
                self._counters["learner promoted"] += 1
                self._append_roster(roster)

    def _yield_when_full(self) -> None:
        """A leader without space refuses every write, so one that has some should lead (H33)."""
        if self._room.is_here or self._handover.is_under_way:
            return
        better = self._room.best_elsewhere(self._core, voters=self._members.voting_peers)
        if better:
            self._counters["yielded for want of space"] += 1
            until = self._clock() + self._config.election_max_s
            self.begin_transfer(better, Patience(until=until, clock=self._clock))
