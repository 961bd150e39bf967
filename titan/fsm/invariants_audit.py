"""What must be true of the audit; part of `invariants.py`."""

from __future__ import annotations

from itertools import pairwise

from titan.fsm.state import State
from titan.limits import AUDIT_CHARS_MAX, AUDIT_KEPT_PER_KIND


def validate_orders(state: State) -> None:
    """Each kind within its bounds, in order, with numbers that were drawn."""
    for kind, ring in state.orders.items():
        assert 0 < len(ring) <= AUDIT_KEPT_PER_KIND, f"{len(ring)} orders about {kind}"
        for order in ring:
            assert order.kind == kind, f"{order} is filed under {kind}"
            assert order.who, f"{order} was given by nobody"
            assert len(order.object) <= AUDIT_CHARS_MAX, f"{order} has a long name"
        for before, after in pairwise(ring):
            assert before.number < after.number, f"{after} comes before {before}"
    newest = max((ring[-1].number for ring in state.orders.values()), default=0)
    assert state.next_order == newest + 1, f"order {newest} is followed by {state.next_order}"
