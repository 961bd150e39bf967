"""The table of what a folder keeps: the sum is kept, not made; what is in use stays; the oldest goes."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from titan.exec.kept_folder import KeptFolder
from titan.ids import Digest

NAMES = [Digest(letter * 64) for letter in "abcdef"]
A, B, C, D = NAMES[:4]
ROOT = Path(__file__).parent  # is there already; the table never looks into it


def folder(*digests: Digest, bytes_max: int = 30) -> KeptFolder:
    kept = KeptFolder(ROOT, bytes_max=bytes_max)
    for digest in digests:
        kept.add(digest, size_bytes=10)
    return kept


def test_a_missing_folder_is_made(tmp_path: Path) -> None:
    kept = KeptFolder(tmp_path / "a" / "b", bytes_max=1)
    assert kept.root.is_dir()
    assert kept.path(A) == tmp_path / "a" / "b" / A


def test_nothing_goes_while_there_is_room() -> None:
    kept = folder(A, B, C)
    assert list(kept.evict()) == []
    assert kept.size_bytes == 30


def test_the_least_recently_used_goes_first() -> None:
    kept = folder(A, B, C)
    with kept.in_use(A):
        pass
    kept.add(D, size_bytes=10)
    assert list(kept.evict()) == [B]
    assert list(kept.evict(more_bytes=10)) == [C]
    assert A in kept
    assert D in kept


def test_what_is_in_use_stays_even_when_it_is_too_much() -> None:
    kept = folder(A, B, bytes_max=5)
    with kept.in_use(A), kept.in_use(A):
        assert list(kept.evict()) == [B]
    assert kept.size_bytes == 10
    assert list(kept.evict()) == [A]


def test_room_is_asked_for_again_after_each_that_went() -> None:
    kept = folder(A, B, C, bytes_max=0)
    gone = kept.evict()
    assert next(gone) == A
    with kept.in_use(B):  # somebody came while the first was removed
        assert list(gone) == [C]
    assert kept.size_bytes == 10


def test_an_entry_that_comes_again_counts_once_and_keeps_its_users() -> None:
    kept = folder(A, B)
    with kept.in_use(A):
        kept.add(A, size_bytes=25)
        assert kept.size_bytes == 35
        assert list(kept.evict(more_bytes=30)) == [B]


def test_an_entry_that_is_dropped_while_it_is_used_may_come_back() -> None:
    kept = folder(A)
    with kept.in_use(A):
        kept.drop(A)
        kept.drop(A)  # whoever else saw that it was wrong
        assert kept.size_bytes == 0
        kept.add(A, size_bytes=7)
    assert kept.size_bytes == 7
    assert list(kept.evict(more_bytes=30)) == [A]
    with pytest.raises(KeyError), kept.in_use(A):
        pass


OPERATIONS = st.lists(
    st.tuples(
        st.sampled_from(["add", "drop", "use", "leave", "evict"]),
        st.sampled_from(NAMES),
        st.integers(0, 40),
    ),
    max_size=60,
)


@given(OPERATIONS, st.integers(0, 100))
def test_the_total_is_the_sum_and_nothing_in_use_is_evicted(
    operations: list[tuple[str, Digest, int]], bytes_max: int
) -> None:
    kept = KeptFolder(ROOT, bytes_max=bytes_max)
    sizes: dict[Digest, int] = {}  # the model: least recently used first
    users: dict[Digest, list[contextlib.ExitStack]] = {}
    for what, digest, number in operations:
        if what == "add":
            kept.add(digest, size_bytes=number)
            sizes.pop(digest, None)
            sizes[digest] = number
        elif what == "drop":
            kept.drop(digest)
            sizes.pop(digest, None)
            users.pop(digest, None)  # on their own
        elif what == "use" and digest in sizes:
            stack = contextlib.ExitStack()
            stack.enter_context(kept.in_use(digest))
            users.setdefault(digest, []).append(stack)
            sizes[digest] = sizes.pop(digest)
        elif what == "leave" and users.get(digest):
            users[digest].pop().close()
        elif what == "evict":
            for gone in kept.evict(more_bytes=number):
                assert not users.get(gone)
                assert gone == next(each for each in sizes if not users.get(each))
                assert sum(sizes.values()) + number > bytes_max
                del sizes[gone]
            idle = [each for each in sizes if not users.get(each)]
            assert not idle or sum(sizes.values()) + number <= bytes_max
        assert kept.size_bytes == sum(sizes.values())
        assert [each for each in NAMES if each in kept] == sorted(sizes)
