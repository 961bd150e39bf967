"""Whether an object's attributes are what they were: for what is dear to make of them again."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import PosixPath
from types import NoneType
from typing import Any, Final

_PLAIN: Final = frozenset((str, bytes, int, float, bool, NoneType, PosixPath))  # cannot change
Kept = tuple[Any, ...]


def kept(values: Iterable[Any]) -> Kept | None:
    """The values as they are now, to be compared; None when one of them could change unseen."""
    found = []
    for value in values:
        if type(value) in _PLAIN:
            found.append(value)
        elif type(value) in (list, tuple) and all(type(one) in _PLAIN for one in value):
            found.append(value.copy() if isinstance(value, list) else value)
        else:
            return None
    return tuple(found)


def is_as_kept(before: Kept, values: Iterable[Any]) -> bool:
    """Whether the first of `values` are what `kept` answered, the very same or lists of the same."""
    for was, now in zip(before, values, strict=False):
        if now is not was and not (type(now) is list is type(was) and now == was):
            return False
    return True
