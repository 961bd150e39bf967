"""A sub-run and the job of its parent that it runs for: who has to be looked at, and when.

Ending a sub-run ends a job elsewhere, and cancelling a job cancels runs below it. Neither happens within
the same command: the pair is noted here as a timer that is due, so that a command never reaches further
than its own run. What the look does is in `subruns.py`.
"""

from __future__ import annotations

from hashlib import blake2b

from titan.fsm import timers
from titan.fsm.handling import Turn
from titan.fsm.records.pipelines import Kin
from titan.fsm.records.unsettled import Unsettled
from titan.fsm.state import Job, Run, State
from titan.fsm.unattended import asks_for_worker
from titan.ids import JobId, RunId, run_id_of


def subrun_id(run: RunId, job: JobId, number: int) -> RunId:
    """The run that is the `number`-th try of a job: the same on every master, and nobody else's."""
    digest = blake2b(f"{run}\0{job}\0{number}".encode(), digest_size=13)
    return run_id_of(int.from_bytes(digest.digest(), "big"))


def subrun_of(run: Run, job: Job) -> RunId:
    """The latest run for this job; "" when there is none."""
    if asks_for_worker(job) or not job.attempts:
        return RunId("")
    return subrun_id(run.id, job.id, job.attempts)


def has_ended(turn: Turn, run: Run) -> None:
    """The run is over: the job that it runs for is to end as well."""
    if run.parent_run in turn.state.runs:
        call(turn, run.id, is_orphan=False)


def is_cancelled(turn: Turn, run: Run, job: Job) -> None:
    """The job is being cancelled: so is the run below it."""
    below = subrun_of(run, job)
    if below:
        call(turn, below, is_orphan=True)


def call(turn: Turn, run: RunId, *, is_orphan: bool, why: str = "cancelled") -> None:
    """Look at the sub-run and its parent in an entry of their own; or cancel any run, with a reason."""
    due_ms = turn.at.now_ms
    turn.state.kin[run] = Kin(due_ms, is_orphan, why)
    timers.set_timer(turn.state, timers.KIN, run, due_ms=due_ms)


def keeper(state: State, run_id: RunId) -> Unsettled | None:
    """What has to be carried out before the look: nothing may touch a run in the middle of an operation,
    and only a settled run is cancelled."""
    run = state.runs.get(run_id)
    if run is None:
        return None
    mine = state.unsettled.get(run_id)
    if mine is not None and (mine.operation is not None or state.kin[run_id].is_orphan):
        return mine
    above = state.unsettled.get(run.parent_run)
    return above if above is not None and above.operation is not None else None
