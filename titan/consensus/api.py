"""What the rest of Titan sees of consensus: the machine it drives and the answers it gives."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator
from typing import Any, Protocol

import msgspec


class Role(enum.StrEnum):
    """What this member is in its term."""

    LEADER = "leader"
    FOLLOWER = "follower"
    CANDIDATE = "candidate"


class RaftStatus(msgspec.Struct, frozen=True, kw_only=True):
    """A member's view of the cluster at one moment."""

    role: Role
    term: int
    leader: str  # address, "" when unknown
    is_ready: bool  # leads, and has applied an entry of its own term: it may serve and plan
    commit_index: int
    applied_index: int
    last_index: int
    heard_ms_ago: int  # since the last word from a leader; 0 on a leader with a fresh quorum
    peers_up: tuple[str, ...]  # addresses with a live connection
    voters: tuple[str, ...] = ()  # members that count, by address
    learners: tuple[str, ...] = ()  # members that only receive, until they have caught up
    is_member: bool = False  # this one, by a list that is committed: an uncommitted one may vanish
    held: dict[str, int] = {}  # on the leader: the last index that each other is known to hold


class Freeze(Protocol):
    """A state that is being set aside, in steps between which the member does all but apply entries."""

    def step(self) -> bool:
        """Set a few milliseconds' worth aside. True when the state may change again."""

    def __iter__(self) -> Iterator[bytes]:
        """The whole state in blocks, after the last step; another thread may draw them."""


class ReplicatedMachine(Protocol):
    """The deterministic machine behind the log."""

    def apply(self, index: int, payload: bytes) -> Any:
        """Apply one committed payload. Total: an exception here is fatal for the process."""

    def freeze(self) -> Freeze:
        """Begin to set the whole state of now aside. Nothing is applied until that is done."""

    def restore(self, blocks: Iterable[bytes]) -> None:
        """Replace the whole state. Raises when the blocks are not a state: the member quarantines."""

    @property
    def digest(self) -> bytes:
        """32 bytes that are equal on every member at the same applied index."""


class Raft(Protocol):
    """The interface of `titan.consensus.raft.RaftNode`; the master depends on this alone."""

    async def open(self) -> None:
        """Load snapshot and journal, replay nothing uncommitted, start ticking. Raises `Fatal`."""

    async def close(self) -> None:
        """Stop ticking, sync and close the files. A leader does not hand over by itself."""

    @property
    def status(self) -> RaftStatus:
        """The current view; cheap."""

    def propose(self, payload: bytes) -> Any:
        """Append one entry: a `Promise` of what `machine.apply` returned here.

        Raises `NotLeader`, `DiskFull`; the future fails with `UnknownOutcome` when leadership was lost
        before the entry was known to be committed.
        """

    def hurry(self) -> None:
        """Do now what was proposed, not in the next turn of the loop: nothing is to come with it."""

    async def read_index(self, *, timeout_s: float) -> int:
        """An index such that a local read at it is linearizable; waits until it is applied.

        Concurrent calls share one round. Raises `NotLeader`, `TimedOut`.
        """

    def on_status(self, listener: Any) -> None:
        """Call `listener(RaftStatus)` from the loop whenever role, term, leader or readiness changes."""

    async def add_member(self, address: str, *, member_id: str, timeout_s: float) -> int:
        """Let a newcomer learn; it counts once it has caught up. Answers the entry's index.

        Raises `NotLeader`, `Unavailable` while another change is under way, `Conflict`, `TimedOut`.
        """

    def member_id(self, address: str) -> str:
        """The id of the member that was met at an address, "" when none was."""

    async def remove_member(self, address: str, *, timeout_s: float) -> int:
        """Take a member out for good; never the leader itself. Answers and raises like `add_member`."""

    async def backup(self, *, timeout_s: float) -> Any:
        """Take a snapshot now; the path of its file. Raises `TimedOut`."""

    async def transfer(self, address: str | None, *, timeout_s: float) -> str:
        """Hand leadership over to `address` (None: the most caught-up). Answers the new leader."""
