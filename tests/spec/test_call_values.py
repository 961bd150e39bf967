"""Arguments and results of functions as bytes, and back."""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import json
import math
import pickle
import uuid
from pathlib import Path
from typing import Any, NamedTuple, TypedDict

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from titan.spec import call_pickles
from titan.spec.call_values import (
    PICKLED,
    CannotTravel,
    Ref,
    as_type,
    decode_call,
    decode_result,
    encode_argument,
    encode_call,
    encode_result,
)


class Colour(enum.Enum):
    RED = "red"


class Place(NamedTuple):
    x: int
    y: float


class Named(TypedDict):
    name: str
    tags: set[str]


class Packed(msgspec.Struct):
    data: bytes
    at: datetime.datetime


@dataclasses.dataclass
class Model:
    path: Path
    colour: Colour
    place: Place
    named: Named
    inner: list[Packed]


TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
KEYS = st.one_of(st.integers(), TEXTS, st.booleans(), st.none(), st.binary(), st.dates())
SCALARS = st.one_of(
    KEYS,
    st.floats(allow_nan=False),
    st.datetimes(),
    st.datetimes(timezones=st.just(datetime.UTC)),
    st.times(),
    st.timedeltas(),
    st.uuids(),
    st.decimals(allow_nan=False),
    st.complex_numbers(allow_nan=False),
    st.just(Path("/a/b")),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=3).map(tuple),
        st.dictionaries(KEYS, inner, max_size=4),
        st.sets(KEYS, max_size=4),
        st.frozensets(KEYS, max_size=4),
    ),
    max_leaves=12,
)
PLAIN = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(2**63), 2**63 - 1),
        TEXTS,
        st.floats(allow_nan=False, allow_infinity=False),
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(TEXTS, inner, max_size=4)),
    max_leaves=12,
)


@given(VALUES)
def test_every_value_of_the_standard_library_comes_back_without_an_annotation(value: Any) -> None:
    back = decode_result(encode_result(value))
    assert back == value
    assert type(back) is type(value) or isinstance(value, Path)


@given(PLAIN)
def test_what_json_knows_is_json_for_everybody_to_read(value: Any) -> None:
    data = encode_result(value)
    assert (json.loads(data) if data else None) == value


@given(st.lists(VALUES, max_size=4), st.dictionaries(TEXTS, VALUES, max_size=3))
def test_arguments_come_back_in_their_places(args: list[Any], named: dict[str, Any]) -> None:
    data = encode_call(
        [encode_argument(one, "x") for one in args],
        {name: encode_argument(one, "x") for name, one in named.items()},
    )
    assert decode_call(data, ()) == (args, named)


def test_typed_data_comes_back_by_its_annotation() -> None:
    at = datetime.datetime(2026, 3, 4, 5, 6, tzinfo=datetime.UTC)
    model = Model(
        Path("a"), Colour.RED, Place(1, 2.5), {"name": "n", "tags": {"t"}}, [Packed(b"\xff", at)]
    )
    assert as_type(decode_result(encode_result(model)), Model, where="r") == model


def test_annotations_that_say_nothing_about_data_change_nothing() -> None:
    class Foreign: ...

    for kind in (Foreign, Any, object, type):
        assert as_type({"a": [1]}, kind, where="r") == {"a": [1]}


def test_a_value_that_is_not_what_its_annotation_says_is_told_by_name() -> None:
    with pytest.raises(TypeError, match=r"argument 'x': Expected `int`, got `str`"):
        as_type("1", int, where="argument 'x'")


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan])
def test_floats_that_json_lacks_travel_too(value: float) -> None:
    back = decode_result(encode_result(value))
    assert back == value or (math.isnan(back) and math.isnan(value))


def test_subclasses_of_plain_types_travel_as_those() -> None:
    class Text(str): ...

    class Amount(float): ...

    assert decode_result(encode_result([Text("a"), Amount(2.0), bytearray(b"b")])) == [
        "a",
        2.0,
        b"b",
    ]


def test_what_cannot_travel_is_named_with_the_way_to_it() -> None:
    with pytest.raises(CannotTravel, match=r"result\['a'\]\[1\]: a value of type object"):
        encode_result({"a": [1, object()]})
    with pytest.raises(CannotTravel, match="not valid Unicode"):
        encode_result("\ud800")


def test_a_list_that_holds_itself_is_refused() -> None:
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(CannotTravel, match="holds itself"):
        encode_result(loop)


def test_references_are_replaced_by_the_results_they_stand_for() -> None:
    data = encode_call([encode_argument([Ref(1), {"k": (Ref(0),)}], "x")], {})
    assert decode_call(data, ["zero", "one"]) == ([["one", {"k": ("zero",)}]], {})


def test_outputs_of_scripts_are_read_as_well_as_they_can_be() -> None:
    assert decode_result(b'{"a": 1}') == {"a": 1}
    assert decode_result(b"plain text") == "plain text"
    assert decode_result(b"\xff\x00") == b"\xff\x00"


def test_a_pickle_is_never_unpickled_unless_asked() -> None:
    data = call_pickles.dump_result(uuid.UUID(int=5))
    assert decode_result(data) == data
    assert data.startswith(PICKLED)
    assert call_pickles.load_result(data) == uuid.UUID(int=5)


def test_pickled_arguments_may_refer_to_results_too() -> None:
    data = call_pickles.dumps(([Ref(0), {1, 2}], {}), "x")
    assert call_pickles.loads(data, [decimal.Decimal(1)]) == ([decimal.Decimal(1), {1, 2}], {})
    with pytest.raises(CannotTravel, match="cannot be pickled"):
        call_pickles.dumps(lambda: None, "x")
    with pytest.raises(pickle.UnpicklingError):
        pickle.loads(data)
