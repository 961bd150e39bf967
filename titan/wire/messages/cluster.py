"""The masters themselves: who they are, who leads, snapshots."""

from __future__ import annotations

from titan.wire.messages.base import MasterInfo, Message


class GetCluster(Message, frozen=True, kw_only=True, tag="cluster.get"):
    """Call → `ClusterInfo`, as the asked master sees it."""


class ClusterInfo(Message, frozen=True, kw_only=True, tag="cluster.info"):
    """The masters. `leader` is an address or ""."""

    cluster_id: str
    leader: str
    masters: tuple[MasterInfo, ...]


class AddMaster(Message, frozen=True, kw_only=True, tag="master.add"):
    """Call → `Ok` once a master that was started with --join is let in to learn; idempotent."""

    address: str
    who: str = ""  # who orders it, as declared


class RemoveMaster(Message, frozen=True, kw_only=True, tag="master.remove"):
    """Call → `Ok` once the removal is committed; the leader hands over before it is removed."""

    address: str
    who: str = ""


class TransferLeadership(Message, frozen=True, kw_only=True, tag="leader.transfer"):
    """Call → `LeaderNamed`. To `address`, or to whoever has caught up most when it is ""."""

    address: str = ""
    who: str = ""


class LeaderNamed(Message, frozen=True, kw_only=True, tag="leader.named"):
    """Who leads now."""

    address: str


class TakeSnapshot(Message, frozen=True, kw_only=True, tag="snapshot.take"):
    """Call → `SnapshotTaken`: the leader writes one now."""


class GetSnapshot(Message, frozen=True, kw_only=True, tag="snapshot.get"):
    """Channel → the bytes of a snapshot that the leader takes now; ends with `SnapshotTaken`."""


class SnapshotTaken(Message, frozen=True, kw_only=True, tag="snapshot.taken"):
    """A snapshot is durable at the leader."""

    name: str
    size: int
