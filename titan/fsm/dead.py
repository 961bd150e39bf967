"""The dead-letter queue: every job that is DEAD, in the order in which they died. Owns `State.dead`.

A job enters it when its retries are used up and leaves it when it runs again or its run is forgotten, so
that looking at the queue costs what is in it and not what is in the state.
"""

from __future__ import annotations

from collections.abc import Iterator

from titan.fsm.state import Job, JobState, Run, State


def enter(state: State, run: Run, job: Job) -> None:
    """The job has become DEAD."""
    state.dead[run.id, job.id] = None


def leave(state: State, run: Run, job: Job) -> None:
    """The job is not DEAD any more."""
    del state.dead[run.id, job.id]


def forget(state: State, run: Run) -> None:
    """The run is forgotten."""
    if JobState.DEAD in run.counts:
        for job in run.jobs.values():
            if job.state is JobState.DEAD:
                leave(state, run, job)


def newest_first(state: State) -> Iterator[tuple[Run, Job]]:
    """The queue, the one that died last first."""
    for run_id, job_id in reversed(state.dead):
        run = state.runs[run_id]
        yield run, run.jobs[job_id]


def rebuild(state: State) -> None:
    """A snapshot of a version that had no queue says nothing about it."""
    found = [
        (job.ended_ms, job.seq, run.id, job.id)
        for run in state.runs.values()
        if JobState.DEAD in run.counts
        for job in run.jobs.values()
        if job.state is JobState.DEAD
    ]
    if len(found) != len(state.dead):
        state.dead = dict.fromkeys((run, job) for _, _, run, job in sorted(found))
