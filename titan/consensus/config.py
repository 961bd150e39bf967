"""The settings of one member and the times that follow from them. Owns no behaviour."""

from __future__ import annotations

from pathlib import Path

import msgspec

from titan import limits
from titan.errors import InvalidSpec


class RaftConfig(msgspec.Struct, frozen=True, kw_only=True):
    """One member's static settings.

    `members` is the bootstrap list: the voters of a new cluster by address, this one included and the
    same everywhere; empty for a member that waits to be added. Later the log says who is a member.
    All times derive from `rtt_budget_ms`: what a round trip with its two disk syncs may take.
    """

    address: str
    members: tuple[str, ...]
    data_dir: Path
    member_id: str
    incarnation: int = 0
    rtt_budget_ms: int = 15
    snapshot_entries: int = 50_000  # take one when the log is longer than this
    snapshot_log_bytes: int = 64 * limits.MIB  # or larger than this: it is in memory too
    snapshot_log_bytes_min: int = 8 * limits.MIB  # or than half a snapshot, but not below this
    snapshot_entry_bytes: int = limits.KIB  # what applying an entry again takes besides its bytes
    keep_entries: int = 10_000  # left behind a snapshot so that a laggard needs no snapshot

    @property
    def peers(self) -> tuple[str, ...]:
        """The others of the bootstrap list, sorted."""
        return tuple(sorted(set(self.members) - {self.address}))

    @property
    def heartbeat_s(self) -> float:
        """Below a third of the shortest election time-out: two may be lost without an election."""
        return self.rtt_budget_ms * 3 / 1000

    @property
    def election_min_s(self) -> float:
        """Silence that a follower bears at least; also how long it stays loyal to a leader."""
        return self.rtt_budget_ms * 10 / 1000

    @property
    def election_max_s(self) -> float:
        """Silence that a follower bears at most."""
        return self.rtt_budget_ms * 20 / 1000

    @property
    def fallback_s(self) -> float:
        """Silence of the majority after which a leader steps down."""
        return self.election_max_s

    def validate(self) -> None:
        """Raise `InvalidSpec` with every problem."""
        problems = tuple(self._problems())
        if problems:
            raise InvalidSpec(problems=problems)

    def _problems(self) -> list[str]:
        checks = (
            (
                not self.members or self.address in self.members,
                f"{self.address} is not among the members",
            ),
            (len(set(self.members)) == len(self.members), "a member is named twice"),
            (len(self.peers) <= limits.PEERS_MAX, f"more than {limits.PEERS_MAX + 1} members"),
            (bool(self.member_id), "the member id is empty"),
            (1 <= self.rtt_budget_ms <= 5_000, "rtt_budget_ms is not in 1..5000"),
            (self.snapshot_entries >= 4, "snapshot_entries is below 4"),
            (
                0 <= self.keep_entries <= self.snapshot_entries // 2,
                "keep_entries is above half of snapshot_entries",
            ),
            (self.heartbeat_s * 3 < self.election_min_s, "heartbeats are too slow for elections"),
            (self.election_min_s < self.election_max_s, "election time-outs do not spread"),
        )
        return [text for holds, text in checks if not holds]
