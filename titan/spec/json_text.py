"""Outputs as JSON: whether bytes are JSON, and what they say. The same answer on every master."""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

_NESTING_MAX: Final = 64  # of an output that is passed on as JSON: decoding it needs little stack
_STRINGS: Final = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)
_BRACKETS: Final = bytes(each for each in range(256) if each not in b"[]{}")


def as_json(output: bytes) -> bytes:
    """An output as JSON: itself when it is JSON, else its text as a string."""
    try:
        decode_json(output)
    except ValueError:
        return msgspec.json.encode(output.decode(errors="replace"))
    return output.strip()


def as_value(output: bytes) -> Any:
    """What an output says: its JSON, else its text; None when there is no output."""
    if not output:
        return None
    try:
        return decode_json(output)
    except ValueError:
        return output.decode(errors="replace")


def decode_json(data: bytes) -> Any:
    """The value. Raises `ValueError` when it is no JSON, or is nested too deeply."""
    if not _is_shallow(data):
        raise ValueError(f"is nested deeper than {_NESTING_MAX}")
    try:
        return msgspec.json.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise ValueError("is no JSON") from None


def _is_shallow(data: bytes) -> bool:
    """Whether decoding needs so little stack that it cannot fail on one master alone."""
    depth = 0
    for each in _STRINGS.sub(b"", data).translate(None, _BRACKETS):
        depth += 1 if each in b"[{" else -1
        if depth > _NESTING_MAX:
            return False
    return True
