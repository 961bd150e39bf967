"""Going on with what earlier entries left unsettled, a budget's worth at a time. See `settling.py`.

Runs take turns, so that a small one is not behind all of a large one. Everything is stamped with the
time at which it began: it ends as if there had been no budget.
"""

from __future__ import annotations

import heapq

from titan.fsm import cancels, jobs, mutations, reruns, runs
from titan.fsm.events import RunSettled
from titan.fsm.handling import Budget, Stamp, Turn
from titan.fsm.records.unsettled import (
    CancellingJob,
    CancellingRun,
    Mutating,
    Operation,
    Starting,
    Unsettled,
)
from titan.fsm.state import Run, Timer


def go_on(turn: Turn) -> None:
    """Settle what this entry's budget allows."""
    state, budget = turn.state, turn.at.budget
    while state.unsettled and budget.left > 0:
        run_id = next(iter(state.unsettled))
        unsettled = state.unsettled[run_id]
        run = state.runs[run_id]
        _go_on_with(turn, run, unsettled, budget=budget)
        del state.unsettled[run_id]
        if unsettled.operation is not None or unsettled.tellings:
            state.unsettled[run_id] = unsettled  # at the end: others have their turn before
        else:
            _unpark(turn, unsettled)
            turn.events.append(RunSettled(run_id))


def _go_on_with(turn: Turn, run: Run, unsettled: Unsettled, *, budget: Budget) -> None:
    operation = unsettled.operation
    if operation is not None:
        part = _as_of(turn, operation.now_ms)
        if _operate(part, run, operation, steps=budget.left):
            unsettled.operation = None
        jobs.refresh_run(part, run)
        return
    told = 0
    for telling in unsettled.tellings:
        if budget.left <= 0:
            break
        part = _as_of(turn, telling.now_ms)
        jobs.tell_children(part, run, telling, steps=budget.left)
        told += not telling.parents
    del unsettled.tellings[:told]
    jobs.refresh_run(part, run)


def _as_of(turn: Turn, now_ms: int) -> Turn:
    """The same turn at the time when something began."""
    at = Stamp(turn.at.index, now_ms, turn.at.epoch, turn.at.budget)
    return Turn(turn.state, at, turn.events)


def _operate(turn: Turn, run: Run, operation: Operation, *, steps: int) -> bool:
    if isinstance(operation, Starting):
        return runs.go_on_with_start(turn, run, operation, steps=steps)
    if isinstance(operation, CancellingRun):
        return cancels.go_on_with_run(turn, run, operation, steps=steps)
    if isinstance(operation, CancellingJob):
        return cancels.go_on_with_job(turn, run, operation, steps=steps)
    if isinstance(operation, Mutating):
        return mutations.go_on(turn, run, operation, steps=steps)
    return reruns.go_on_with_retry(turn, run, operation, steps=steps)


def _unpark(turn: Turn, unsettled: Unsettled) -> None:
    """Timers that fell due during an operation have their turn now."""
    for row in unsettled.parked:
        heapq.heappush(turn.state.timers, Timer(*row))
