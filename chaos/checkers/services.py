"""One service, one holder: look-ups never go back, whoever answers is not older than who was named, a
broken version never counts, and in the end the service is there again.

A look-up is linearizable. So once a version or an attempt has been named, no later look-up may name an
older one: versions are ordered by their deployments, attempts of one version by their numbers. Two
versions do run side by side during a replacement; only one of them is ever named. An attempt that was
named as healthy has its address for itself: what answers there is that attempt or a later one.
"""

from __future__ import annotations

from collections.abc import Iterator

from chaos.checkers.linear import describe
from chaos.checkers.violation import Violation
from chaos.history import History, Op

Place = tuple[int, int]  # which deployment, which attempt


def check_services(history: History) -> list[Violation]:
    """Everything that is wrong with the service of a history."""
    return [
        *_steps_back(history),
        *_wrong_answers(history),
        *_broken_ones(history),
        *_gone(history),
    ]


def _order(history: History) -> dict[str, int]:
    """Runs by the order in which they were deployed, one at a time by one client."""
    return {op.args[0]: place for place, op in enumerate(history.with_verb("deploy"))}


def _steps_back(history: History) -> Iterator[Violation]:
    order = _order(history)

    def place(op: Op) -> Place:
        return order.get(op.value[0], -1), op.value[1]

    looks = [op for op in history.with_verb("look") if op.known and op.value[1]]
    ended = sorted(looks, key=lambda op: op.ended_s)
    newest: Op | None = None
    at = 0
    for op in sorted(looks, key=lambda op: op.invoked_s):
        while at < len(ended) and ended[at].ended_s < op.invoked_s:
            if newest is None or place(ended[at]) > place(newest):
                newest = ended[at]
            at += 1
        if newest is not None and place(op) < place(newest):
            what = "a look-up names an older holder than one before it"
            yield Violation("one holder of a service", what, (describe(newest), describe(op)))


def _wrong_answers(history: History) -> Iterator[Violation]:
    order = _order(history)
    for op in history.with_verb("ask"):
        run, attempt, health = op.args
        if not op.known or health != "healthy" or not attempt:
            continue
        if (order.get(op.value[0], -1), op.value[1]) < (order.get(run, -1), attempt):
            what = "an older holder answers at the address of the present one"
            yield Violation("one holder of a service", what, (describe(op),))


def _broken_ones(history: History) -> Iterator[Violation]:
    broken = {op.args[0] for op in history.with_verb("deploy") if op.args[1]}
    for op in history.with_verb("look"):
        if op.known and op.value[0] in broken:
            what = "a version that never became healthy is named as the service"
            yield Violation("a bad version gives way", what, (describe(op),))


def _gone(history: History) -> Iterator[Violation]:
    deployed = any(
        op.known and not op.value and not op.args[1] for op in history.with_verb("deploy")
    )
    for event in history.of("service"):
        if deployed and not event["came_back"]:
            yield Violation(
                "services come back", "the service does not answer after all was healed"
            )
