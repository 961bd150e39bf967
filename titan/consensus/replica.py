"""One member of the cluster as a synchronous machine: inputs in, rounds, messages and answers out.

Owns the order of things, which is where durability lives; the simulator runs exactly this code.
A round has two halves. The first appends what was proposed and sends it to the followers at once,
so their disks work while ours does. The second makes our log durable, lets out what depends on
that, then ticks the library: what it counts as stored here is stored, and a commit is applied in the
round that brought the deciding answer. Time, chance, disk and link are given; nothing here waits.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from typing import Final, Protocol

from titan.consensus import codec
from titan.consensus.api import RaftStatus, ReplicatedMachine
from titan.consensus.applier import Applier
from titan.consensus.bootstrap import start_members
from titan.consensus.codec import Message
from titan.consensus.config import RaftConfig
from titan.consensus.disk import Disk
from titan.consensus.guard import Guard
from titan.consensus.installer import Installer
from titan.consensus.journal import Entry, Journal
from titan.consensus.leading import Leading
from titan.consensus.library import LEADER, Core
from titan.consensus.membership import Membership, Roster
from titan.consensus.proposals import Waiter
from titan.consensus.replication import Replication
from titan.consensus.room import Room
from titan.consensus.rules import ALL_RULES, Rule
from titan.consensus.snapshots import SnapshotFiles
from titan.consensus.snapshotter import Background, Snapshotter
from titan.consensus.status import view

_AFTER_S: Final = 0.0005  # the library acts strictly after a deadline


class Link(Protocol):
    """The way to the other members."""

    def send(self, peer: str, payload: bytes) -> None:
        """Send if there is a way, forget it otherwise. Never blocks, never raises."""


class Replica:
    """See the module's docstring. Methods raise `Fatal` when the member must stop."""

    def __init__(
        self,
        config: RaftConfig,
        *,
        machine: ReplicatedMachine,
        link: Link,
        disk: Disk,
        background: Background,
        clock: Callable[[], float],
        rng: random.Random,
        rules: frozenset[Rule] = ALL_RULES,
    ) -> None:
        config.validate()
        self.config = config
        self.counters: Counter[str] = Counter()
        self._link = link
        self._clock = clock
        self._rng = rng
        self._rules = rules
        self._is_open = False
        self._is_asked = False  # by a message, for a round
        self._disk = disk
        self.members = Membership(address=config.address)
        self._journal = Journal(disk, directory=config.data_dir, watcher=self.members)
        self._files = SnapshotFiles(disk, directory=config.data_dir)
        self._snapshotter = Snapshotter(
            machine, files=self._files, disk=disk, background=background
        )
        self.installer = Installer(
            machine, config=config, journal=self._journal, members=self.members,
            files=self._files, snapshotter=self._snapshotter,
        )  # fmt: skip
        self._replication = Replication(log=self._journal, snapshots=self._files, send=link.send)
        self._applier = Applier(
            machine, members=self.members, member_id=config.member_id, send=self._post
        )
        self._roster: Roster | None = None  # the one that everything here was told of
        self._outbox: list[tuple[str, Message]] = []
        self.room = Room(self._journal, clock=clock)
        self._leading = Leading(
            config, members=self.members, journal=self._journal, replication=self._replication,
            room=self.room, clock=clock, rules=rules, counters=self.counters,
            follow_roster=self._follow_roster,
        )  # fmt: skip
        self.core: Core
        self.guard: Guard

    # --- life ------------------------------------------------------------------------------

    def open(self) -> None:
        """Read the disk back, restore the machine, and be ready for rounds."""
        self._journal.open()
        place = self._files.newest_good()
        start_members(self.members, disk=self._disk, config=self.config, place=place)
        self.installer.recover(place)
        self.core = Core(
            self.config, journal=self._journal, hooks=self, clock=self._clock, rng=self._rng
        )
        if place is not None:
            self.core.applied_index = self.core.commit_index = place.index
            self.trim(place.previous[1])
        self._replication.bind(self.core)
        self.guard = Guard(
            self.core, config=self.config, members=self.members, replication=self._replication,
            send=self._post, clock=self._clock, rng=self._rng, rules=self._rules,
            counters=self.counters,
        )  # fmt: skip
        self._leading.bind(self.core)
        self._follow_roster()
        self._journal.sync()
        self._is_open = True
        self.guard.elections.next_tick_due = self.next_due()

    def _follow_roster(self) -> None:
        """A membership entry counts as soon as it is in the log, and no longer than it is."""
        roster = self.members.roster
        if roster is self._roster:
            return
        self._roster = roster
        learners = tuple(each for each in roster.learners if each != self.config.address)
        self.core.set_members(voters=self.members.voting_peers, learners=learners)
        self._replication.set_peers(self.members.peers)
        self._applier.digests.keep_only(self.members.peers)

    def close(self) -> None:
        """Sync and close the files; whoever waits is refused."""
        self._leading.stop_waiting()
        self._is_open = False
        self._snapshotter.close()
        self._journal.close()

    def abandon(self) -> None:
        """Let go of the files as they are, after a failure."""
        self._is_open = False
        self._snapshotter.close()
        self._journal.abandon()

    # --- inputs ----------------------------------------------------------------------------

    def receive(self, peer: str, payload: bytes) -> None:
        """A message came in. Raises `ProtocolError` when it is none, `Fatal` for divergence."""
        if not self._is_open:
            return  # nothing is judged before the snapshot is loaded
        message = codec.decode(payload)
        if message["type"] == codec.DIGEST and peer in self.members.peers:
            self._applier.digests.theirs(peer, index=message["index"], digest=message["digest"])
        self.guard.incoming(peer, message)
        self._follow_roster()
        if message["type"] == codec.ACK:
            self.room.heard(peer, has_room=message["has_room"])
            self._leading.settle_reads()
            is_needed = not self.core.is_leader or self._leading.has_work
            self._is_asked |= is_needed or bool(self._outbox)
        else:
            self._is_asked = True

    def peer_up(self, peer: str) -> None:
        """Messages to `peer` have a way now."""
        self.core.connected(peer)
        self._replication.link_changed(peer)

    def peer_down(self, peer: str) -> None:
        """Messages to `peer` have no way any more."""
        self.core.disconnected(peer)
        self._replication.link_changed(peer)
        self.guard.peer_down(peer)

    def peer_lost(self, peer: str) -> None:
        """The connection that `peer` sent over ended: perhaps its process died."""
        self.guard.peer_down(peer)

    def propose(self, payload: bytes, waiter: Waiter) -> None:
        """Queue an entry. Raises `NotLeader`, `DiskFull`, `LimitExceeded`, `Unavailable`."""
        self._leading.propose(payload, waiter)

    def read_index(self, waiter: Waiter) -> None:
        """Ask for an index at which a local read is linearizable. Raises `NotLeader`."""
        self._leading.read_index(waiter)

    def begin_transfer(self, peer: str | None, waiter: Waiter) -> None:
        """Hand over to `peer`, None: the most caught-up. Raises `NotLeader`, `Unavailable`."""
        self._leading.begin_transfer(peer, waiter)

    def add_member(self, address: str, *, member_id: str, waiter: Waiter) -> None:
        """Let a newcomer learn; it counts once it has caught up. Raises, see `Changes.add`."""
        self._leading.add_member(address, member_id=member_id, waiter=waiter)

    def remove_member(self, address: str, *, member_id: str, waiter: Waiter) -> None:
        """Take a member out for good. Raises, see `Changes.remove`."""
        self._leading.remove_member(address, member_id=member_id, waiter=waiter)

    def abort_transfer(self) -> None:
        """Go on leading."""
        self._leading.abort_transfer()

    # --- rounds ----------------------------------------------------------------------------

    def begin_round(self) -> bool:
        """Append and send what is new. Says whether anything was sent."""
        self._is_asked = False
        return self.core.is_leader and self._leading.begin_round()

    def finish_round(self) -> None:
        """Make durable, let out, tick, make durable, let out, answer."""
        self._persist()
        self.guard.elections.before_tick()
        self.core.tick()
        self._persist()
        self._settle()
        self.guard.elections.next_tick_due = self.next_due()

    def freeze_more(self) -> None:
        """A step of the snapshot that is being taken, if there is one; before a round, once a turn."""
        self._snapshotter.go_on()

    @property
    def is_asked_for_round(self) -> bool:
        """Whether a message since the last round needs one. The last of a majority's answers do not."""
        return self._is_asked

    @property
    def is_busy(self) -> bool:
        """Whether entries wait to be applied, or the state to be frozen, that one round had no time for."""
        return self.core.is_behind or self.is_freezing

    @property
    def wants_round(self) -> bool:
        """Whether something waits that the round just finished could not do."""
        if self._journal.is_dirty or self.is_busy:
            return True
        return self.core.is_leader and self._leading.wants_round

    def next_due(self) -> float:
        """When the next round must start even if nothing happens, on the injected clock."""
        if not self.core.is_leader:
            return self.core.election_due + _AFTER_S
        due = self.core.heartbeat_due + _AFTER_S
        notice = self._leading.commit_noticed_at
        return due if notice is None else min(due, notice)

    def _persist(self) -> None:
        self._journal.sync()
        outbox, self._outbox = self._outbox, []
        for peer, message in outbox:
            self._link.send(peer, codec.encode(message))

    def _post(self, peer: str, message: Message) -> None:
        """Everything but a leader's appends waits for the sync of its round."""
        if message["type"] == codec.ACK:
            message = message | {"has_room": self.room.is_here}
        self._outbox.append((peer, message))

    # --- after a tick ----------------------------------------------------------------------

    @property
    def is_ready(self) -> bool:
        """Whether this member leads and has applied an entry of its own term."""
        return self._leading.is_ready

    def _settle(self) -> None:
        self._leading.settle()
        # The library remembers a request: one made while a snapshot is written would mean another one.
        if self._snapshotter.is_idle and self.installer.is_due:
            self.core.request_compaction()

    # --- the library calls back ------------------------------------------------------------

    def outgoing(self, peer: str, message: Message) -> None:
        """The library speaks: through the guard, never directly."""
        self.guard.outgoing(peer, message)

    def apply(self, index: int, command: bytes) -> None:
        """One committed entry. The machine is total, so an exception here stops the member."""
        result = self._applier.apply(index, command)
        self._leading.applied(index, term=self._journal.term_at(index) or 0, result=result)
        self._applier.compare_digests(index)

    def replicate(self) -> None:
        """The library's heartbeat is due, or a round has news."""
        self._replication.replicate()

    def role_changed(self, role: int) -> None:
        """A new reign counts no answers from before it."""
        if role == LEADER:
            self._leading.begin_reign()

    def received_chunk(self, serialized: tuple[bytes, bool, bool]) -> bool:
        """A piece of the leader's snapshot."""
        return self.installer.receive(serialized, newer_than=self.core.applied_index)

    def install(self) -> None:
        """Replace the machine's state by the snapshot that just became durable."""
        place = self.installer.install()
        self._applier.check_own_place(place.roster)
        self.core.applied_index = place.index
        self.core.commit_index = max(self.core.commit_index, place.index)
        self.guard.installed(place.index)
        self.counters["snapshot installed"] += 1

    def begin_snapshot(self, *, previous: Entry, last: Entry) -> None:
        """The log has grown long enough."""
        self.counters["snapshot begun"] += 1
        self.installer.begin(previous=previous, last=last)

    @property
    def is_freezing(self) -> bool:
        """Whether the state must stay as it is for a snapshot."""
        return self._snapshotter.is_freezing

    def snapshot_state(self) -> tuple[int, int]:
        """How far the snapshot being written is."""
        return self._snapshotter.poll()

    def trim(self, index: int) -> None:
        """Let go of covered entries; a few stay for laggards unless they are large."""
        self.installer.trim(index)

    @property
    def status(self) -> RaftStatus:
        """The current view."""
        return view(
            self.core, elections=self.guard.elections, is_ready=self.is_ready,
            members=self.members, address=self.config.address,
        )  # fmt: skip

    @property
    def syncs(self) -> int:
        """How often the log was made durable."""
        return self._journal.syncs
