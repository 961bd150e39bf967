"""Values that travel as JSON: outputs and the payloads of signals."""

from __future__ import annotations

import json
from typing import Any

from titan.ids import Digest, is_digest


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


def blob_of(output: bytes) -> Digest:
    """The blob that an output only refers to; "" when it is the output itself."""
    if not output.startswith(b'{"$blob":'):
        return Digest("")
    value = plain_value(output)
    if (
        isinstance(value, dict)
        and list(value) == ["$blob", "size"]
        and is_digest(str(value["$blob"]))
    ):
        return Digest(value["$blob"])
    return Digest("")
