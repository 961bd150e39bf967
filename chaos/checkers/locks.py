"""No two clients may believe at once that they hold a lock.

A holder may believe so from the answer to its `lock` until it begins to unlock, or until the time to
live has passed since it began to ask, whichever is first.
"""

from __future__ import annotations

from typing import NamedTuple

from chaos.checkers.linear import describe
from chaos.checkers.violation import Violation
from chaos.history import History, Op


class Holding(NamedTuple):
    """A time in which a client was entitled to act as the holder."""

    begin_s: float
    end_s: float
    op: Op


def check_locks(history: History) -> list[Violation]:
    """Pairs of holders of one lock whose times overlap."""
    by_key: dict[str, list[Holding]] = {}
    for holding in _holdings(history):
        by_key.setdefault(holding.op.key, []).append(holding)
    found = []
    for key, holdings in by_key.items():
        holdings.sort()
        latest: Holding | None = None
        for holding in holdings:
            if latest is not None and holding.begin_s < latest.end_s:
                what = f"lock {key} had two holders from {holding.begin_s:.4f}"
                lines = (describe(latest.op), describe(holding.op))
                found.append(Violation("mutual exclusion", what, lines))
            if latest is None or holding.end_s > latest.end_s:
                latest = holding
    return found


def _holdings(history: History) -> list[Holding]:
    """`lock` has the arguments token and seconds to live; `unlock` has the token."""
    released = {op.args[0]: op.invoked_s for op in history.with_verb("unlock")}
    found = []
    for op in history.with_verb("lock"):
        if not op.known or not op.value:
            continue
        token, ttl_s = op.args
        end_s = min(op.invoked_s + ttl_s, released.get(token, float("inf")))
        if end_s > op.ended_s:
            found.append(Holding(op.ended_s, end_s, op))
    return found
