"""Values of tasks that chose pickle. Only for the user's own processes: a pickle is a program.

Imported by the process of such a task and by the client that submits it, never by a master or a worker.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Mapping, Sequence
from typing import Any

from titan.spec.call_values import PICKLED, CannotTravel, Ref


class _Pickler(pickle.Pickler):
    """What is referred to is a number: a job's result from 0 on, a large argument from -1 down."""

    def __init__(self, out: io.BytesIO, large: Mapping[int, int]) -> None:
        super().__init__(out, protocol=5)
        self._large = large

    def persistent_id(self, value: Any) -> int | None:
        if isinstance(value, Ref):
            return value.position
        place = self._large.get(id(value))
        return None if place is None else -1 - place


class _Unpickler(pickle.Unpickler):
    def __init__(self, data: bytes, inputs: Sequence[Any], large: Sequence[Any]) -> None:
        super().__init__(io.BytesIO(data))
        self._inputs = inputs
        self._large = large

    def persistent_load(self, position: Any) -> Any:
        return self._inputs[position] if position >= 0 else self._large[-1 - position]


def dumps(value: Any, where: str, *, large: Mapping[int, int] = {}) -> bytes:
    """The pickle of a value; parts of it may be `Ref`. `large`: the places of the objects, by their `id`,
    that travel by themselves. Raises `CannotTravel`."""
    out = io.BytesIO()
    try:
        _Pickler(out, large).dump(value)
    except Exception as error:
        raise CannotTravel(value, where, f"it cannot be pickled: {error}") from None
    return out.getvalue()


def loads(data: bytes, inputs: Sequence[Any] = (), blobs: Sequence[bytes] = ()) -> Any:
    """The value, with `inputs` in the place of every reference to a job's result, and what `blobs` hold
    in the place of large arguments."""
    return _Unpickler(data, inputs, [_Unpickler(one, inputs, ()).load() for one in blobs]).load()


def dump_result(value: Any) -> bytes:
    """A result; None is no bytes at all."""
    return b"" if value is None else PICKLED + dumps(value, "result")


def load_result(data: bytes) -> Any:
    """What `dump_result` made."""
    return loads(data[len(PICKLED) :])
