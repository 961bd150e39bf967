"""What must be true of histories and of the dead-letter queue; part of `invariants.py`."""

from __future__ import annotations

from itertools import pairwise

from titan import limits
from titan.fsm.state import JobState, State


def validate_histories(state: State) -> None:
    """Each within its bounds, without gaps, up to the run's revision."""
    size = sum(history.size for history in state.histories.values())
    assert state.history_bytes == size, f"histories take {size} bytes, not {state.history_bytes}"
    for run, history in state.histories.items():
        name, known = f"the history of run {run}", history.revisions
        assert run in state.runs, f"{name}: there is no such run"
        assert 0 < len(known) <= limits.REVISIONS_PER_RUN_MAX, f"{name}: {len(known)} revisions"
        assert history.size == sum(each.size for each in known), f"{name}: {history.size} bytes"
        assert known[-1].number == state.runs[run].revision, f"{name} ends too early"
        for before, after in pairwise(known):
            assert before.number == after.before < after.number, f"{name}: {before}, {after}"


def validate_dead(state: State) -> None:
    """Every job that is DEAD, and no other."""
    dead = [
        (run.id, job.id)
        for run in state.runs.values()
        for job in run.jobs.values()
        if job.state is JobState.DEAD
    ]
    assert dict.fromkeys(dead) == state.dead, f"the dead are {dead}, not {list(state.dead)}"
