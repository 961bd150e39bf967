"""All masters hold the same state in the end, and it is what clients were told.

Each `replica` event is one master's own answer (a stale read) once everything was quiet, with a digest
of every part. `died` events are processes that ended although nobody had hurt them.
"""

from __future__ import annotations

from collections.abc import Iterator

from chaos.checkers.violation import Violation
from chaos.history import History


def check_replicas(history: History) -> list[Violation]:
    """Masters that differ, that are missing, or that died by themselves."""
    return [*_differences(history), *_deaths(history), *_liveness(history)]


def _differences(history: History) -> Iterator[Violation]:
    replicas = list(history.of("replica"))
    masters = history.meta.get("masters", 0)
    if replicas and len(replicas) != masters:
        yield Violation("equal replicas", f"only {len(replicas)} of {masters} masters answered")
    for other in replicas[1:]:
        first = replicas[0]
        for part in first["digests"]:
            if first["digests"][part] != other["digests"].get(part):
                what = f"{part} of {first['master']} and {other['master']} differ"
                lines = tuple(
                    f"{one['master']} at index {one['index']}: {one['digests'].get(part)}"
                    for one in (first, other)
                )
                yield Violation("equal replicas", what, lines)


def _deaths(history: History) -> Iterator[Violation]:
    for event in history.of("died"):
        what = f"{event['member']} ended by itself with code {event['code']}"
        yield Violation("nobody dies unasked", what, tuple(event["log"]))


def _liveness(history: History) -> Iterator[Violation]:
    for event in history.of("broken"):
        yield Violation(event["check"], event["what"], tuple(event.get("evidence", ())))
