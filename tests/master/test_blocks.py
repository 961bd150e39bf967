"""A frozen state comes back whole, wherever the pieces that hold it were cut."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from titan.errors import Fatal
from titan.fsm.commands import Entry, KvPut, OpenEpoch, Proposal, encode_entry
from titan.master.blocks import framed, unframed
from titan.master.replica import Replica


def cut(pieces: Iterator[bytes], *, size: int) -> Iterator[bytes]:
    for piece in pieces:
        for at in range(0, len(piece), size):
            yield piece[at : at + size]


@given(st.lists(st.binary(max_size=40)), st.integers(1, 30))
def test_blocks_come_back_as_they_were(blocks: list[bytes], size: int) -> None:
    assert list(unframed(cut(framed(blocks), size=size))) == blocks


def test_a_cut_off_end_is_refused() -> None:
    whole = b"".join(framed([b"one", b"two"]))
    with pytest.raises(Fatal, match="cut off"):
        list(unframed([whole[:-1]]))


def test_a_state_larger_than_a_block_of_a_snapshot_file_is_restored() -> None:
    replica = Replica()
    commands = [OpenEpoch(epoch=1, leader="m:1", cluster_id="c")]
    commands += [KvPut(key=f"k{n}", value=bytes(2000)) for n in range(20)]
    entry = Entry(1, 1, 1_000, tuple(Proposal(command) for command in commands))
    replica.apply(1, encode_entry(entry))
    other = Replica()
    other.restore(cut(replica.freeze(), size=4096))
    assert other.digest == replica.digest
    assert other.state.kv == replica.state.kv
