"""Frames survive any way the network cuts them, and lies are refused."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from titan.errors import ProtocolError
from titan.limits import FIRST_FRAME_BYTES_MAX, FRAME_BYTES_MAX
from titan.wire.framing import Frame, FrameDecoder, Kind, encode_frame

frames = st.lists(
    st.builds(Frame, st.sampled_from(Kind), st.integers(0, 2**32 - 1), st.binary(max_size=200)),
    max_size=20,
)


@given(frames, st.integers(1, 64))
def test_frames_survive_being_cut_anywhere(sent: list[Frame], piece_bytes: int) -> None:
    stream = b"".join(encode_frame(*frame) for frame in sent)
    decoder = FrameDecoder()
    got: list[Frame] = []
    for at in range(0, len(stream), piece_bytes):
        got += decoder.feed(stream[at : at + piece_bytes])
    assert got == sent


@given(st.binary(max_size=4096))
def test_garbage_never_raises_anything_but_a_protocol_error(garbage: bytes) -> None:
    decoder = FrameDecoder()
    try:
        decoder.feed(garbage)
    except ProtocolError:
        pass


def test_a_frame_that_lies_about_its_length_is_refused() -> None:
    with pytest.raises(ProtocolError, match="claims"):
        FrameDecoder().feed(struct.pack(">IBI", 2**31, Kind.NOTE, 0))


def test_a_stranger_may_not_send_much_before_saying_who_it_is() -> None:
    decoder = FrameDecoder()
    head = struct.pack(">IBI", FIRST_FRAME_BYTES_MAX + 1, Kind.HELLO, 0)
    with pytest.raises(ProtocolError):
        decoder.feed(head)
    trusted = FrameDecoder()
    trusted.trust()
    assert trusted.feed(head) == []


def test_an_http_server_is_recognised() -> None:
    with pytest.raises(ProtocolError, match="speaks HTTP"):
        FrameDecoder().feed(b"HTTP/1.1 400 Bad Request\r\n")


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(ProtocolError, match="kind 99"):
        FrameDecoder().feed(struct.pack(">IBI", 5, 99, 0))


def test_a_frame_too_large_to_be_accepted_is_not_sent() -> None:
    with pytest.raises(ProtocolError):
        encode_frame(Kind.NOTE, 0, bytes(FRAME_BYTES_MAX))
