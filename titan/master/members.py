"""Adding, removing and relieving masters on request, and handing out backups: the leader's side.

Owns the steps around a change; the rules of a change are consensus' own (`titan.consensus.changes`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Final

from titan.consensus.api import Raft
from titan.consensus.membership import REMOVED_REASON, removed
from titan.errors import Conflict, NotLeader, ProtocolError, TitanError, Unavailable
from titan.fsm.commands import NoteOrder
from titan.limits import CHUNK_BYTES
from titan.master.order_notes import OrderNotes
from titan.master.peers import Peers
from titan.wire.channel import Stream
from titan.wire.messages import (
    AddMaster,
    LeaderNamed,
    MasterInfo,
    Message,
    Ok,
    RemoveMaster,
    SnapshotTaken,
    TakeSnapshot,
    TransferLeadership,
    Welcome,
)

CHANGE_TIMEOUT_S: Final = 5.0
TRANSFER_TIMEOUT_S: Final = 2.0
SNAPSHOT_TIMEOUT_S: Final = 120.0
JOIN_PERIOD_S: Final = 0.5
NAMED_PATIENCE_S: Final = 2.0  # of a restarted master that was a member when it stopped


class Members:
    """What a leader does to the list of masters."""

    def __init__(
        self,
        raft: Raft,
        peers: Peers,
        *,
        notes: OrderNotes,
        address: str,
        cluster_id: Callable[[], str],
    ) -> None:
        self._raft = raft
        self._peers = peers
        self._notes = notes
        self._address = address
        self._cluster_id = cluster_id

    async def serve(self, message: Message) -> Message:
        """One request that `Gateway.govern` lets in."""
        match message:
            case AddMaster():
                return await self.add(message)
            case RemoveMaster():
                return await self.remove(message)
            case TransferLeadership():
                return await self.transfer(message)
            case TakeSnapshot():
                return await self.take_snapshot()
        raise ProtocolError(f"unexpected call {type(message).__name__}")

    async def add(self, message: AddMaster) -> Ok:
        """Let a master that was started with --join learn; it counts once it has caught up."""
        welcome = await self._peers.greet(message.address)
        status = self._raft.status
        if message.address in (*status.voters, *status.learners):
            if self._raft.member_id(message.address) == welcome.id:
                return Ok()  # asked twice, or by two
        elif self._is_foreign(welcome, message.address):
            raise Conflict(
                f"the master at {message.address} has a cluster of its own",
                reason="has_a_cluster",
                hint="start it with an empty data directory and --join",
            )
        await self._raft.add_member(
            message.address, member_id=welcome.id, timeout_s=CHANGE_TIMEOUT_S
        )
        self._notes.keep(NoteOrder(action="master.add", master=message.address), who=message.who)
        return Ok()

    def _is_foreign(self, welcome: Welcome, address: str) -> bool:
        """Whether a newcomer belongs to another cluster.

        One that a lost leader of this one was about to add knows it already, and still has to be added.
        """
        if welcome.cluster_id:
            return welcome.cluster_id != self._cluster_id()
        status = self._raft.status
        ours = {*status.voters, *status.learners, address}
        return any(master.address not in ours for master in welcome.masters)

    async def remove(self, message: RemoveMaster) -> Ok:
        """Take a master out for good. Raises `NotLeader` after handing over, if it is this one."""
        if message.address == self._address:
            if len(self._raft.status.voters) == 1:
                raise Conflict(f"{self._address} is the only voter", reason="last_member")
            raise NotLeader(leader=await self._raft.transfer(None, timeout_s=TRANSFER_TIMEOUT_S))
        await self._raft.remove_member(message.address, timeout_s=CHANGE_TIMEOUT_S)
        # Nobody waits for the note: the removed master, which may be passing the answer on, ends at once.
        self._notes.keep(NoteOrder(action="master.remove", master=message.address), who=message.who)
        return Ok()

    async def transfer(self, message: TransferLeadership) -> LeaderNamed:
        """Hand the leadership over, to anybody or to one."""
        if message.address == self._address:
            return LeaderNamed(address=self._address)
        if not message.address or message.address in self._raft.status.voters:
            to = f"to {message.address or 'whoever has caught up most'}"
            note = NoteOrder(action="leader.transfer", master=self._address, detail=to)
            await self._notes.keep_first(note, who=message.who)
        return LeaderNamed(
            address=await self._raft.transfer(message.address or None, timeout_s=TRANSFER_TIMEOUT_S)
        )

    async def take_snapshot(self) -> SnapshotTaken:
        """Take a snapshot here, now."""
        path: Path = await self._raft.backup(timeout_s=SNAPSHOT_TIMEOUT_S)
        return SnapshotTaken(name=path.name, size=path.stat().st_size)

    async def send_snapshot(self, channel: Stream) -> SnapshotTaken:
        """Take a snapshot and send the file."""
        path: Path = await self._raft.backup(timeout_s=SNAPSHOT_TIMEOUT_S)
        size = 0
        with path.open("rb") as file:  # later generations do not take an open file away
            while chunk := await asyncio.to_thread(file.read, CHUNK_BYTES):
                size += len(chunk)
                await channel.send(chunk)
        return SnapshotTaken(name=path.name, size=size)

    def described(self, masters: list[MasterInfo]) -> tuple[MasterInfo, ...]:
        """With what each master is in the cluster."""
        status = self._raft.status
        return tuple(
            MasterInfo(
                id=each.id, address=each.address, http=each.http, role=each.role, term=each.term,
                applied_index=each.applied_index, is_learner=each.address in status.learners,
            )
            for each in masters
        )  # fmt: skip


class Joining:
    """Asks the cluster to take this master in, until it is a member."""

    def __init__(self, raft: Raft, peers: Peers, *, address: str, masters: tuple[str, ...]) -> None:
        self._raft = raft
        self._peers = peers
        self._address = address
        self._masters = masters
        self.last_refusal = ""

    @property
    def is_over(self) -> bool:
        """Whether this master is a member, committed: what a lost leader only began is undone."""
        return self._raft.status.is_member

    async def run(self) -> None:
        """Ask each of the masters in turn. Raises a refusal that no patience mends."""
        if self._address in (*self._raft.status.voters, *self._raft.status.learners):
            await asyncio.sleep(NAMED_PATIENCE_S)  # its log names it: a leader will say what holds
        asked = AddMaster(address=self._address, who=f"master {self._address}")
        while not self.is_over:
            for master in self._masters:
                try:
                    await self._peers.ask_as_client(master, asked)
                except Unavailable as error:
                    self.last_refusal = str(error)
                except Conflict as error:
                    if error.reason == REMOVED_REASON:
                        raise removed(self._address) from None
                    if error.reason != "has_a_cluster":
                        raise
                    self.last_refusal = str(error)
                except TitanError as error:
                    self.last_refusal = str(error)
            await asyncio.sleep(JOIN_PERIOD_S)
        await asyncio.Event().wait()  # a side task never ends by itself


async def hand_over(raft: Raft, *, timeout_s: float) -> str:
    """Give the leadership away before leaving; "" when this master does not lead or nobody takes it."""
    if not raft.status.is_ready:
        return ""
    try:
        return await raft.transfer(None, timeout_s=timeout_s)
    except TitanError:
        return ""
