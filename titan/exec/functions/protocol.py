"""What a worker and a function's process say to each other: a length, then msgpack.

Both ends are one version of Titan on one machine. The worker never looks into arguments and results.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final

import msgspec

from titan.limits import CALL_FRAME_BYTES_MAX

HEADER: Final = struct.Struct("<I")
SOCKET_FD: Final = 3  # where a function's process finds its end


class CallOrder(msgspec.Struct, array_like=True, frozen=True):
    """Call this. The environment is the call's own beside what the process was started with."""

    attempt: int
    number: int
    fence: int
    run: str
    job: str
    module: str
    name: str
    path: str
    args: bytes
    serializer: str
    inputs: tuple[bytes, ...]
    workspace: bool
    env: dict[str, str]
    blobs: tuple[str, ...] = ()  # files with large arguments
    args_are_blob: bool = False  # the last of them holds `args`
    large_inputs: dict[
        int, str
    ] = {}  # files with those of `inputs` that are too large, by position


class CallEnd(msgspec.Struct, array_like=True, frozen=True):
    """It has returned, or raised. With `log_bytes` its output file is complete and the next is in use.
    With `is_large` what it has put out is in the value file, which is the worker's from now on."""

    attempt: int
    exit_code: int
    output: bytes
    detail: str
    duration_us: int
    log_bytes: int
    is_last: bool  # this process takes no more calls
    is_large: bool = False


encode = msgspec.msgpack.Encoder().encode
order_decoder = msgspec.msgpack.Decoder(CallOrder)
end_decoder = msgspec.msgpack.Decoder(CallEnd)


def frame(message: CallOrder | CallEnd) -> bytes:
    """A message as it goes through the socket."""
    body = encode(message)
    return HEADER.pack(len(body)) + body


def take_frames(inbox: bytearray) -> Iterator[bytes]:
    """The complete bodies at the beginning of `inbox`, which keeps the rest. Raises `ValueError`."""
    at = 0
    while len(inbox) - at >= HEADER.size:
        (length,) = HEADER.unpack_from(inbox, at)
        if length > CALL_FRAME_BYTES_MAX:
            raise ValueError(f"a frame of {length} bytes")
        end = at + HEADER.size + length
        if len(inbox) < end:
            break
        yield bytes(inbox[at + HEADER.size : end])
        at = end
    del inbox[:at]


def output_file(base: str, count: int) -> str:
    """Where a process prints when `count` of its calls have printed."""
    return f"{base}.{count}"


def value_file(base: str) -> str:
    """Where a process leaves what a call has put out, when that is too large for a message."""
    return f"{base}.value"
