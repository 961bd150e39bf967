"""What a command on its way will make possible: assignments to propose with it, in the same entry.

A job of a chain then costs one durable round instead of two, and a submission starts its first jobs with
the round that makes it known. Only guesses what is nearly certain, and only where nobody else waits for
the room; the state machine judges each assignment after the command before it, so a wrong guess is refused
without effect, and the planner goes on as if it had not been made.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from titan.fsm.commands import AssignAttempt, Command, FinishAttempt, SubmitRun
from titan.fsm.declare import demand_of
from titan.fsm.policy import asks_first, may_be_timed
from titan.fsm.state import Job, JobState, Run, State
from titan.fsm.triggers import Verdict, verdict_at_end
from titan.fsm.unattended import asks_for_worker
from titan.ids import JobId
from titan.limits import FORESEEN_AMONG_MAX, FORESEEN_MAX
from titan.sched import filters
from titan.sched.nearness import nearest
from titan.sched.need import Need, need_of
from titan.sched.planner import Planner
from titan.sched.seat import FULL, Hold, Seat
from titan.spec import conditions
from titan.spec.model import UNATTENDED, JobSpec


def foresee(state: State, planner: Planner, command: Command) -> list[AssignAttempt]:
    """Proposals that make sense right behind `command`. Each counts as made until it is settled."""
    if isinstance(command, FinishAttempt):
        return _after_finish(state, planner, command)
    if isinstance(command, SubmitRun):
        return _after_submit(state, planner, command)
    return []


def _is_busy(planner: Planner) -> bool:
    """Whether others wait to be looked at, and have been waiting for longer."""
    return planner.is_behind or planner.queue.best() is not None


# --- a job will have ended ----------------------------------------------------------------------


def _after_finish(state: State, planner: Planner, command: FinishAttempt) -> list[AssignAttempt]:
    """The children that waited for this job alone, beginning with one in its own place."""
    attempt = state.attempts.get(command.attempt)
    if attempt is None or command.exit_code or command.cause or attempt.run in state.unsettled:
        return []
    run = state.runs[attempt.run]
    job = run.jobs[attempt.job]
    if not job.children or len(job.children) > FORESEEN_AMONG_MAX or _is_busy(planner):
        return []
    seat = planner.fleet.seats.get(attempt.worker)
    hold = None if seat is None else seat.held.get(attempt.id)
    if seat is None or hold is None:
        return []
    children = (run.jobs[name] for name in job.children)
    free = [child for child in children if _will_be_ready(run, child)]
    free.sort(key=lambda child: (-child.priority, child.seq))
    proposals: list[AssignAttempt] = []
    for child in free[:FORESEEN_MAX]:
        need, near = need_of(child.demand), nearest(state, run, child)
        is_at_home = not near or seat.id in near
        at = seat if hold is not None and is_at_home and _fits(planner, seat, need, hold) else None
        if at is not None:
            hold = None  # the place is taken again
        elif not near and not child.affinity:
            at = _elsewhere(planner, need)
        if at is None or planner.proposed_to(run.id, child.id) is not None:
            break  # those behind it are less urgent
        proposals.append(
            planner.propose(
                (run.id, child.id), at, need, run_name=run.name, is_pinned=child.affinity
            )
        )
    return proposals


def _will_be_ready(run: Run, child: Job) -> bool:
    """Whether nothing but one parent, which ends well, keeps the job from being assigned."""
    if child.state is not JobState.PENDING or child.waiting_for != 1 or child.not_before_ms:
        return False
    if child.live or child.unpaid or child.id in run.services or not asks_for_worker(child):
        return False
    if asks_first(child) or may_be_timed(child):
        return False
    verdict = verdict_at_end(child.trigger, JobState.COMPLETED, still_waiting=False)
    return verdict is Verdict.HOLDS


def _fits(planner: Planner, seat: Seat, need: Need, leaving: Hold) -> bool:
    """Whether the worker has room for the job once `leaving` has gone."""
    if _is_awaited(seat) or filters.closed(seat):
        return False
    if filters.lacks_tags(seat.capabilities, need.requirement):
        return False
    planner.fleet.take_off(seat, leaving)
    has_room = not filters.lacks_room(seat, need) and not filters.lacks_slots(seat, need)
    planner.fleet.try_on(seat, leaving)
    return has_room


# --- a run will be there --------------------------------------------------------------------------


def _after_submit(state: State, planner: Planner, command: SubmitRun) -> list[AssignAttempt]:
    """The first jobs of a small run."""
    if command.parts or command.run in state.runs or command.budget is not None:
        return []
    roots = [spec for spec in command.jobs if not spec.depends_on]
    if len(roots) > FORESEEN_AMONG_MAX or _is_busy(planner):
        return []  # a wide run gains nothing by an earlier start of a few
    proposals: list[AssignAttempt] = []
    for spec in _most_urgent([spec for spec in roots if _starts_at_once(spec)]):
        need = need_of(demand_of(spec))
        at = _elsewhere(planner, need)
        if at is None or planner.proposed_to(command.run, spec.id) is not None:
            break
        key = (command.run, JobId(spec.id))
        proposals.append(planner.propose(key, at, need, run_name=command.name))
    return proposals


def _most_urgent(specs: Sequence[JobSpec]) -> Iterable[JobSpec]:
    return sorted(specs, key=lambda spec: -spec.priority)[:FORESEEN_MAX]


def _starts_at_once(spec: JobSpec) -> bool:
    if spec.type in UNATTENDED or spec.type == "service" or spec.delay_ms or spec.queue_timeout_ms:
        return False
    return not spec.when and not conditions.is_foreach(spec)


# --- room -------------------------------------------------------------------------------------------


def _elsewhere(planner: Planner, need: Need) -> Seat | None:
    """The least loaded worker with room now that nobody waits for."""
    pool = planner.fleet.pool(need.shape)
    found = pool.pick(need, below=FULL, queued=False, veto=_is_awaited)
    pool.restore()
    return found


def _is_awaited(seat: Seat) -> bool:
    """Whether a job that is parked might want a place here: it goes first."""
    return bool(seat.waiting) or any(pool.parked for pool in seat.pools)
