"""Numbers from a history: faults, gaps in accepted writes, latencies, throughput."""

from __future__ import annotations

import bisect
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from typing import Final, NamedTuple

from chaos.history import NEVER, History, Op

WRITES: Final = ("put", "cas", "delete", "incr", "sadd", "srem", "lock", "unlock", "submit")
AFTER_S: Final = 10.0  # how long after a fault a gap still counts as its own
BEFORE_S: Final = 0.2  # a kill is written down a moment after it happened


class Span(NamedTuple):
    """A fault from its begin to its end."""

    name: str
    target: str
    begin_s: float
    end_s: float


def spans(history: History) -> list[Span]:
    """Every fault that was injected, in order."""
    open_faults: dict[tuple[str, str], float] = {}
    found = []
    last_s = max((event["t"] for event in history.events), default=0.0)
    for event in history.of("fault"):
        place = event["name"], event["target"]
        if event["phase"] == "begin":
            open_faults[place] = event["t"]
        elif event["phase"] == "end":
            found.append(Span(*place, open_faults.pop(place, event["t"]), event["t"]))
    found += [Span(*place, begin_s, last_s) for place, begin_s in open_faults.items()]
    return sorted(found, key=lambda span: span.begin_s)


def fault_counts(history: History) -> Counter[str]:
    """How often each fault was injected."""
    return Counter(span.name for span in spans(history))


def answered_writes(history: History) -> list[float]:
    """When writes were accepted, sorted."""
    return sorted(op.ended_s for op in history.with_verb(*WRITES) if op.known)


def stalls(history: History) -> list[tuple[float, float]]:
    """From when to when the machine itself stood still, in order."""
    return [(one["begin"], one["begin"] + one["seconds"]) for one in history.of("stall")]


def stalled_s(history: History, begin_s: float, end_s: float) -> float:
    """How much of an interval the machine itself stood still."""
    parts = ((max(begin_s, begin), min(end_s, end)) for begin, end in stalls(history))
    return sum(end - begin for begin, end in parts if end > begin)


def gap_s(times: Sequence[float], begin_s: float, end_s: float) -> float:
    """The longest time without any of `times` that overlaps the interval; the ends of the run count."""
    low = max(0, bisect.bisect_left(times, begin_s) - 1)
    high = bisect.bisect_right(times, end_s) + 1
    window = times[low:high]
    return max((b - a for a, b in pairwise(window)), default=0.0)


def outages(history: History) -> dict[str, list[float]]:
    """For each kind of fault, the longest gap in accepted writes around each time it happened.

    It belongs to the fault from its begin until the next fault of the same lane may have begun.
    """
    times = answered_writes(history)
    found: dict[str, list[float]] = {}
    everything = spans(history)
    for span in everything:
        until = span.end_s + AFTER_S
        for other in everything:
            if other.begin_s > span.end_s and not is_on_workers(other):
                until = min(until, other.begin_s - BEFORE_S)
        found.setdefault(span.name, []).append(gap_s(times, span.begin_s - BEFORE_S, until))
    return found


def failovers_s(history: History) -> list[float]:
    """For each SIGKILL of a leader, how long no write was accepted; only gaps that begin with it count."""
    times = answered_writes(history)
    return [
        gap_s(times, span.begin_s - BEFORE_S, span.begin_s + BEFORE_S)
        for span in spans(history)
        if span.name == "kill-leader"
    ]


def is_on_workers(span: Span) -> bool:
    """Whether masters were left alone."""
    return span.name.endswith("-worker")


def quantile(values: Sequence[float], share: float) -> float:
    """The nearest-rank quantile; 0 without values."""
    if not values:
        return 0.0
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def latencies_s(ops: Sequence[Op]) -> list[float]:
    """Of the operations that were answered."""
    return [op.ended_s - op.invoked_s for op in ops if op.known]


def buckets(history: History, *, width_s: float) -> list[tuple[int, int, float, float]]:
    """For each slice of time: answered, unknown, median latency, worst latency."""
    last_s = max((op.invoked_s for op in history.ops), default=0.0)
    slices: list[list[Op]] = [[] for _ in range(int(last_s / width_s) + 2)]
    for op in history.ops:
        at_s = op.ended_s if op.known else min(op.gave_up_s, last_s)
        if at_s != NEVER and int(at_s / width_s) < len(slices):
            slices[int(at_s / width_s)].append(op)
    rows = []
    for ops in slices:
        times = latencies_s(ops)
        unknown = sum(not op.known for op in ops)
        rows.append((len(times), unknown, quantile(times, 0.5), max(times, default=0.0)))
    return rows
