"""The only module that knows pysyncobj's insides: its pin, its private names, its injected parts.

Every member runs a private copy of the library's module, so its clock, dice, journal, serializer
and poller are given to it instead of patched into the module that everybody imports. A private
method is replaced by an attribute on the instance, which the library's own calls then find.
Nothing here decides anything about Raft; see `guard.py` for the rules.
"""

from __future__ import annotations

import hashlib
import importlib.util
import random
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, Final, Protocol

from pysyncobj.config import SyncObjConf
from pysyncobj.node import Node
from pysyncobj.transport import Transport

from titan import limits
from titan.consensus.codec import Message
from titan.consensus.config import RaftConfig
from titan.consensus.journal import Journal
from titan.errors import Fatal

PINNED_SHA256: Final = "e8bdf06797085d734df86e24ab4802fe87893dff77268565ec036f7ad4a1cfe4"
NO_OP: Final = b"\x01"
REGULAR: Final = b"\x00"
FOLLOWER, CANDIDATE, LEADER = 0, 1, 2
_NEVER_S: Final = 1e9


class Hooks(Protocol):
    """What the library calls back into."""

    def outgoing(self, peer: str, message: Message) -> None:
        """The library wants `message` sent."""

    def apply(self, index: int, command: bytes) -> None:
        """An entry is committed; called once per index, in order."""

    def replicate(self) -> None:
        """Send what followers lack, or a heartbeat."""

    @property
    def is_freezing(self) -> bool:
        """Whether a snapshot is being taken of the state as it is, so that nothing may be applied."""

    def received_chunk(self, serialized: tuple[bytes, bool, bool]) -> bool:
        """A piece of a snapshot; True once it is whole, checked, durable and newer than here."""

    def install(self) -> None:
        """Load the snapshot that `received_chunk` completed. Raises rather than half doing it."""

    def begin_snapshot(self, *, previous: Any, last: Any) -> None:
        """Start taking a snapshot that ends with `last`."""

    def snapshot_state(self) -> tuple[int, int]:
        """The library's serializer state, and the index up to which the log may be trimmed."""

    def role_changed(self, role: int) -> None:
        """The member has become FOLLOWER, CANDIDATE or LEADER; called before it acts as such."""

    def trim(self, index: int) -> None:
        """Entries below `index` are covered by a durable snapshot."""


class _Link(Transport):  # type: ignore[misc]
    """The transport that the library sees: always ready, sends into the hooks."""

    def __init__(self, hooks: Hooks) -> None:
        super().__init__(None, None, [])
        self._hooks = hooks

    def send(self, node: Node, message: Message) -> bool:
        self._hooks.outgoing(node.id, message)
        return True


class _Serializer:
    """The serializer that the library sees."""

    def __init__(self, hooks: Hooks) -> None:
        self._hooks = hooks

    def checkSerializing(self) -> tuple[int, int]:  # noqa: N802
        return self._hooks.snapshot_state()

    def serialize(self, data: tuple[Any, Any, Any, Any], _id: int) -> None:
        self._hooks.begin_snapshot(previous=data[2], last=data[1])

    def setTransmissionData(self, data: tuple[bytes, bool, bool]) -> bool:  # noqa: N802
        return self._hooks.received_chunk(data)

    def cancelTransmisstion(self, _node: Node) -> None:  # noqa: N802
        """Our own replication forgets a transfer when the link goes."""


class _Peer(str, Node):  # type: ignore[misc]
    """A node as the library knows it. It looks nodes up in sets and tables several times for each
    message; as a string it is hashed and compared without a call of Python code."""

    __slots__ = ()
    __hash__ = str.__hash__
    __eq__ = str.__eq__
    __ne__ = str.__ne__

    def __init__(self, address: str) -> None:
        """The id is the string itself."""

    @property
    def id(self) -> str:
        """The address, as a plain string."""
        return str.__str__(self)


class _NoPoller:
    """The library owns no sockets."""

    def poll(self, _timeout: float) -> None:
        """Nothing to poll."""


def check_pin() -> None:
    """Raise `Fatal` unless the installed library is byte for byte the one the guard was made for."""
    spec = importlib.util.find_spec("pysyncobj.syncobj")
    assert spec is not None, "pysyncobj is not installed"
    assert spec.origin is not None, "pysyncobj is not installed"
    found = hashlib.sha256(Path(spec.origin).read_bytes()).hexdigest()
    if found != PINNED_SHA256:
        raise Fatal(
            f"{spec.origin} is not the audited pysyncobj 0.3.17 (sha256 {found})",
            hint="pip install --force-reinstall pysyncobj==0.3.17",
        )


def _private_copy() -> ModuleType:
    spec = importlib.util.find_spec("pysyncobj.syncobj")
    assert spec is not None, "pysyncobj is not installed"
    assert spec.loader is not None, "pysyncobj cannot be loaded"
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _settings(config: RaftConfig, *, hooks: Hooks) -> SyncObjConf:
    return SyncObjConf(
        autoTick=False,
        commandsWaitLeader=False,
        dynamicMembershipChange=False,
        useFork=False,
        appendEntriesUseBatch=True,
        appendEntriesPeriod=config.heartbeat_s,
        raftMinTimeout=config.election_min_s,
        raftMaxTimeout=config.election_max_s,
        leaderFallbackTimeout=config.fallback_s,
        connectionTimeout=max(3.5, config.election_max_s),
        appendEntriesBatchSizeBytes=limits.APPEND_BATCH_BYTES,
        logCompactionMinEntries=config.snapshot_entries,
        logCompactionMinTime=_NEVER_S,
        onStateChanged=lambda _old, new: hooks.role_changed(new),
        # Never opened: both say "we have our own", which the library insists on hearing.
        fullDumpFile=None,
        journalFile=None,
    )


class Core:
    """One member of the library, with its private state as plain properties."""

    def __init__(
        self,
        config: RaftConfig,
        *,
        journal: Journal,
        hooks: Hooks,
        clock: Callable[[], float],
        rng: random.Random,
    ) -> None:
        check_pin()
        self._hooks = hooks
        self._clock = clock
        self.log = journal
        self._nodes: dict[str, _Peer] = {}
        self.connected_peers: list[str] = []  # that there is a way to, sorted
        self.is_behind = False  # committed entries wait for the next tick to be applied
        module = _private_copy()
        module.__dict__.update(
            monotonicTime=clock,
            random=rng,
            createJournal=lambda _path: journal,
            createPoller=lambda _kind: _NoPoller(),
            Serializer=lambda *_settings: _Serializer(hooks),
        )
        self._link = _Link(hooks)
        self._so: Any = module.SyncObj(
            _Peer(config.address),
            [],
            _settings(config, hooks=hooks),
            transport=self._link,
            nodeClass=_Peer,
        )
        self._replace_private_methods()

    def _replace_private_methods(self) -> None:
        so, hooks = self._so, self._hooks
        # The library would unpickle commands here, and apply a whole backlog without a pause.
        so._SyncObj__applyLogEntries = self._apply_committed
        # The library copies, encodes and pushes the whole backlog here, without any bound.
        so._SyncObj__sendAppendEntries = self.replicate
        # The library swallows every failure here and goes on with half a state.
        so._SyncObj__loadDumpFile = lambda clearJournal: hooks.install()  # noqa: ARG005, N803
        so._SyncObj__deleteEntriesTo = hooks.trim

    def _apply_committed(self) -> bool:
        """Apply what is committed, for a bounded time; `is_behind` when that was not all."""
        due = self._clock() + limits.APPLY_ROUND_S
        self.is_behind = False
        if self._hooks.is_freezing:
            return False  # a round follows the freeze
        while self.applied_index < self.commit_index:
            index = self.applied_index + 1
            entries = self._so._SyncObj__getEntries(index, 1)
            if not entries:
                break
            self._hooks.apply(index, entries[0][0])
            self.applied_index = index
            if self._clock() >= due:
                self.is_behind = index < self.commit_index
                break
        return False  # nothing has to be sent for it

    def _node(self, peer: str) -> _Peer:
        node = self._nodes.get(peer)
        if node is None:
            node = self._nodes[peer] = _Peer(peer)
        return node

    def set_members(self, *, voters: tuple[str, ...], learners: tuple[str, ...]) -> None:
        """The other members from now on: those that the library counts, and those it only serves."""
        so = self._so
        others = {self._node(peer) for peer in voters}
        served = {self._node(peer) for peer in learners}
        for node in (so._SyncObj__otherNodes | so._SyncObj__readonlyNodes) - others - served:
            for table in ("NextIndex", "MatchIndex"):
                getattr(so, f"_SyncObj__raft{table}").pop(node, None)
            so._SyncObj__lastResponseTime.pop(node, None)
        so._SyncObj__otherNodes, so._SyncObj__readonlyNodes = others, served
        for node in others | served:
            so._SyncObj__raftNextIndex.setdefault(node, self.log.last_index + 1)
            so._SyncObj__raftMatchIndex.setdefault(node, 0)
            so._SyncObj__lastResponseTime.setdefault(node, self._clock())

    # --- driving ---------------------------------------------------------------------------

    def tick(self) -> None:
        """Elections, commit, apply, heartbeats and compaction, in the library's order."""
        self._so.doTick(0.0)

    def receive(self, peer: str, message: Message) -> None:
        """Hand over a message that the guard let through."""
        self._link._onMessageReceived(self._node(peer), message)

    def replicate(self) -> None:
        """Send now what followers lack; the next heartbeat is due a period later."""
        self._so._SyncObj__newAppendEntriesTime = self._clock() + self._so.conf.appendEntriesPeriod
        self._hooks.replicate()

    def connected(self, peer: str) -> None:
        """There is a way to `peer`."""
        self._link._onNodeConnected(self._node(peer))
        self._note_connected()

    def disconnected(self, peer: str) -> None:
        """There is no way to `peer`."""
        self._link._onNodeDisconnected(self._node(peer))
        self._note_connected()

    def _note_connected(self) -> None:
        self.connected_peers = sorted(str(node) for node in self._so._SyncObj__connectedNodes)

    def request_compaction(self) -> None:
        """Take a snapshot at the next tick."""
        self._so.forceLogCompaction()

    def transfer_to(self, peer: str) -> None:
        """Ask a caught-up follower to campaign now."""
        self._so.transferLeadership(self._node(peer))

    # --- state ------------------------------------------------------------------------------

    @property
    def role(self) -> int:
        """FOLLOWER, CANDIDATE or LEADER."""
        return int(self._so._SyncObj__raftState)

    @property
    def is_leader(self) -> bool:
        """Whether this member believes that it leads."""
        return bool(self._so._SyncObj__raftState == LEADER)

    @property
    def term(self) -> int:
        """The current term."""
        return int(self._so._SyncObj__raftCurrentTerm)

    @property
    def leader(self) -> str:
        """The leader's address, "" when unknown."""
        node = self._so._SyncObj__raftLeader
        return node.id if node is not None else ""

    def forget_leader(self) -> None:
        """Know of no leader."""
        self._so._SyncObj__raftLeader = None

    @property
    def commit_index(self) -> int:
        """The highest index known to be committed."""
        return int(self._so._SyncObj__raftCommitIndex)

    @commit_index.setter
    def commit_index(self, index: int) -> None:
        self._so._SyncObj__raftCommitIndex = index

    @property
    def applied_index(self) -> int:
        """The highest index that the machine has seen."""
        return int(self._so._SyncObj__raftLastApplied)

    @applied_index.setter
    def applied_index(self, index: int) -> None:
        self._so._SyncObj__raftLastApplied = index

    @property
    def noop_index(self) -> int:
        """Where this leader's reign begins in the log; 0 if it never led."""
        return self._so._SyncObj__noopIDx or 0

    @property
    def election_due(self) -> float:
        """When a follower loses patience."""
        return float(self._so._SyncObj__raftElectionDeadline)

    @election_due.setter
    def election_due(self, due: float) -> None:
        self._so._SyncObj__raftElectionDeadline = due

    @property
    def heartbeat_due(self) -> float:
        """When a leader sends next even without news."""
        return float(self._so._SyncObj__newAppendEntriesTime)

    @property
    def is_transferring(self) -> bool:
        """Whether the leader asked this member to campaign."""
        return bool(self._so._SyncObj__transferInProgress)

    def next_index(self, peer: str) -> int:
        """What the leader sends `peer` next."""
        return int(self._so._SyncObj__raftNextIndex[self._node(peer)])

    def set_next_index(self, peer: str, index: int) -> None:
        """Move what the leader sends next."""
        self._so._SyncObj__raftNextIndex[self._node(peer)] = index

    def match_index(self, peer: str) -> int:
        """How far `peer` is known to hold the leader's log."""
        return int(self._so._SyncObj__raftMatchIndex.get(self._node(peer), 0))

    def heard(self, peer: str) -> float:
        """When a leader last had an answer from `peer`."""
        return float(self._so._SyncObj__lastResponseTime.get(self._node(peer), 0.0))

    def forgive_silence(self, gap_s: float) -> None:
        """Do not hold against the followers what this leader slept through."""
        times = self._so._SyncObj__lastResponseTime
        for node in times:
            times[node] += gap_s

    def draw_election_timeout(self) -> float:
        """A patience in seconds."""
        return float(self._so._SyncObj__generateRaftTimeout())

    def step_down(self, *, term: int) -> None:
        """Follow nobody in a newer term."""
        self._so._SyncObj__setCurrentTerm(term, None)
        self._so._SyncObj__setState(FOLLOWER)
        self._so._SyncObj__raftLeader = None
