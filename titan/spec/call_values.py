"""Arguments and results of functions as bytes: by value, guided by annotations, never a program.

Whatever JSON knows is a JSON text, so that conditions, people and other programs can read a result. What
JSON does not know but the standard library does (bytes, tuples, sets, times, paths, …) is msgpack with
extension types, and means the same with or without an annotation. Data classes, typed dictionaries, named
tuples, enumerations and msgspec's structs travel as plain data and come back by the annotation of where
they arrive. Anything else is refused; pickle is the task's own choice and `call_pickles.py`'s business.
"""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import math
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path, PurePath
from typing import Any, Final

import msgspec

MARK: Final = b"\xc1"  # begins what is not JSON: neither msgpack nor UTF-8 has this byte first
PICKLED: Final = b"\xc1p"
_PACKED: Final = b"\xc1m"

# Extension types. They are in logs and outputs for ever: never renumbered, never reused.
_REF, _TUPLE, _SET, _FROZENSET, _PAIRS, _INT, _COMPLEX, _LARGE = range(1, 9)
_PATH, _DATETIME, _DATE, _TIME, _DELTA, _DECIMAL, _UUID = range(16, 23)
_DEPTH_MAX: Final = 200  # also ends a list that holds itself
_EXACT_INT_MAX: Final = 2**63
_SAME: Final = (type(None), bool, str, bytes)
_BUILTIN: Final = (
    bytes,
    bytearray,
    datetime.datetime,
    datetime.date,
    datetime.time,
    datetime.timedelta,
    decimal.Decimal,
    uuid.UUID,
)


class CannotTravel(TypeError):
    """A value that no bytes can stand for; `where` is the way to it inside of what was given."""

    def __init__(self, value: object, where: str, why: str = "") -> None:
        kind = f"{type(value).__module__}.{type(value).__qualname__}".removeprefix("builtins.")
        super().__init__(f"{where}: {why or f'a value of type {kind} cannot travel by value'}")


class Ref:
    """Stands in an argument for the result of the job at `position` of the call's inputs."""

    __slots__ = ("position",)

    def __init__(self, position: int) -> None:
        self.position = position


class Large:
    """Stands for an argument that travels by itself, as the blob at `position` of the call's blobs."""

    __slots__ = ("position",)

    def __init__(self, position: int) -> None:
        self.position = position


# --- out ---------------------------------------------------------------------------------------------


def encode_result(value: object) -> bytes:
    """A result; None is no bytes at all. Raises `CannotTravel`."""
    if value is None:
        return b""
    lowering = _Lowering()
    plain = lowering.lower(value, "result", 0)
    try:
        return _json(plain) if lowering.is_json else _PACKED + _pack(plain)
    except UnicodeEncodeError:
        raise CannotTravel(value, "result", "a text in it is not valid Unicode") from None


def encode_argument(value: object, where: str) -> msgspec.Raw:
    """One argument; parts of it may be `Ref`. Raises `CannotTravel` that begins with `where`."""
    kind = type(value)
    plain = value if kind in _SAME else _Lowering().lower(value, where, 0)
    try:
        return msgspec.Raw(_pack(plain))
    except UnicodeEncodeError:
        raise CannotTravel(value, where, "a text in it is not valid Unicode") from None


def encode_call(args: Sequence[msgspec.Raw], kwargs: dict[str, msgspec.Raw]) -> bytes:
    """The arguments of a call."""
    return _pack([list(args), kwargs]) if args or kwargs else b""


class _Lowering:
    """Turns a value into what msgpack has; notes whether JSON has it too."""

    __slots__ = ("is_json",)

    def __init__(self) -> None:
        self.is_json = True

    def lower(self, value: Any, where: str, depth: int) -> Any:
        kind = type(value)
        if kind is bytes:
            self.is_json = False
            return value
        if kind in _SAME:
            return value
        if kind is int:
            return (
                value if -_EXACT_INT_MAX <= value < _EXACT_INT_MAX else self._ext(_INT, str(value))
            )
        if kind is float:
            self.is_json = self.is_json and math.isfinite(value)
            return value
        if depth > _DEPTH_MAX:
            raise CannotTravel(value, where, "it is nested too deeply, or holds itself")
        if kind is list:
            return [self.lower(one, f"{where}[{n}]", depth + 1) for n, one in enumerate(value)]
        if kind is dict:
            return self._dict(value, where, depth)
        if kind is tuple or kind in _SETS:
            return self._ext(_SETS.get(kind, _TUPLE), self._items(value, where, depth))
        return self._other(value, where, depth)

    def _dict(self, value: dict[Any, Any], where: str, depth: int) -> Any:
        lowered = {
            key: self.lower(one, f"{where}[{key!r}]", depth + 1) for key, one in value.items()
        }
        kinds = {type(key) for key in value}
        if kinds <= {str}:
            return lowered
        self.is_json = False
        if kinds <= _KEYS:
            return lowered
        pairs = [
            [self.lower(key, f"{where} key {key!r}", depth + 1), lowered[key]] for key in value
        ]
        return self._ext(_PAIRS, pairs)

    def _items(self, value: Any, where: str, depth: int) -> list[Any]:
        return [self.lower(one, f"{where}[{n}]", depth + 1) for n, one in enumerate(value)]

    def _ext(self, code: int, body: object) -> msgspec.msgpack.Ext:
        self.is_json = False
        return msgspec.msgpack.Ext(code, body.encode() if isinstance(body, str) else _pack(body))

    def _other(self, value: Any, where: str, depth: int) -> Any:
        if isinstance(value, Ref):
            return self._ext(_REF, str(value.position))
        if isinstance(value, Large):
            return self._ext(_LARGE, str(value.position))
        if isinstance(value, enum.Enum):
            return self.lower(value.value, where, depth + 1)
        if isinstance(value, PurePath):
            return self._ext(_PATH, str(value))
        for kind, code, text in _TEXTS:
            if isinstance(value, kind):
                return self._ext(code, text(value))
        if isinstance(value, datetime.timedelta):
            return self._ext(_DELTA, [value.days, value.seconds, value.microseconds])
        if isinstance(value, complex):
            return self._ext(_COMPLEX, [value.real, value.imag])
        fields = _fields_of(value)
        if fields is not None:
            return {
                key: self.lower(getattr(value, name), f"{where}.{name}", depth + 1)
                for name, key in fields
            }
        for base in _BASES:
            if isinstance(
                value, base
            ):  # of a subclass: a text of numpy, an OrderedDict, a named tuple
                return self.lower(base(value), where, depth + 1)
        if isinstance(value, bytearray | memoryview):
            return self.lower(bytes(value), where, depth + 1)
        raise CannotTravel(value, where)


_BASES: Final[tuple[Any, ...]] = (str, int, float, bytes, dict, list, tuple)
_KEYS: Final = {str, bytes, bool, type(None)}
_SETS: Final[dict[type, int]] = {set: _SET, frozenset: _FROZENSET}
_TEXTS: Final[tuple[tuple[type, int, Callable[[Any], str]], ...]] = (
    (datetime.datetime, _DATETIME, lambda value: str(value.isoformat())),
    (datetime.date, _DATE, lambda value: str(value.isoformat())),
    (datetime.time, _TIME, lambda value: str(value.isoformat())),
    (decimal.Decimal, _DECIMAL, str),
    (uuid.UUID, _UUID, str),
)


def _fields_of(value: Any) -> list[tuple[str, str]] | None:
    """Attributes and the names they travel by."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return [(field.name, field.name) for field in dataclasses.fields(value)]
    if isinstance(value, msgspec.Struct):
        return [(field.name, field.encode_name) for field in msgspec.structs.fields(value)]
    return None


# --- in ----------------------------------------------------------------------------------------------


def decode_result(data: bytes) -> Any:
    """What a job has put out, as plain data: a function's result, or what a script wrote as its output.

    Text that is no JSON comes as text, other bytes as bytes; a pickle as its bytes, never as its value.
    """
    if not data:
        return None
    if data.startswith(_PACKED):
        return _Unpacking(()).unpack(data[len(_PACKED) :])
    try:
        return msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError):
        pass
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data


def decode_call(
    data: bytes, inputs: Sequence[Any], blobs: Sequence[bytes] = ()
) -> tuple[list[Any], dict[str, Any]]:
    """The arguments of a call as plain data, with `inputs` in the place of every reference to a job's
    result, and what `blobs` hold in the place of large arguments."""
    if not data:
        return [], {}
    large = [_Unpacking(inputs).unpack(one) for one in blobs]
    args, kwargs = _Unpacking(inputs, large).unpack(data)
    return args, kwargs


class _Unpacking:
    __slots__ = ("_decoder", "_inputs", "_large")

    def __init__(self, inputs: Sequence[Any], large: Sequence[Any] = ()) -> None:
        self._inputs = inputs
        self._large = large
        self._decoder = msgspec.msgpack.Decoder(ext_hook=self._ext)

    def unpack(self, data: bytes | memoryview) -> Any:
        return self._decoder.decode(data)

    def _ext(self, code: int, body: memoryview) -> Any:
        if code == _TUPLE:
            return tuple(self.unpack(body))
        if code == _SET:
            return set(self.unpack(body))
        if code == _FROZENSET:
            return frozenset(self.unpack(body))
        if code == _PAIRS:
            return dict(self.unpack(body))
        if code == _DELTA:
            days, seconds, micros = self.unpack(body)
            return datetime.timedelta(days, seconds, micros)
        if code == _COMPLEX:
            return complex(*self.unpack(body))
        text = bytes(body).decode()
        if code == _REF:
            return self._inputs[int(text)]
        if code == _LARGE:
            return self._large[int(text)]
        return _FROM_TEXT[code](text)


_FROM_TEXT: Final[dict[int, Callable[[str], Any]]] = {
    _PATH: Path,
    _DATETIME: datetime.datetime.fromisoformat,
    _DATE: datetime.date.fromisoformat,
    _TIME: datetime.time.fromisoformat,
    _DECIMAL: decimal.Decimal,
    _UUID: uuid.UUID,
    _INT: int,
}


def as_type(value: Any, kind: Any, *, where: str) -> Any:
    """Plain data as the annotation says. An annotation that says nothing about data leaves it as it is.

    Raises `TypeError` that begins with `where` when the value is not what the annotation says.
    """
    try:
        return msgspec.convert(value, kind, builtin_types=_BUILTIN, dec_hook=_foreign)
    except msgspec.ValidationError as error:
        raise TypeError(f"{where}: {error}") from None
    except (TypeError, NotImplementedError):
        return value  # no annotation of data: a protocol, a class of a library


def _foreign(kind: Any, value: Any) -> Any:
    if isinstance(kind, type) and isinstance(value, kind):
        return value
    if isinstance(kind, type) and issubclass(kind, PurePath) and isinstance(value, str | PurePath):
        return kind(value)
    if kind is complex and isinstance(value, int | float):
        return complex(value)
    raise NotImplementedError


_pack = msgspec.msgpack.Encoder(decimal_format="string").encode
_json = msgspec.json.Encoder().encode
