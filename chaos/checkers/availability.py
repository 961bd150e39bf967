"""After a fault has ended, writes are accepted again within a bounded time; and the run was a real one.

A history that holds nothing proves nothing: the assumptions are checked like promises.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterator
from typing import Final

from chaos.checkers.violation import Violation
from chaos.history import History
from chaos.report.figures import answered_writes, is_on_workers, spans, stalled_s

RESUMES_S: Final = 10.0


def check_availability(history: History) -> list[Violation]:
    """Faults after whose end no write was accepted in time, and runs that never really ran."""
    return [*_resumption(history), *_assumptions(history)]


def _resumption(history: History) -> Iterator[Violation]:
    times = answered_writes(history)
    traffic_s = max((op.invoked_s for op in history.ops), default=0.0)
    for span in spans(history):
        if is_on_workers(span):
            continue
        at = bisect.bisect_left(times, span.end_s)
        resumed_s = times[at] if at < len(times) else traffic_s
        stalled = stalled_s(history, span.end_s, resumed_s)
        if resumed_s - span.end_s - stalled > RESUMES_S:
            what = f"no write for {RESUMES_S:.0f} s after {span.name} on {span.target} ended"
            why = f"it ended at {span.end_s:.3f} s, the next one was at {resumed_s:.3f} s"
            yield Violation(
                "writes resume", what, (why, f"the machine stood still {stalled:.3f} s")
            )


def _assumptions(history: History) -> Iterator[Violation]:
    if not history.meta:
        return  # written by hand
    if not any(op.known for op in history.ops):
        yield Violation("the run is a real one", "no operation was answered")
    for kind in ("final", "replica"):
        if next(history.of(kind), None) is None and next(history.of("broken"), None) is None:
            yield Violation("the run is a real one", f"it ended early: nothing of kind {kind}")
