"""Which arguments of a call travel in its declaration, and which as blobs beside it.

Arguments that are small together stay together. Otherwise the largest go, each as a blob of its own, until
the rest is small: so a large value that many calls are given is stored once. When there are too many for
that, the rest becomes a blob as well. Pure: who stores them is the client's business.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

import msgspec

from titan.limits import CALL_BLOB_BYTES_MIN, CALL_BLOBS_MAX, CALL_VALUE_BYTES_MAX
from titan.spec.call_values import Large, encode_argument, encode_call

K = TypeVar("K")


class Arguments(NamedTuple):
    """The arguments of a call as they travel; with `args_are_blob`, `args` are the last of `blobs`."""

    args: bytes = b""
    blobs: tuple[bytes, ...] = ()
    args_are_blob: bool = False


def from_values(positional: Sequence[msgspec.Raw], named: Mapping[str, msgspec.Raw]) -> Arguments:
    """Of arguments as `encode_argument` made them."""
    args, kwargs = list(positional), dict(named)
    data = encode_call(args, kwargs)
    if len(data) <= CALL_VALUE_BYTES_MAX:
        return Arguments(data)
    sizes: dict[int | str, int] = {n: len(one) for n, one in enumerate(args)}
    sizes |= {name: len(one) for name, one in kwargs.items()}
    blobs = []
    for place, key in enumerate(_chosen(sizes, total=len(data))):
        holder: Any = args if isinstance(key, int) else kwargs
        blobs.append(bytes(holder[key]))
        holder[key] = encode_argument(Large(place), "")
    return _fitted(encode_call(args, kwargs), blobs)


def from_objects(args: list[Any], kwargs: dict[str, Any], where: str) -> Arguments:
    """Pickled. The same object, given twice, arrives as one. Raises `CannotTravel`."""
    from titan.spec.call_pickles import dumps

    data = dumps((args, kwargs), where)
    if len(data) <= CALL_VALUE_BYTES_MAX:
        return Arguments(data)
    own = {id(one): dumps(one, where) for one in (*args, *kwargs.values())}
    chosen = _chosen({key: len(one) for key, one in own.items()}, total=len(data))
    large = {key: place for place, key in enumerate(chosen)}
    return _fitted(dumps((args, kwargs), where, large=large), [own[key] for key in chosen])


def _chosen(sizes: Mapping[K, int], *, total: int) -> list[K]:
    """The arguments that go, the largest first, until the rest is small enough."""
    chosen: list[K] = []
    for key, size in sorted(sizes.items(), key=lambda item: -item[1]):
        is_enough = total <= CALL_VALUE_BYTES_MAX or len(chosen) == CALL_BLOBS_MAX - 1
        if is_enough or size < CALL_BLOB_BYTES_MIN:
            break
        chosen.append(key)
        total -= size
    return chosen


def _fitted(data: bytes, blobs: list[bytes]) -> Arguments:
    if len(data) <= CALL_VALUE_BYTES_MAX:
        return Arguments(data, tuple(blobs))
    return Arguments(b"", (*blobs, data), args_are_blob=True)
