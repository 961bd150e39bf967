"""Values of tasks that chose pickle. Only for the user's own processes: a pickle is a program.

Imported by the process of such a task and by the client that submits it, never by a master or a worker.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Sequence
from typing import Any

from titan.spec.call_values import PICKLED, CannotTravel, Ref


class _Pickler(pickle.Pickler):
    def persistent_id(self, value: Any) -> int | None:
        return value.position if isinstance(value, Ref) else None


class _Unpickler(pickle.Unpickler):
    def __init__(self, data: bytes, inputs: Sequence[Any]) -> None:
        super().__init__(io.BytesIO(data))
        self._inputs = inputs

    def persistent_load(self, position: Any) -> Any:
        return self._inputs[position]


def dumps(value: Any, where: str) -> bytes:
    """The pickle of a value; parts of it may be `Ref`. Raises `CannotTravel`."""
    out = io.BytesIO()
    try:
        _Pickler(out, protocol=5).dump(value)
    except Exception as error:
        raise CannotTravel(value, where, f"it cannot be pickled: {error}") from None
    return out.getvalue()


def loads(data: bytes, inputs: Sequence[Any] = ()) -> Any:
    """The value, with `inputs` in the place of every reference."""
    return _Unpickler(data, inputs).load()


def dump_result(value: Any) -> bytes:
    """A result; None is no bytes at all."""
    return b"" if value is None else PICKLED + dumps(value, "result")


def load_result(data: bytes) -> Any:
    """What `dump_result` made."""
    return loads(data[len(PICKLED) :])
