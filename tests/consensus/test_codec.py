"""What is on the wire is ours, versioned, and judged before it is used."""

from __future__ import annotations

import pickle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from titan.consensus import codec
from titan.errors import ProtocolError

MESSAGES: list[dict[str, Any]] = [
    {"type": codec.APPEND, "term": 3, "seq": 9, "commit_index": 4, "prevLogIdx": 5,
     "prevLogTerm": 2, "entries": [(b"\0a", 6, 2), (b"\0b", 7, 3)]},
    {"type": codec.APPEND, "term": 3, "seq": 9, "commit_index": 4, "chunk": 0,
     "serialized": (b"xx", True, False)},
    {"type": codec.APPEND, "term": 3, "seq": 9, "commit_index": 4, "chunk": 3,
     "serialized": None},
    {"type": codec.ACK, "term": 3, "seq": 1, "next_node_idx": 8, "reset": False,
     "success": True, "has_room": False},
    {"type": codec.REQUEST_VOTE, "term": 3, "last_log_index": 8, "last_log_term": 2,
     "is_transfer": True},
    {"type": codec.VOTE, "term": 3},
    {"type": codec.TIMEOUT_NOW, "term": 3},
    {"type": codec.TERM, "term": 3},
    {"type": codec.PREVOTE, "term": 3, "round": 2, "last_log_index": 8, "last_log_term": 2},
    {"type": codec.PREVOTE_OK, "round": 2},
    {"type": codec.SNAPSHOT_RESTART, "term": 3},
    {"type": codec.DIGEST, "index": 1024, "digest": b"d" * 32},
]  # fmt: skip


@pytest.mark.parametrize("message", MESSAGES, ids=lambda m: str(m["type"]))
def test_every_message_comes_back_as_it_was(message: dict[str, Any]) -> None:
    assert codec.decode(codec.encode(message)) == message


@given(st.binary(max_size=200))
def test_noise_is_refused_and_nothing_else(noise: bytes) -> None:
    for payload in (noise, bytes([codec.VERSION]) + noise):
        try:
            codec.decode(payload)
        except ProtocolError:
            continue
        assert codec.encode(codec.decode(payload))


def test_another_format_is_refused_with_a_remedy() -> None:
    with pytest.raises(ProtocolError, match="speaks Raft format 07") as caught:
        codec.decode(b"\x07rest")
    assert "release" in caught.value.hint


def test_a_pickle_is_only_noise() -> None:
    with pytest.raises(ProtocolError):
        codec.decode(pickle.dumps({"type": "append_entries"}))
