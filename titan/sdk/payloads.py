"""Values that travel as JSON: outputs and the payloads of signals."""

from __future__ import annotations

import json
from typing import Any


def json_bytes(value: Any, *, what: str) -> bytes:
    """The JSON of a value. Raises `TypeError` that names what cannot be that."""
    try:
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise TypeError(f"{what} must be made of what JSON knows: {error}") from None
    return text.encode("utf-8", "surrogatepass")


def plain_value(data: bytes) -> Any:
    """What JSON says; else the text, else the bytes."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return data
    try:
        return json.loads(text)
    except ValueError:
        return text
