"""Effects that reach far along the edges of a run are carried out over several entries.

A graph may have 100,000 jobs, and an apply that follows all of their edges would stop the loop for longer
than an election takes. So an entry has a budget (`handling.Budget`); what it does not reach is kept as
`State.unsettled`, in snapshots too, and counts as a timer that is due: the leader proposes `AdvanceTime`
until nothing is left, and so does the next leader. Small runs are settled within their own entry.

Two kinds, so that the end is always what an unbounded budget would have led to at once:

- *Tellings*: children hear how their parent ended. Jobs that run know how their own parents ended, so
  more may end meanwhile: each joins the end of the line, and everything is stamped with the time at which
  it began. Nothing is refused, which matters where a thousand jobs end in front of a thousand children.
- *Operations*: starting a run whose jobs have delays, cancelling a run or a job, retrying one, changing
  a run (`mutations.py`). Each is
  alone at its run, from a settled start to a settled end. What the run looked like halfway has no meaning
  that people or commands could build on.

One thing depends on the budget all the same: of several runs that wait for what one budget of jobs has left
(`payments.py`), one that is not settled is paid after those that are.

Whatever needs the run settled is refused with `settling`, an answer for the leader alone: it holds the
command back and proposes it again when the run is settled. Of a lock inside the log and a queue of
commands inside the state, the first needs no second kind of outcome and no order of its own.

Owns the bookkeeping. What the work does is in `jobs.py`, `cancels.py`, `reruns.py` and `mutations.py`;
`carry.py` goes on with it.
"""

from __future__ import annotations

from typing import Final

from titan.fsm.handling import Turn
from titan.fsm.outcomes import SETTLING, Rejected
from titan.fsm.records.unsettled import (
    CancellingJob,
    CancellingRun,
    Mutating,
    Operation,
    Telling,
    Unsettled,
)
from titan.fsm.state import Job, Run, State
from titan.fsm.triggers import as_parent
from titan.ids import AttemptId, RunId

_SUPERSEDED: Final = Rejected("attempt_not_live", "the attempt that asks was superseded")
SINCE: Final = 2  # the version of the cluster from which entries have a budget


def why_not_now(state: State, run: Run) -> Rejected | None:
    """Why a command that is about the whole run must wait; None when it is settled.

    From here on nothing joins the line, so that a run where jobs end all the time is settled soon.
    """
    unsettled = state.unsettled.get(run.id)
    if unsettled is None:
        return None
    unsettled.is_wanted = True
    return _refusal(run, unsettled)


def why_not_job(state: State, run: Run, job: Job) -> Rejected | None:
    """Why a command about one job that is ready or runs must wait; None when it need not.

    One that waits for a parent again, though it runs, would have to know first how that parent ended.
    """
    unsettled = state.unsettled.get(run.id)
    if unsettled is None:
        return None
    if not job.waiting_for and not is_closed(state, run.id):
        return None
    return _refusal(run, unsettled)


def why_not_live(state: State, number: AttemptId) -> Rejected | None:
    """Why an attempt that asks for something was superseded, or must wait to be told whether it was."""
    attempt = state.attempts.get(number)
    if attempt is None:
        return _SUPERSEDED
    unsettled = state.unsettled.get(attempt.run)
    if unsettled is None:
        return None
    if isinstance(unsettled.operation, CancellingRun):
        return _SUPERSEDED
    if isinstance(unsettled.operation, CancellingJob | Mutating):
        return _refusal(state.runs[attempt.run], unsettled)
    return None


def _refusal(run: Run, unsettled: Unsettled) -> Rejected:
    return Rejected(SETTLING, f"run {run.id}: {about(unsettled)} is under way", run=run.id)


def is_closed(state: State, run: RunId) -> bool:
    """Whether no job of the run can be assigned before it is settled."""
    unsettled = state.unsettled.get(run)
    return unsettled is not None and (unsettled.operation is not None or unsettled.is_wanted)


def why_waits(state: State, run: Run, job: Job) -> str:
    """What has to be carried out before the job's turn, in words; "" when it is nothing of the kind."""
    unsettled = state.unsettled.get(run.id)
    if unsettled is None:
        return ""
    is_untold = job.waiting_for and all(
        as_parent(run, run.jobs[name]).is_over for name in job.parents
    )
    return about(unsettled) if is_untold or is_closed(state, run.id) else ""


def operation_at(state: State, run: Run) -> Operation | None:
    """What the run is locked for."""
    unsettled = state.unsettled.get(run.id)
    return None if unsettled is None else unsettled.operation


def about(unsettled: Unsettled) -> str:
    """What is going on, in words."""
    operation = unsettled.operation
    return "what follows from ended jobs" if operation is None else operation.about


def keep_operation(turn: Turn, run: Run, operation: Operation) -> None:
    """The operation did not come to its end in this entry. The run was settled before."""
    assert run.id not in turn.state.unsettled
    now_ms = turn.at.now_ms
    turn.state.unsettled[run.id] = Unsettled(operation=operation, last_ms=now_ms)


def keep_telling(turn: Turn, run: Run, telling: Telling) -> None:
    """Not all children heard of it in this entry."""
    now_ms = turn.at.now_ms
    turn.state.unsettled[run.id] = Unsettled(tellings=[telling], last_ms=now_ms)


def join(turn: Turn, unsettled: Unsettled, telling: Telling) -> None:
    """Jobs have ended at a run that is not settled yet: their children hear of it later."""
    assert unsettled.operation is None
    unsettled.last_ms = turn.at.now_ms
    if telling.parents:
        unsettled.tellings.append(telling)
