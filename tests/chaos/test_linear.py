"""The search for an order: what it must refuse, what it must accept, and the same answer as brute force."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chaos.checkers.linear import Verdict, check_keys, linearizable
from chaos.checkers.order import check_order
from chaos.history import NEVER, Op
from chaos.model import IMPOSSIBLE, step

from .histories import lost, of, op


def test_a_lost_write_is_rejected() -> None:
    history = of(
        op("put", "k", "a", at=(0, 1)),
        op("put", "k", "b", at=(2, 3)),
        op("get", "k", at=(4, 5), answer="a"),
    )
    (violation,) = check_keys(history)
    assert "key k" in violation.what
    assert len(violation.evidence) == 3


def test_a_stale_read_is_rejected() -> None:
    history = of(
        op("put", "k", "a", at=(0, 1)),
        op("put", "k", "b", at=(2, 10)),
        op("get", "k", at=(3, 4), answer="b"),
        op("get", "k", at=(5, 6), answer="a"),
    )
    assert check_keys(history)


def test_a_write_that_vanished_is_rejected() -> None:
    history = of(op("put", "k", "a", at=(0, 1)), op("get", "k", at=(2, 3), answer=None))
    assert check_keys(history)


def test_a_write_that_took_effect_twice_is_rejected() -> None:
    history = of(op("incr", "k", 1, at=(0, 1), answer=1), op("get", "k", at=(2, 3), answer="2"))
    assert check_keys(history)


def test_two_winners_of_one_compare_and_set_are_rejected() -> None:
    history = of(
        op("cas", "k", None, "a", at=(0, 5), answer=True),
        op("cas", "k", None, "b", at=(0, 5), answer=True),
    )
    assert check_keys(history)


def test_a_member_that_was_never_added_is_rejected() -> None:
    history = of(
        op("sadd", "k", "m", at=(0, 1), answer=1),
        op("smembers", "k", at=(2, 3), answer=["m", "n"]),
    )
    assert check_keys(history)


def test_an_unknown_write_may_have_happened_late() -> None:
    history = of(
        lost("put", "k", "a", at=0),
        op("get", "k", at=(5, 6), answer=None),
        op("get", "k", at=(7, 8), answer="a"),
    )
    assert not check_keys(history)


def test_an_unknown_write_may_not_happen_twice() -> None:
    history = of(
        lost("put", "k", "a", at=0),
        op("get", "k", at=(1, 2), answer="a"),
        op("put", "k", "b", at=(3, 4)),
        op("get", "k", at=(5, 6), answer="a"),
    )
    assert check_keys(history)


def test_concurrent_writes_may_be_seen_in_either_order() -> None:
    history = of(
        op("put", "k", "a", at=(0, 10)),
        op("put", "k", "b", at=(0, 10)),
        op("get", "k", at=(11, 12), answer="a"),
    )
    assert not check_keys(history)


def test_a_search_that_is_too_large_says_so() -> None:
    ops = [op("put", "k", str(n), at=(0, 10)) for n in range(12)]
    ops.append(op("get", "k", at=(11, 12), answer="never"))
    assert linearizable(ops, budget=1_000) is Verdict.UNDECIDED


def test_a_later_write_with_a_smaller_index_is_rejected() -> None:
    first = op("put", "x", "a", at=(0, 1), answer=7)
    assert check_order(of(first, op("put", "y", "b", at=(2, 3), answer=6)))
    assert not check_order(of(first, op("put", "y", "b", at=(0.5, 3), answer=6)))


# --- against brute force ------------------------------------------------------------------------


def brute_force(ops: list[Op]) -> bool:
    """Every subset of the unknown operations, in every order that respects time."""
    known = [o for o in ops if o.known]
    unknown = [o for o in ops if not o.known]
    for count in range(len(unknown) + 1):
        for taken in itertools.combinations(unknown, count):
            for order in itertools.permutations([*known, *taken]):
                if _respects_time(order) and _explains(order):
                    return True
    return False


def _respects_time(order: tuple[Op, ...]) -> bool:
    pairs = itertools.combinations(order, 2)
    return not any(later.ended_s < earlier.invoked_s for earlier, later in pairs)


def _explains(order: tuple[Op, ...]) -> bool:
    state: Any = None
    for one in order:
        state = step(state, one)
        if state is IMPOSSIBLE:
            return False
    return True


VALUES = st.sampled_from(["a", "b"])
ANSWERS = {
    "put": st.none(),
    "get": st.sampled_from([None, "a", "b"]),
    "cas": st.booleans(),
    "delete": st.booleans(),
}


@st.composite
def operations(draw: st.DrawFn) -> Op:
    verb = draw(st.sampled_from(list(ANSWERS)))
    args = {"put": [draw(VALUES)], "cas": [draw(st.none() | VALUES), draw(VALUES)]}.get(verb, [])
    begin_s = draw(st.integers(0, 8))
    end_s = begin_s + draw(st.integers(1, 4)) - 0.5
    if draw(st.integers(0, 5)) == 0:
        return Op(0, "c", verb, "k", args, begin_s, NEVER, False)
    return Op(0, "c", verb, "k", args, begin_s, end_s, True, draw(ANSWERS[verb]))


@settings(max_examples=400, deadline=None)
@given(st.lists(operations(), max_size=5))
def test_the_search_answers_like_brute_force(ops: list[Op]) -> None:
    assert (linearizable(ops) is Verdict.YES) is brute_force(ops)


@st.composite
def real_histories(draw: st.DrawFn) -> list[Op]:
    """Operations that did take effect one after another, seen with overlapping times."""
    state: Any = None
    ops = []
    for moment in range(draw(st.integers(1, 40))):
        verb = draw(st.sampled_from(list(ANSWERS)))
        args = {"put": [draw(VALUES)], "cas": [draw(st.none() | VALUES), draw(VALUES)]}.get(
            verb, []
        )
        before = state
        answer = {"put": None, "get": before, "delete": before is not None}.get(verb)
        if verb == "cas":
            answer = before == args[0]
        begin_s, end_s = moment - draw(st.floats(0, 4)), moment + draw(st.floats(0.01, 4))
        known = draw(st.integers(0, 7)) > 0
        ops.append(Op(0, "c", verb, "k", args, begin_s, end_s if known else NEVER, known, answer))
        state = step(state, ops[-1])
    return ops


@settings(max_examples=100, deadline=None)
@given(real_histories())
def test_what_really_happened_is_accepted(ops: list[Op]) -> None:
    assert linearizable(ops) is Verdict.YES


@pytest.mark.parametrize("verb", ["get", "smembers"])
def test_an_unknown_read_says_nothing(verb: str) -> None:
    assert linearizable([lost(verb, "k", at=0)]) is Verdict.YES
