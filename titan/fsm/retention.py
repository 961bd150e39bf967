"""Finished runs are forgotten in time, so that the state does not grow for ever.

Kept are the newest finished runs, with at most so many jobs together, for some time after their end, as
`State.retention` says. A live run is never forgotten. One timer looks after all of them and
forgets a few at a time. Blobs that no run refers to any more go as `references.py` says.
A sub-run goes with the run at the top of its family: until then it is not in `over` but in `under`.
"""

from __future__ import annotations

from itertools import islice, takewhile

import msgspec

from titan.fsm import (
    artifacts,
    budgets,
    checkpoints,
    dead,
    logs,
    references,
    revisions,
    signals,
    timers,
)
from titan.fsm.commands import SetRetention
from titan.fsm.events import RunForgotten
from titan.fsm.handling import Stamp, Turn, handles
from titan.fsm.outcomes import Outcome, Rejected
from titan.fsm.state import Run, State
from titan.ids import RunId
from titan.limits import (
    BLOB_LEASE_MS_MIN,
    DURATION_MS_MAX,
    FINISHED_JOBS_MAX,
    FINISHED_RUNS_CAP,
    FORGET_JOBS_PER_ENTRY,
)

_BOUNDS = {
    "runs_max": (0, FINISHED_RUNS_CAP),
    "jobs_max": (0, FINISHED_JOBS_MAX),
    "keep_ms": (0, DURATION_MS_MAX),
    "lease_ms": (BLOB_LEASE_MS_MIN, DURATION_MS_MAX),
}


@handles(SetRetention)
def set_retention(state: State, cmd: SetRetention, at: Stamp) -> Outcome:
    """Change the policy. What it no longer keeps goes by and by, from the next entry on."""
    changes = {name: getattr(cmd, name) for name in _BOUNDS if getattr(cmd, name) is not None}
    for name, value in changes.items():
        least, most = _BOUNDS[name]
        if not least <= value <= most:
            return Rejected("invalid", f"retention: {name} is {value}, not in {least}..{most}")
    turn = Turn(state, at)
    state.retention = msgspec.structs.replace(state.retention, **changes)
    _look_again(turn)
    return turn.done("changed")


def run_is_over(turn: Turn, run: Run) -> None:
    """The run has ended, or has grown by jobs that ended at once: its time to be forgotten will come."""
    state = turn.state
    if run.root in state.runs:
        _shelve(state, run, state.under)
    elif _shelve(state, run, state.over):
        _put_in_order(state, run)
    signals.run_is_over(state, run.id)
    _look_again(turn)


def _shelve(state: State, run: Run, shelf: dict[RunId, int]) -> bool:
    """Note how many jobs the run has; whether it is new there."""
    known = shelf.get(run.id, 0)
    state.over_jobs += len(run.jobs) - known
    shelf[run.id] = len(run.jobs)
    return not known


def is_shelved(state: State, run: Run) -> bool:
    """Whether the run is known to be over."""
    return run.id in state.over or run.id in state.under


def _put_in_order(state: State, run: Run) -> None:
    """A run that was long in settling ended before others that are known to be over already."""
    later: list[RunId] = []
    for known in islice(reversed(state.over), 1, None):
        if state.runs[known].ended_ms <= run.ended_ms:
            break
        later.append(known)
    for known in reversed(later):
        state.over[known] = state.over.pop(known)


def run_is_live(state: State, run: Run) -> bool:
    """The run is not over. Answers whether it was."""
    jobs = state.over.pop(run.id, 0) or state.under.pop(run.id, 0)
    state.over_jobs -= jobs
    return jobs != 0


def forget(turn: Turn) -> None:
    """The timer fired: forget what is due, up to the bound, and look again later."""
    state = turn.state
    room = FORGET_JOBS_PER_ENTRY
    first: list[RunId] = []
    while room > 0 and state.over and _due_ms(state) <= state.now_ms:
        first = first or _ended_first(state)
        root = state.runs[first.pop()]
        if _is_called(state, root):
            break  # a moment later all of them go together
        room -= _forget_family(turn, root, room=room)
    state.forget_due_ms = 0
    _look_again(turn)


def _ended_first(state: State) -> list[RunId]:
    """The runs that ended first, the next to go last. Which of those of one millisecond was through
    before the others depends on how many entries each took: so their names decide."""
    ended_ms = state.runs[next(iter(state.over))].ended_ms
    alike = takewhile(lambda name: state.runs[name].ended_ms == ended_ms, state.over)
    return sorted(alike, reverse=True)


def _is_called(state: State, root: Run) -> bool:
    """Whether a sub-run of it is about to be ended, which may take some entries."""
    family = state.families.get(root.id, ())
    return any(name in state.kin or name in state.unsettled for name in family)


def _forget_family(turn: Turn, root: Run, *, room: int) -> int:
    """Forget the ended sub-runs of a run, newest first, and at last the run itself; how many jobs that
    were. One that somebody has revived stays, on its own."""
    state, jobs = turn.state, 0
    for name in [name for name in reversed(state.families.get(root.id, {})) if name in state.under]:
        jobs += _forget_one(turn, state.runs[name])
        if jobs >= room:
            return jobs
    for name in state.families.pop(root.id, ()):
        state.runs[name].root = RunId("")
    return jobs + _forget_one(turn, root)


def _forget_one(turn: Turn, run: Run) -> int:
    state = turn.state
    revisions.forget(state, run.id)
    dead.forget(state, run)
    del state.runs[run.id]
    budgets.forget(state, run)
    state.unsettled.pop(run.id, None)
    state.kin.pop(run.id, None)
    run_is_live(state, run)
    family = state.families.get(run.root)
    if family is not None:
        family.pop(run.id, None)
        if not family:
            del state.families[run.root]
    _release(turn, run)
    turn.events.append(RunForgotten(run.id))
    return len(run.jobs)


def _release(turn: Turn, run: Run) -> None:
    """What only this run needs may go: bundles, files, checkpoints, logs."""
    references.release(turn, references.of_run(run))
    artifacts.run_is_forgotten(turn, run.id)
    checkpoints.run_is_forgotten(turn, run.id)
    logs.run_is_forgotten(turn, run.id)


def _look_again(turn: Turn) -> None:
    """Set the timer, unless it is set for that time or an earlier one. Never for this entry."""
    state = turn.state
    if not state.over:
        return
    due_ms = max(_due_ms(state), state.now_ms + 1)
    if not state.forget_due_ms or due_ms < state.forget_due_ms:
        state.forget_due_ms = due_ms
        timers.set_timer(state, timers.FORGET, due_ms=due_ms)


def _due_ms(state: State) -> int:
    """When the run that ended first is to be forgotten; 0 when there are too many."""
    policy = state.retention
    if len(state.over) > policy.runs_max or state.over_jobs > policy.jobs_max:
        return 0
    return state.runs[next(iter(state.over))].ended_ms + policy.keep_ms
