"""How a run stands, derived from how many of its jobs are in which state. Changes nothing."""

from __future__ import annotations

from titan.fsm.state import JobState, Run, RunState


def run_state(run: Run) -> RunState:
    """The state of the run as people see it.

    Over (every job has ended): FAILED > CANCELLED > COMPLETED; a skipped job counts as completed.
    Live: FAILED as soon as one job is FAILED or DEAD; RUNNING once anything was assigned or has ended;
    WAITING when a gate waits for a person; PENDING before that.

    The bare precedence FAILED > RUNNING > WAITING > CANCELLED > COMPLETED > PENDING would call a run
    COMPLETED while its second job has yet to start. So a run that has begun and is not over is
    RUNNING, whatever its ended jobs say, and CANCELLED and COMPLETED are kept for runs that are over.
    """
    counts = run.counts
    if JobState.FAILED in counts or JobState.DEAD in counts:
        return RunState.FAILED
    if is_over(run):
        return RunState.CANCELLED if JobState.CANCELLED in counts else RunState.COMPLETED
    if JobState.RUNNING in counts:
        return RunState.RUNNING
    if JobState.WAITING in counts:
        return RunState.WAITING
    has_begun = run.started_ms != 0 or len(counts) > 1
    return RunState.RUNNING if has_begun else RunState.PENDING


def is_over(run: Run) -> bool:
    """Whether every job of the run has ended. One under construction that has no jobs yet is not over."""
    counts = run.counts
    return (
        bool(counts)
        and JobState.PENDING not in counts
        and JobState.RUNNING not in counts
        and JobState.WAITING not in counts
    )
