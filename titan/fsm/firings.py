"""What happens when a schedule fires: exactly once for each nominal time, whoever leads.

The leader may be late, deposed or two at once; a nominal time is accepted only when it is later than the
newest that has fired, by the declaration that is in force, and not before its time. So a firing is a step
of the state machine like any other, and its run has an id that no other firing can have.
"""

from __future__ import annotations

from hashlib import blake2b

from titan.fsm import budgets, cancels, pipelines, runs, settling, stages
from titan.fsm.commands import FireSchedule
from titan.fsm.events import ScheduleChanged
from titan.fsm.handling import Stamp, Turn, handles
from titan.fsm.outcomes import Outcome, Rejected
from titan.fsm.records.schedules import Backfill, Firing, Schedule
from titan.fsm.state import State
from titan.ids import RunId, run_id_of
from titan.limits import ERROR_TEXT_BYTES_MAX, SCHEDULE_FIRINGS_KEPT, SCHEDULE_QUEUE_MAX

PARAMETER = "scheduled_time_ms"  # how a run of a schedule learns its nominal time


@handles(FireSchedule)
def fire_schedule(state: State, cmd: FireSchedule, at: Stamp) -> Outcome:
    """A nominal time has come. Answers the outcome and the id of the run, if one was started."""
    schedule = state.schedules.get(cmd.name)
    if schedule is None:
        return Rejected("unknown_schedule", f"there is no schedule '{cmd.name}'")
    if cmd.revision != schedule.revision:
        return Rejected("stale_schedule", f"'{cmd.name}' was declared anew")
    refusal = _REFUSALS.get(cmd.kind, _unknown_kind)(schedule, cmd, at)
    refusal = refusal or _why_not_now(state, schedule)
    if refusal is not None:
        return refusal
    turn = Turn(state, at)
    forget_ended(state, schedule)
    firing = _fire(turn, schedule, cmd)
    turn.events.append(ScheduleChanged(cmd.name))
    return turn.done([firing.outcome, firing.run] if firing is not None else ["none", ""])


def _why_not_now(state: State, schedule: Schedule) -> Rejected | None:
    """Runs that are to be cancelled must be settled first."""
    if schedule.spec.overlap != "cancel_running":
        return None
    live = [state.runs[run] for run in schedule.live if is_live(state, run)]
    return next(filter(None, (settling.why_not_now(state, run) for run in live)), None)


# --- is it new, and is it time? -------------------------------------------------------------------


def _why_not_due(schedule: Schedule, cmd: FireSchedule, at: Stamp) -> Rejected | None:
    if schedule.is_paused:
        return Rejected("schedule_paused", f"'{cmd.name}' is paused")
    if cmd.nominal_ms <= schedule.last_nominal_ms:
        return Rejected("already_fired", f"'{cmd.name}' has fired for {cmd.nominal_ms}")
    if cmd.nominal_ms + jitter_of(schedule, cmd.nominal_ms) > at.now_ms:
        return Rejected("too_early", f"{cmd.nominal_ms} has not come")
    return None


def _why_not_queued(schedule: Schedule, cmd: FireSchedule, at: Stamp) -> Rejected | None:  # noqa: ARG001
    if not schedule.queue or schedule.queue[0] != cmd.nominal_ms:
        return Rejected("already_fired", f"{cmd.nominal_ms} is not the first that waits")
    return None


def _why_not_backfill(schedule: Schedule, cmd: FireSchedule, at: Stamp) -> Rejected | None:  # noqa: ARG001
    asked = schedule.backfill
    if asked is None or (cmd.nominal_ms and not asked.done_ms < cmd.nominal_ms < asked.until_ms):
        return Rejected("already_fired", f"{cmd.nominal_ms} is not to be made up for")
    return None


def _unknown_kind(schedule: Schedule, cmd: FireSchedule, at: Stamp) -> Rejected:  # noqa: ARG001
    return Rejected("invalid", f"there is no kind of firing '{cmd.kind}'")


_REFUSALS = {
    "due": _why_not_due,
    "missed": _why_not_due,
    "queued": _why_not_queued,
    "backfill": _why_not_backfill,
}


def jitter_of(schedule: Schedule, nominal_ms: int) -> int:
    """How long after its nominal time it fires: spread over `jitter_ms`, equal whoever asks."""
    if not schedule.spec.jitter_ms:
        return 0
    digest = blake2b(f"{schedule.name}\0{nominal_ms}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") % (schedule.spec.jitter_ms + 1)


# --- and then -------------------------------------------------------------------------------------


def _fire(turn: Turn, schedule: Schedule, cmd: FireSchedule) -> Firing | None:
    if cmd.kind == "backfill":
        return _fire_backfill(turn, schedule, cmd)
    if cmd.kind == "queued":
        if schedule.live:
            return None  # it waits on; the leader was early
        schedule.queue = schedule.queue[1:]
        return start(turn, schedule, nominal_ms=cmd.nominal_ms, kind="due")
    schedule.last_nominal_ms = cmd.nominal_ms
    if cmd.kind == "missed":
        return _note(turn, schedule, cmd, outcome="missed", why="nobody could fire it in time")
    overlap = schedule.spec.overlap if schedule.live or schedule.queue else "allow"
    if overlap == "skip":
        return _note(turn, schedule, cmd, outcome="skipped", why="the run before has not ended")
    if overlap == "queue":
        if len(schedule.queue) >= SCHEDULE_QUEUE_MAX:
            why = f"{SCHEDULE_QUEUE_MAX} firings wait already"
            return _note(turn, schedule, cmd, outcome="skipped", why=why)
        schedule.queue = (*schedule.queue, cmd.nominal_ms)
        return _note(turn, schedule, cmd, outcome="queued")
    if overlap == "cancel_running":
        for run in schedule.live:
            cancels.cancel_all(turn, turn.state.runs[run])
    return start(turn, schedule, nominal_ms=cmd.nominal_ms, kind="due", missed=cmd.missed)


def _fire_backfill(turn: Turn, schedule: Schedule, cmd: FireSchedule) -> Firing | None:
    asked = schedule.backfill
    assert asked is not None
    firing = None
    if cmd.nominal_ms:
        schedule.backfill = Backfill(asked.from_ms, asked.until_ms, cmd.nominal_ms)
        firing = start(turn, schedule, nominal_ms=cmd.nominal_ms, kind="backfill")
    if cmd.is_last:
        schedule.backfill = None
    return firing


def start(
    turn: Turn, schedule: Schedule, *, nominal_ms: int, kind: str, owner: str = "", missed: int = 0
) -> Firing:
    """Make the run of one firing, or note why there is none."""
    run = _run_id(turn, schedule, nominal_ms, kind=kind)
    why = _launch(turn, schedule, run, nominal_ms, owner=owner or schedule.owner)
    if not why:
        schedule.live = (*schedule.live, run)
    outcome = "failed" if why else "started"
    return _keep(
        schedule,
        Firing(
            nominal_ms,
            turn.at.now_ms,
            outcome,
            RunId("") if why else run,
            kind,
            why[:ERROR_TEXT_BYTES_MAX],
            missed,
        ),
    )


def _run_id(turn: Turn, schedule: Schedule, nominal_ms: int, *, kind: str) -> RunId:
    salt = turn.at.index if kind != "due" else 0  # asked for again, it is another run
    text = f"schedule\0{schedule.name}\0{schedule.created}\0{nominal_ms}\0{kind}\0{salt}"
    return run_id_of(int.from_bytes(blake2b(text.encode(), digest_size=13).digest(), "big"))


def _launch(turn: Turn, schedule: Schedule, run: RunId, nominal_ms: int, *, owner: str) -> str:
    state = turn.state
    if run in state.runs:
        return f"the id of its run, {run}, is taken"
    version = pipelines.find_version(state, schedule.pipeline, schedule.version)
    if isinstance(version, Rejected):
        return version.why
    made = pipelines.prepare(run, schedule.pipeline, version, schedule.parameters)
    if isinstance(made, Rejected):
        return made.why
    stage, last = made
    caller = runs.caller_of(state, turn.at)  # when a task has triggered it
    above = budgets.inherited(state, agent="", parent=caller)
    refusal = budgets.why_not_run(state, above, version.budget, run=run, jobs=len(last))
    if refusal is not None:
        return refusal.why
    stages.drop(state, run)
    stage.run.owner = owner
    stage.run.schedule = schedule.name
    stage.run.parameters = {PARAMETER: nominal_ms, **stage.run.parameters}
    runs.launch(turn, stage, last, above=above, own=version.budget)
    return ""


def _note(
    turn: Turn, schedule: Schedule, cmd: FireSchedule, *, outcome: str, why: str = ""
) -> Firing:
    return _keep(
        schedule,
        Firing(cmd.nominal_ms, turn.at.now_ms, outcome, why=why, missed=cmd.missed),
    )


def _keep(schedule: Schedule, firing: Firing) -> Firing:
    schedule.firings = (*schedule.firings[1 - SCHEDULE_FIRINGS_KEPT :], firing)
    return firing


def forget_ended(state: State, schedule: Schedule) -> None:
    """Runs that are over, or no longer remembered, hold nobody up."""
    schedule.live = tuple(run for run in schedule.live if is_live(state, run))


def is_live(state: State, run: RunId) -> bool:
    """Whether the run is there and has not ended."""
    found = state.runs.get(run)
    return found is not None and not found.ended_ms
