"""The history of a run's graph: what changed, newest last, within bounds. Runs that never change have none.

Owns `State.histories`. What a revision did is told by `mutation_views.py`, and undone by `undo.py`.
"""

from __future__ import annotations

import msgspec

from titan import limits
from titan.fsm.handling import Stamp
from titan.fsm.outcomes import Rejected
from titan.fsm.records.revisions import History, Revision
from titan.fsm.state import Run, State
from titan.ids import RunId

SINCE = 2  # the version of the cluster from which revisions are kept
_encoder = msgspec.msgpack.Encoder()


def next_number(state: State, run: Run, at: Stamp) -> int:
    """The number of the run's next revision: the log's index, or more when two share an entry."""
    return max(at.index, run.revision + 1) if state.version >= SINCE else at.index


def who(state: State, at: Stamp, by: str) -> str:
    """Who changes a run, for people: a task is known, everybody else says so."""
    attempt = state.attempts.get(at.attempt)
    return by if attempt is None else f"job '{attempt.job}', attempt {attempt.number}"


def note(state: State, run: Run, revision: Revision) -> None:
    """The run's graph has changed. `revision` tells how, and its number is the run's from now on."""
    run.revision = revision.number
    if state.version < SINCE:
        return
    revision = msgspec.structs.replace(revision, size=len(_encoder.encode(revision)))
    history = state.histories.pop(run.id, None) or History(revisions=[])
    state.histories[run.id] = history
    history.revisions.append(revision)
    history.size += revision.size
    state.history_bytes += revision.size
    while history.revisions and (
        len(history.revisions) > limits.REVISIONS_PER_RUN_MAX
        or history.size > limits.REVISION_BYTES_PER_RUN_MAX
    ):
        _drop_oldest(state, run.id)
    while state.history_bytes > limits.REVISION_BYTES_MAX:
        _drop_oldest(state, next(iter(state.histories)))


def _drop_oldest(state: State, run: RunId) -> None:
    history = state.histories[run]
    size = history.revisions.pop(0).size
    history.size -= size
    state.history_bytes -= size
    if not history.revisions:
        del state.histories[run]


def forget(state: State, run: RunId) -> None:
    """The run is forgotten."""
    history = state.histories.pop(run, None)
    if history is not None:
        state.history_bytes -= history.size


def of(state: State, run: RunId) -> list[Revision]:
    """What is known of a run's changes, oldest first."""
    history = state.histories.get(run)
    return [] if history is None else history.revisions


def find(state: State, run: Run, number: int) -> Revision | Rejected:
    """The revision of that number; the newest for 0."""
    known = of(state, run.id)
    for revision in reversed(known):
        if number in (0, revision.number):
            return revision
    which = f"no change of revision {number}" if number else "no change"
    return Rejected("unknown_revision", f"run {run.id}: {which} is known (any more)")
