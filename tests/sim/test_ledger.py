"""The ledger rejects what must never happen."""

from __future__ import annotations

from tests.sim.ledger import Ledger
from tests.sim.loop import Life


class Watched:
    def __init__(self) -> None:
        self.violations: list[str] = []
        self.ledger = Ledger(violate=self.violations.append, note=lambda what, data: None)
        self.a, self.b = Life("a", 1), Life("b", 1)


def test_equal_logs_are_fine() -> None:
    watched = Watched()
    for life in (watched.a, watched.b):
        watched.ledger.applied(life, 1, b"entry", b"digest")
        watched.ledger.restored(life, 1, b"digest")
    assert not watched.violations


def test_two_entries_at_one_index_are_not() -> None:
    watched = Watched()
    watched.ledger.applied(watched.a, 1, b"entry", b"digest")
    watched.ledger.applied(watched.b, 1, b"other", b"digest")
    assert "two entries at index 1" in watched.violations[0]


def test_neither_are_two_states_at_one_index() -> None:
    watched = Watched()
    watched.ledger.applied(watched.a, 1, b"entry", b"digest")
    watched.ledger.applied(watched.b, 1, b"entry", b"other")
    watched.ledger.restored(watched.b, 1, b"third")
    assert len(watched.violations) == 2


def test_a_term_has_one_leader() -> None:
    watched = Watched()
    watched.ledger.elected(watched.a, term=2, last_index=0)
    watched.ledger.elected(watched.b, term=2, last_index=0)
    assert "two leaders in term 2" in watched.violations[0]


def test_a_leader_has_what_was_committed_before_its_term() -> None:
    watched = Watched()
    watched.ledger.committed(7, term=3)
    watched.ledger.elected(watched.a, term=2, last_index=5)  # its votes were cast before term 3
    assert not watched.violations
    watched.ledger.elected(watched.b, term=4, last_index=6)
    assert "log up to 6" in watched.violations[0]
