"""Writes that followed one another in time must follow one another in the log.

A put answers the log index of its write. Whoever was invoked after another was answered must have the
larger one, over all keys and all clients: this sees what a look at single keys cannot.
"""

from __future__ import annotations

from chaos.checkers.linear import describe
from chaos.checkers.violation import Violation
from chaos.history import History, Op


def check_order(history: History) -> list[Violation]:
    """Puts whose index is not above that of a put that had ended before they began."""
    puts = [op for op in history.with_verb("put") if op.known and isinstance(op.value, int)]
    ended = sorted(puts, key=lambda op: op.ended_s)
    found, at = [], 0
    newest: Op | None = None
    for op in sorted(puts, key=lambda op: op.invoked_s):
        while at < len(ended) and ended[at].ended_s < op.invoked_s:
            if newest is None or ended[at].value > newest.value:
                newest = ended[at]
            at += 1
        if newest is not None and op.value <= newest.value:
            what = f"a later write has index {op.value}, an earlier one {newest.value}"
            found.append(Violation("order of the log", what, (describe(newest), describe(op))))
    return found
