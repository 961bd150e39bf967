"""Raft messages as bytes: versioned msgpack arrays, never pickle. Owns the shape of every message.

The library speaks dicts; `decode` checks what came from the network and builds exactly those.
An append carries its entries as (term, command) behind `prev`: their indexes cannot have gaps.
"""

from __future__ import annotations

from typing import Any, Final, TypeAlias

import msgspec

from titan import limits
from titan.errors import ProtocolError

VERSION: Final = 1
Message: TypeAlias = dict[str, Any]

APPEND: Final = "append_entries"
ACK: Final = "next_node_idx"
REQUEST_VOTE: Final = "request_vote"
VOTE: Final = "response_vote"
TIMEOUT_NOW: Final = "timeout_now"
TERM: Final = "term"
PREVOTE: Final = "prevote"
PREVOTE_OK: Final = "prevote_ok"
SNAPSHOT_RESTART: Final = "snapshot_restart"
DIGEST: Final = "digest"


class _Append(msgspec.Struct, array_like=True, tag=1):
    term: int
    seq: int
    commit_index: int
    prev_index: int
    prev_term: int
    entries: list[tuple[int, bytes]]


class _Chunk(msgspec.Struct, array_like=True, tag=2):
    term: int
    seq: int
    commit_index: int
    number: int
    data: bytes | None  # None: only a heartbeat, the window is full
    is_last: bool


class _Ack(msgspec.Struct, array_like=True, tag=3):
    term: int
    seq: int
    next_index: int
    reset: bool
    success: bool
    has_room: bool = True


class _RequestVote(msgspec.Struct, array_like=True, tag=4):
    term: int
    last_index: int
    last_term: int
    is_transfer: bool


class _Vote(msgspec.Struct, array_like=True, tag=5):
    term: int


class _TimeoutNow(msgspec.Struct, array_like=True, tag=6):
    term: int


class _Term(msgspec.Struct, array_like=True, tag=7):
    term: int


class _Prevote(msgspec.Struct, array_like=True, tag=8):
    term: int
    round: int
    last_index: int
    last_term: int


class _PrevoteOk(msgspec.Struct, array_like=True, tag=9):
    round: int


class _SnapshotRestart(msgspec.Struct, array_like=True, tag=10):
    term: int


class _Digest(msgspec.Struct, array_like=True, tag=11):
    index: int
    digest: bytes


_Wire: TypeAlias = (
    _Append | _Chunk | _Ack | _RequestVote | _Vote | _TimeoutNow
    | _Term | _Prevote | _PrevoteOk | _SnapshotRestart | _Digest
)  # fmt: skip
_decoder = msgspec.msgpack.Decoder(_Wire)
_encoder = msgspec.msgpack.Encoder()
_VERSION_BYTE: Final = bytes([VERSION])


def encode(message: Message) -> bytes:
    """The bytes of a message. Shapes are ours, so a wrong one is a bug."""
    return _VERSION_BYTE + _encoder.encode(_to_wire(message))


def decode(payload: bytes) -> Message:
    """The message in `payload`. Raises `ProtocolError` for anything else."""
    if not payload or payload[0] != VERSION:
        raise ProtocolError(
            f"a peer speaks Raft format {payload[:1].hex() or 'none'}, this one {VERSION}",
            hint="run the same release on all masters while upgrading step by step",
        )
    if len(payload) > limits.FRAME_BYTES_MAX:
        raise ProtocolError(f"a Raft message of {len(payload)} bytes")
    try:
        wire = _decoder.decode(memoryview(payload)[1:])
    except msgspec.DecodeError as error:
        raise ProtocolError(f"not a Raft message: {error}") from error
    return _from_wire(wire)


def _to_wire(message: Message) -> _Wire:
    m, kind = message, message["type"]
    if kind == APPEND and "prevLogIdx" in m:
        assert "transmission" not in m, "an entry was split"
        entries = [(term, command) for command, _, term in m["entries"]]
        return _Append(
            m["term"], m["seq"], m["commit_index"], m["prevLogIdx"], m["prevLogTerm"], entries
        )
    if kind == APPEND:
        data, _, is_last = m["serialized"] or (None, False, False)
        return _Chunk(m["term"], m["seq"], m["commit_index"], m["chunk"], data, is_last)
    if kind == ACK:
        has_room = m.get("has_room", True)
        return _Ack(m["term"], m["seq"], m["next_node_idx"], m["reset"], m["success"], has_room)
    if kind == REQUEST_VOTE:
        return _RequestVote(m["term"], m["last_log_index"], m["last_log_term"], m["is_transfer"])
    return _small_to_wire(m)


def _small_to_wire(m: Message) -> _Wire:
    match m["type"]:
        case "response_vote":
            return _Vote(m["term"])
        case "timeout_now":
            return _TimeoutNow(m["term"])
        case "term":
            return _Term(m["term"])
        case "prevote":
            return _Prevote(m["term"], m["round"], m["last_log_index"], m["last_log_term"])
        case "prevote_ok":
            return _PrevoteOk(m["round"])
        case "snapshot_restart":
            return _SnapshotRestart(m["term"])
        case "digest":
            return _Digest(m["index"], m["digest"])
        case other:
            raise AssertionError(f"{other} is never sent")


def _from_wire(w: _Wire) -> Message:
    match w:
        case _Append():
            first = w.prev_index + 1
            return {
                "type": APPEND, "term": w.term, "seq": w.seq, "commit_index": w.commit_index,
                "prevLogIdx": w.prev_index, "prevLogTerm": w.prev_term,
                "entries": [(c, first + i, term) for i, (term, c) in enumerate(w.entries)],
            }  # fmt: skip
        case _Ack():
            return {
                "type": ACK, "term": w.term, "seq": w.seq, "next_node_idx": w.next_index,
                "reset": w.reset, "success": w.success, "has_room": w.has_room,
            }  # fmt: skip
        case _Chunk():
            return {
                "type": APPEND, "term": w.term, "seq": w.seq, "commit_index": w.commit_index,
                "chunk": w.number,
                "serialized": None if w.data is None else (w.data, w.number == 0, w.is_last),
            }  # fmt: skip
        case _RequestVote():
            return {
                "type": REQUEST_VOTE, "term": w.term, "last_log_index": w.last_index,
                "last_log_term": w.last_term, "is_transfer": w.is_transfer,
            }  # fmt: skip
    return _small_from_wire(w)


def _small_from_wire(w: _Wire) -> Message:
    match w:
        case _Vote():
            return {"type": VOTE, "term": w.term}
        case _TimeoutNow():
            return {"type": TIMEOUT_NOW, "term": w.term}
        case _Term():
            return {"type": TERM, "term": w.term}
        case _Prevote():
            return {
                "type": PREVOTE, "term": w.term, "round": w.round,
                "last_log_index": w.last_index, "last_log_term": w.last_term,
            }  # fmt: skip
        case _PrevoteOk():
            return {"type": PREVOTE_OK, "round": w.round}
        case _SnapshotRestart():
            return {"type": SNAPSHOT_RESTART, "term": w.term}
        case _Digest():
            return {"type": DIGEST, "index": w.index, "digest": w.digest}
    raise AssertionError(w)
