"""Which arguments of a call travel by themselves."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from titan.limits import CALL_BLOBS_MAX, CALL_VALUE_BYTES_MAX
from titan.spec import call_arguments
from titan.spec.call_arguments import Arguments, from_objects, from_values
from titan.spec.call_pickles import loads
from titan.spec.call_values import Ref, decode_call, encode_argument


def values(*args: Any, **kwargs: Any) -> Arguments:
    return from_values(
        [encode_argument(one, "x") for one in args],
        {name: encode_argument(one, "x") for name, one in kwargs.items()},
    )


def back(found: Arguments, inputs: tuple[Any, ...] = ()) -> tuple[Any, Any]:
    blobs = list(found.blobs)
    data = blobs.pop() if found.args_are_blob else found.args
    return decode_call(data, inputs, blobs)


def objects_back(found: Arguments, inputs: tuple[Any, ...] = ()) -> Any:
    blobs = list(found.blobs)
    data = blobs.pop() if found.args_are_blob else found.args
    return loads(data, inputs, blobs)


def test_small_arguments_stay_together() -> None:
    found = values("x" * 20_000, "y" * 20_000)
    assert (found.blobs, found.args_are_blob) == ((), False)
    assert back(found) == (["x" * 20_000, "y" * 20_000], {})


def test_the_largest_go_until_the_rest_is_small() -> None:
    found = values("a" * 20_000, "b" * 30_000, c="c" * 50_000, d=[Ref(0)])
    assert [len(one) for one in found.blobs] == [50_003, 30_003]
    assert not found.args_are_blob
    assert len(found.args) < 21_000
    assert back(found, ("in",)) == (
        ["a" * 20_000, "b" * 30_000],
        {"c": "c" * 50_000, "d": ["in"]},
    )


@pytest.mark.parametrize("count", [30_000, 200])
def test_many_small_arguments_become_one_blob(count: int) -> None:
    args = [n.to_bytes(4, "big") * (1 if count > 1000 else 500) for n in range(count)]
    for found, decoded in ((values(*args), back), (from_objects(args, {}, "x"), objects_back)):
        assert found.args_are_blob
        assert not found.args
        assert len(found.blobs) <= CALL_BLOBS_MAX
        given, named = decoded(found)
        assert (list(given), named) == (args, {})


def test_pickled_arguments_that_are_one_object_arrive_as_one() -> None:
    shared = {"key": "x" * 60_000}
    found = from_objects([shared, shared, [Ref(0)]], {"also": shared}, "x")
    assert len(found.blobs) == 1
    assert len(found.args) < 200
    (one, other, (ref,)), named = objects_back(found, ("in",))
    assert one == shared
    assert one is other is named["also"]
    assert ref == "in"


@given(
    st.lists(st.integers(0, 40), max_size=8),
    st.dictionaries(st.text(max_size=3), st.integers(0, 40), max_size=4),
)
def test_whatever_their_sizes_they_come_back(sizes: list[int], named: dict[str, int]) -> None:
    args = [bytes([n]) * (size * 2500) for n, size in enumerate(sizes)]
    kwargs = {name: [size * "z" * 2500] for name, size in named.items()}
    for found, decoded in (
        (values(*args, **kwargs), back),
        (from_objects(args, kwargs, "x"), objects_back),
    ):
        assert len(found.args) <= CALL_VALUE_BYTES_MAX
        assert decoded(found) in ((args, kwargs), ([], {}))
        assert (
            bool(args or kwargs) == bool(found.args) or found.args_are_blob or not (args or kwargs)
        )


def test_a_value_without_large_parts_is_never_split(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(call_arguments, "CALL_VALUE_BYTES_MAX", 100)
    found = values("x" * 90)
    assert (len(found.blobs), found.args_are_blob) == (0, False)
    found = values("x" * 90, "y" * 90)  # neither is worth a blob of its own
    assert (len(found.blobs), found.args_are_blob) == (1, True)
