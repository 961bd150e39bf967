"""The run in words."""

from __future__ import annotations

from collections import Counter

from chaos.checkers.violation import Violation
from chaos.history import History
from chaos.report.figures import (
    failovers_s,
    fault_counts,
    latencies_s,
    outages,
    quantile,
    stalls,
)


def summary(history: History, violations: list[Violation]) -> str:
    """Everything that fits on a screen."""
    return "\n".join(
        [*_operations(history), *_faults(history), *_notes(history), *_verdict(violations)]
    )


def last_line(history: History, violations: list[Violation]) -> str:
    """The line that programs read."""
    faults = fault_counts(history).total()
    return f"{len(history.ops)} operations, {faults} faults, {len(violations)} violations"


def _operations(history: History) -> list[str]:
    lines = []
    span_s = max((op.invoked_s for op in history.ops), default=0.0) - min(
        (op.invoked_s for op in history.ops), default=0.0
    )
    for verb in dict.fromkeys(op.verb for op in history.ops):
        ops = history.with_verb(verb)
        times = latencies_s(ops)
        lines.append(
            f"  {verb:9} {len(ops):7} sent {len(ops) - len(times):5} unknown   "
            f"median {quantile(times, 0.5) * 1e3:7.1f} ms   p99 {quantile(times, 0.99) * 1e3:8.1f} ms"
        )
    rate = sum(op.known for op in history.ops) / span_s if span_s else 0.0
    execs = list(history.of("exec"))
    attempts = Counter((one["run"], one["job"]) for one in execs)
    again = sum(count > 1 for count in attempts.values())
    lines.insert(0, f"operations in {span_s:.0f} s, {rate:.0f} answered a second:")
    return [*lines, f"jobs: {len(attempts)} ran, {again} of them more than once"]


def _faults(history: History) -> list[str]:
    lines = ["faults, and the longest gap in accepted writes around each:"]
    for name, gaps in sorted(outages(history).items()):
        lines.append(
            f"  {name:17} {len(gaps):4} times   median {quantile(gaps, 0.5):6.2f} s   "
            f"p99 {quantile(gaps, 0.99):6.2f} s   longest {max(gaps):6.2f} s"
        )
    if failovers := failovers_s(history):
        lines.append(
            f"failover after SIGKILL of the leader: median {quantile(failovers, 0.5) * 1e3:.0f} ms, "
            f"p99 {quantile(failovers, 0.99) * 1e3:.0f} ms, longest {max(failovers) * 1e3:.0f} ms "
            f"({len(failovers)} kills)"
        )
    for name, why in history.meta.get("skipped", {}).items():
        lines.append(f"  {name:17} skipped: {why}")
    return lines


def _notes(history: History) -> list[str]:
    lasted = [end - begin for begin, end in stalls(history)]
    machine = (
        f"note: the machine itself stood still {len(lasted)} times, {sum(lasted):.1f} s in all, "
        f"{max(lasted, default=0):.1f} s at the longest; the bound on recovery leaves that out"
    )
    return [machine] * bool(lasted) + [
        f"note: {event['count']} tracebacks in the log of {event['member']}"
        for event in history.of("traceback")
    ]


def _verdict(violations: list[Violation]) -> list[str]:
    if not violations:
        return ["every check held"]
    kinds = Counter(violation.check for violation in violations)
    return ["violations:", *(f"  {name}: {count}" for name, count in kinds.most_common())]
