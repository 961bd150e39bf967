"""Telling what happened to several jobs of a run: an event for each, or one that names them all.

Owns the choice between the two, so that listeners see single events in the usual case and apply stays
quick when a run of 100,000 jobs is cancelled, skipped or let go at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from titan.fsm.events import JobChanged, JobReady, JobsChanged, JobsReady
from titan.fsm.handling import Turn
from titan.fsm.state import JobState, Run
from titan.ids import JobId

EVENTS_EACH_MAX: Final = 256  # more jobs than this share one event


def tell_ready(turn: Turn, run: Run, names: Sequence[JobId]) -> None:
    """These jobs may be assigned now."""
    if len(names) > EVENTS_EACH_MAX:
        turn.events.append(JobsReady(run.id, tuple(names)))
    else:
        turn.events.extend([JobReady(run.id, name) for name in names])


def tell_changed(turn: Turn, run: Run, names: Sequence[JobId], *, to: JobState) -> None:
    """These jobs are in this state now."""
    if len(names) > EVENTS_EACH_MAX:
        turn.events.append(JobsChanged(run.id, to, tuple(names)))
    else:
        turn.events.extend([JobChanged(run.id, name, to) for name in names])
