"""A `TitanError` as bytes: how a refusal travels."""

from __future__ import annotations

import msgspec

from titan.errors import TitanError, from_wire, wire_detail


class ErrorInfo(msgspec.Struct, frozen=True, array_like=True):
    """A `TitanError` on the wire."""

    code: str
    message: str
    hint: str = ""
    detail: str = ""


def encode_error(error: TitanError) -> bytes:
    """The bytes of an error; the counterpart of `decode_error`."""
    info = ErrorInfo(error.code, str(error), error.hint, wire_detail(error))
    return msgspec.msgpack.encode(info)


def decode_error(payload: bytes) -> TitanError:
    """The error in a REFUSED or ERROR frame."""
    info = msgspec.msgpack.decode(payload, type=ErrorInfo)
    return from_wire(info.code, info.message, hint=info.hint, detail=info.detail)
