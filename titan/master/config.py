"""What a master is told when it starts, checked before anything is opened."""

from __future__ import annotations

from pathlib import Path

import msgspec

from titan.config import DEFAULT_HTTP, DEFAULT_LISTEN, is_loopback, split_address
from titan.errors import UserError


class MasterConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Settings of one master. Addresses are "host:port"."""

    data_dir: Path
    listen: str = DEFAULT_LISTEN  # Raft, workers and clients; also its name among the peers
    http: str = DEFAULT_HTTP  # "" serves no HTTP
    peers: tuple[str, ...] = ()  # who founds the cluster, this one included; none: a cluster of one
    join: tuple[str, ...] = ()  # masters of a cluster that this one asks to be let in
    insecure: bool = False  # allow addresses beyond this machine without TLS
    rtt_budget_ms: int = 0  # 0: the default of titan.consensus
    snapshot_entries: int = 0  # a snapshot when the log is so long; 0: the same default
    is_supervised: bool = False  # part of `titan up`: the workers it has launched end with it

    @property
    def founders(self) -> tuple[str, ...]:
        """The first members; none when it joins a cluster that exists."""
        return () if self.join else self.peers or (self.listen,)

    @property
    def others(self) -> tuple[str, ...]:
        """The other masters, in order."""
        return tuple(peer for peer in self.peers if peer != self.listen)

    def check(self) -> None:
        """Raise `UserError` for settings that cannot work."""
        for address in (self.listen, *self.others, *self.join, *([self.http] if self.http else [])):
            host, _ = split_address(address)
            if not self.insecure and not is_loopback(host):
                raise UserError(
                    f"{address} can be reached from other machines, and this version has no TLS",
                    hint="listen on 127.0.0.1, or say --insecure inside a network you trust",
                )
        if self.peers and self.join:
            raise UserError(
                "--peers founds a cluster and --join enters one",
                hint="give one of them",
            )
        if self.peers and self.listen not in self.peers:
            raise UserError(
                f"--peers does not name this master's own address {self.listen}",
                hint=f"use the same list on every master, e.g. --peers {self.listen},…",
            )
