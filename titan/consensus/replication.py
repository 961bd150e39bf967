"""What a leader sends its followers: entries, heartbeats and snapshots, within a window per peer.

Replaces the library's sender, which pushes the whole backlog at every tick. One message is encoded
once however many followers get it. Sends nothing that an answer could not be matched to: every
append carries a sequence number, and answers echo it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from titan import limits
from titan.consensus import codec
from titan.consensus.codec import Message
from titan.consensus.disk import File
from titan.consensus.journal import Journal
from titan.consensus.library import Core
from titan.consensus.snapshots import SnapshotFiles


class _Transfer:
    """A snapshot on its way to one peer."""

    def __init__(self, file: File, *, index: int) -> None:
        self.file = file
        self.index = index
        self.offset = 0
        self.chunk = 0
        self.is_sent = False


class _Peer:
    """What is on the way to one follower."""

    def __init__(self) -> None:
        self.in_flight: deque[tuple[int, int]] = deque()  # (sequence, bytes)
        self.in_flight_bytes = 0
        self.barrier = 0  # answers up to this sequence are about an older probe
        self.acked_seq = 0
        self.transfer: _Transfer | None = None

    def forget_flight(self) -> None:
        self.in_flight.clear()
        self.in_flight_bytes = 0

    def end_transfer(self) -> None:
        if self.transfer is not None:
            self.transfer.file.close()
        self.transfer = None


class Replication:
    """The sending side of a leader."""

    def __init__(
        self,
        *,
        log: Journal,
        snapshots: SnapshotFiles,
        send: Callable[[str, bytes], None],
    ) -> None:
        self._peers: dict[str, _Peer] = {}
        self._log = log
        self._snapshots = snapshots
        self._send = send
        self._core: Core
        self.seq = 0
        self.told_commit = 0  # the commit index that the last messages carried
        self._encoded: dict[int, tuple[bytes, int, int]] = {}

    def bind(self, core: Core) -> None:
        """Give it the member it sends for."""
        self._core = core

    def set_peers(self, peers: tuple[str, ...]) -> None:
        """Send to these from now on."""
        for address in set(self._peers) - set(peers):
            self._peers.pop(address).end_transfer()
        for address in peers:
            if address not in self._peers:
                self._peers[address] = fresh = _Peer()
                fresh.barrier = self.seq
        self._peers = {address: self._peers[address] for address in peers}

    # --- sending ---------------------------------------------------------------------------

    def replicate(self) -> None:
        """One message to every connected follower, more to those that lack entries."""
        self._encoded.clear()
        self.told_commit = self._core.commit_index
        connected = self._core.connected_peers
        for address, peer in self._peers.items():
            if address not in connected:
                continue
            if self._core.next_index(address) > self._log.first_index:
                peer.end_transfer()
                self._send_entries(address, peer)
            else:
                self._send_snapshot(address, peer)
        self._encoded.clear()

    def _send_entries(self, address: str, peer: _Peer) -> None:
        while True:
            start = self._core.next_index(address)
            has_room = peer.in_flight_bytes < limits.PEER_WINDOW_BYTES
            payload, seq, after = self._append_from(start, with_entries=has_room)
            self._core.set_next_index(address, after)
            self._put(address, peer, payload=payload, seq=seq)
            if after > self._log.last_index or not has_room:
                return

    def _append_from(self, start: int, *, with_entries: bool) -> tuple[bytes, int, int]:
        key = start if with_entries else -start
        if key not in self._encoded:
            self._encoded[key] = self._encode_append(start, with_entries=with_entries)
        return self._encoded[key]

    def _encode_append(self, start: int, *, with_entries: bool) -> tuple[bytes, int, int]:
        entries = (
            self._log.batch(start=start, bytes_max=limits.APPEND_BATCH_BYTES)
            if with_entries
            else []
        )
        self.seq += 1
        message: Message = {
            "type": codec.APPEND, "term": self._core.term, "seq": self.seq,
            "commit_index": self._core.commit_index, "prevLogIdx": start - 1,
            "prevLogTerm": self._log.term_at(start - 1), "entries": entries,
        }  # fmt: skip
        return codec.encode(message), self.seq, start + len(entries)

    def _put(self, address: str, peer: _Peer, *, payload: bytes, seq: int) -> None:
        peer.in_flight.append((seq, len(payload)))
        peer.in_flight_bytes += len(payload)
        self._send(address, payload)

    # --- snapshots -------------------------------------------------------------------------

    def _send_snapshot(self, address: str, peer: _Peer) -> None:
        """The durable snapshot in pieces; while all are on the way, an empty probe per heartbeat."""
        transfer = peer.transfer or self._begin_transfer(peer)
        if peer.in_flight_bytes >= limits.PEER_WINDOW_BYTES:
            self._send_chunk(address, peer, transfer=transfer, data=None)
        while not transfer.is_sent and peer.in_flight_bytes < limits.PEER_WINDOW_BYTES:
            data = transfer.file.read(offset=transfer.offset, size=limits.SNAPSHOT_CHUNK_BYTES)
            transfer.offset += len(data)
            transfer.is_sent = len(data) < limits.SNAPSHOT_CHUNK_BYTES
            self._send_chunk(address, peer, transfer=transfer, data=data)
            transfer.chunk += 1
        if transfer.is_sent:
            peer.end_transfer()
            self._core.set_next_index(address, transfer.index + 1)

    def _begin_transfer(self, peer: _Peer) -> _Transfer:
        index = self._snapshots.newest_index()
        assert index, "the log was trimmed without a snapshot"
        peer.transfer = _Transfer(self._snapshots.open(index), index=index)
        return peer.transfer

    def _send_chunk(
        self, address: str, peer: _Peer, *, transfer: _Transfer, data: bytes | None
    ) -> None:
        self.seq += 1
        message: Message = {
            "type": codec.APPEND, "term": self._core.term, "seq": self.seq,
            "commit_index": self._core.commit_index, "chunk": transfer.chunk,
            "serialized": None if data is None else (data, transfer.chunk == 0, transfer.is_sent),
        }  # fmt: skip
        self._put(address, peer, payload=codec.encode(message), seq=self.seq)

    def restart_snapshot(self, address: str) -> None:
        """The follower missed a piece: begin again."""
        peer = self._peers.get(address)
        if peer is None:
            return
        peer.end_transfer()
        if self._core.is_leader:
            before_log = min(self._log.first_index, self._core.next_index(address))
            self._core.set_next_index(address, before_log)

    # --- answers ---------------------------------------------------------------------------

    def acknowledged(self, address: str, *, seq: int) -> None:
        """Everything sent to the peer up to `seq` has arrived or is lost for good."""
        peer = self._peers[address]
        peer.acked_seq = max(peer.acked_seq, seq)
        while peer.in_flight and peer.in_flight[0][0] <= seq:
            peer.in_flight_bytes -= peer.in_flight.popleft()[1]

    def is_superseded(self, address: str, *, seq: int) -> bool:
        """Whether an answer belongs to something sent before the last correction."""
        return seq <= self._peers[address].barrier

    def was_reset(self, address: str) -> None:
        """The follower corrected us: what was sent before is void."""
        peer = self._peers[address]
        peer.barrier = self.seq
        peer.forget_flight()
        peer.end_transfer()

    def link_changed(self, address: str) -> None:
        """A connection came or went: what was under way is lost."""
        peer = self._peers.get(address)
        if peer is None:
            return
        peer.barrier = self.seq
        peer.forget_flight()
        peer.end_transfer()
        if self._core.is_leader and self._core.match_index(address):
            self._core.set_next_index(address, self._core.match_index(address) + 1)

    def reached(self, seq: int, *, voters: tuple[str, ...]) -> int:
        """How many of `voters` have answered something sent with `seq` or later."""
        return sum(self._peers[voter].acked_seq >= seq for voter in voters)

    def has_backlog(self) -> bool:
        """Whether a connected follower lacks something that its window has room for."""
        connected = self._core.connected_peers
        return any(
            address in connected
            and (
                peer.transfer is not None or self._core.next_index(address) <= self._log.last_index
            )
            and peer.in_flight_bytes < limits.PEER_WINDOW_BYTES
            for address, peer in self._peers.items()
        )

    def reset_reign(self) -> None:
        """A new reign begins: answers from before it mean nothing."""
        for peer in self._peers.values():
            peer.barrier, peer.acked_seq = self.seq, 0
            peer.forget_flight()
            peer.end_transfer()
