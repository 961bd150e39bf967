"""Is there one order of these operations that explains every answer? Per key.

The search of Wing and Gong ("Testing and Verifying Concurrent Objects", 1993) with Lowe's memory of
configurations seen ("Testing for linearizability", 2017). Linearizability is local (Herlihy and Wing,
1990): a history is linearizable if and only if each key's part is, so keys are judged one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from enum import Enum
from typing import Any, Final

from chaos.checkers.violation import Violation
from chaos.history import NEVER, History, Op
from chaos.model import IMPOSSIBLE, READS, VERBS, step

CONFIGURATIONS_MAX: Final = 300_000  # per key; some seconds
EVIDENCE_MAX: Final = 40

Step = Callable[[Any, Op], Any]


class Verdict(Enum):
    """What the search found."""

    YES = "linearizable"
    NO = "not linearizable"
    UNDECIDED = "undecided"


def check_keys(history: History) -> list[Violation]:
    """Every key of the store that is not explained by any order of its operations."""
    by_key: dict[str, list[Op]] = {}
    for op in history.ops:
        if op.verb in VERBS:
            by_key.setdefault(op.key, []).append(op)
    found = []
    for key, ops in by_key.items():
        verdict = linearizable(ops)
        if verdict is not Verdict.YES:
            what = f"key {key}: {len(ops)} operations are {verdict.value}"
            lines = _evidence(ops) if verdict is Verdict.NO else ()
            found.append(Violation("linearizability", what, lines))
    return found


def linearizable(
    ops: Iterable[Op], *, initial: Any = None, model: Step = step, budget: int = CONFIGURATIONS_MAX
) -> Verdict:
    """Search an order in which every known answer is what `model` gives.

    Unknown writes may take effect at any time after their invocation, or never; unknown reads say
    nothing and are left out.
    """
    relevant = [op for op in ops if op.known or op.verb not in READS]
    relevant.sort(key=lambda op: op.invoked_s)
    return _search(relevant, initial, model, budget)


def _search(ops: Sequence[Op], initial: Any, model: Step, budget: int) -> Verdict:
    wanted = sum(1 << at for at, op in enumerate(ops) if op.known)
    stack = [(0, initial)]
    seen = _Seen(wanted)
    while stack:
        taken, state = stack.pop()
        if taken & wanted == wanted:
            return Verdict.YES
        # Pushed in reverse: the oldest candidate is tried first, which is nearly always right.
        for at in reversed(_candidates(ops, taken)):
            after = model(state, ops[at])
            if after is IMPOSSIBLE or (after == state and not ops[at].known):
                continue  # taking an unknown operation that changes nothing explains nothing
            if seen.is_new(taken | 1 << at, after):
                if seen.count > budget:
                    return Verdict.UNDECIDED
                stack.append((taken | 1 << at, after))
    return Verdict.NO


class _Seen:
    """Configurations that were reached. One that has used more unknown operations than another with the
    same known ones and the same state can do nothing that the other could not."""

    def __init__(self, wanted: int) -> None:
        self._wanted = wanted
        self._used: dict[tuple[int, Any], list[int]] = {}
        self.count = 0

    def is_new(self, taken: int, state: Any) -> bool:
        """Remember it; False when it is no better than one that was seen."""
        unknown = taken & ~self._wanted
        used = self._used.setdefault((taken & self._wanted, state), [])
        if any(fewer & unknown == fewer for fewer in used):
            return False
        used.append(unknown)
        self.count += 1
        return True


def _candidates(ops: Sequence[Op], taken: int) -> list[int]:
    """Operations that may come next: invoked before any other one that is left has ended.

    Unknown ones come last: most never happened, and nothing obliges us to take them. Of those with the same
    effect only the oldest: whatever a younger one could explain, it can.
    """
    first = (~taken & (taken + 1)).bit_length() - 1
    found: list[int] = []
    unknown: list[int] = []
    effects: set[tuple[Any, ...]] = set()
    horizon = NEVER
    for at in range(first, len(ops)):
        if taken >> at & 1:
            continue
        if ops[at].invoked_s > horizon:
            break
        if ops[at].known:
            found.append(at)
            horizon = min(horizon, ops[at].ended_s)
        elif (effect := (ops[at].verb, *ops[at].args)) not in effects:
            effects.add(effect)
            unknown.append(at)
    return found + unknown


def _evidence(ops: Sequence[Op]) -> tuple[str, ...]:
    """The shortest beginning that no order explains, its last operations."""
    known = sorted((op for op in ops if op.known), key=lambda op: op.ended_s)
    low, high = 0, len(known)
    while low < high:
        middle = (low + high) // 2
        if linearizable(_until(ops, known[middle].ended_s)) is Verdict.YES:
            low = middle + 1
        else:
            high = middle
    end_s = known[min(low, len(known) - 1)].ended_s if known else NEVER
    return tuple(describe(op) for op in _until(ops, end_s)[-EVIDENCE_MAX:])


def _until(ops: Sequence[Op], end_s: float) -> list[Op]:
    """The history as it was known at `end_s`: what ended later was still open."""
    seen = []
    for op in ops:
        if op.invoked_s > end_s:
            continue
        if op.known and op.ended_s > end_s:
            seen.append(Op(op.number, op.client, op.verb, op.key, op.args, op.invoked_s))
        else:
            seen.append(op)
    return seen


def describe(op: Op) -> str:
    """One line about an operation."""
    answer = repr(op.value) if op.known else f"unknown ({op.why[:60]})"
    until = f"{op.ended_s:.4f}" if op.known else "?"
    return f"{op.invoked_s:.4f}–{until} {op.client} {op.verb} {op.key} {op.args} → {answer}"
