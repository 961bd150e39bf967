"""Schedules as people set them: declaring, pausing, deleting, asking for a range again.

What fires, and what then happens, is in `firings.py`. When something is due is the leader's to compute
(`titan/master/timetable.py`), from what is here.
"""

from __future__ import annotations

import msgspec

from titan.fsm import pipelines
from titan.fsm.commands import (
    BackfillSchedule,
    DeleteSchedule,
    PauseSchedule,
    SetSchedule,
    TriggerSchedule,
)
from titan.fsm.events import ScheduleChanged
from titan.fsm.firings import start
from titan.fsm.handling import Stamp, Turn, handles
from titan.fsm.outcomes import Applied, Outcome, Rejected
from titan.fsm.records.schedules import Backfill, Schedule
from titan.fsm.state import State
from titan.limits import (
    BACKFILL_SPAN_MS_MAX,
    CRON_CHARS_MAX,
    DURATION_MS_MAX,
    JOB_SPEC_BYTES_MAX,
    NAME_CHARS_MAX,
    SCHEDULES_MAX,
)
from titan.spec.model import CATCHUPS, OVERLAPS, ScheduleSpec


@handles(SetSchedule)
def set_schedule(state: State, cmd: SetSchedule, at: Stamp) -> Outcome:
    """Declare or replace. Answers the revision."""
    refusal = _why_not(state, cmd)
    if refusal is not None:
        return refusal
    known = state.schedules.get(cmd.name)
    if known is None and len(state.schedules) >= SCHEDULES_MAX:
        return Rejected("too_large", f"there are {SCHEDULES_MAX} schedules; delete some")
    turn = Turn(state, at)
    schedule = known or Schedule(
        name=cmd.name, spec=cmd.spec, pipeline=cmd.pipeline, created=at.index
    )
    is_new_time = known is None or _times(known.spec) != _times(cmd.spec)
    schedule.spec, schedule.pipeline, schedule.version = cmd.spec, cmd.pipeline, cmd.version
    schedule.parameters, schedule.owner = cmd.parameters, cmd.owner
    schedule.revision, schedule.changed_ms = at.index, at.now_ms
    if known is None:
        schedule.is_paused = cmd.spec.paused
    if is_new_time:  # nothing of the past is due by a timetable that did not exist then
        schedule.last_nominal_ms = max(schedule.last_nominal_ms, at.now_ms)
        schedule.backfill = None
    state.schedules[cmd.name] = schedule
    turn.events.append(ScheduleChanged(cmd.name))
    return turn.done(at.index)


def _times(spec: ScheduleSpec) -> tuple[str, str]:
    return spec.cron, spec.timezone


def _why_not(state: State, cmd: SetSchedule) -> Rejected | None:
    spec = cmd.spec
    if not cmd.name or max(map(len, (cmd.name, cmd.owner, spec.timezone))) > NAME_CHARS_MAX:
        return Rejected("invalid", f"a name has 1 to {NAME_CHARS_MAX} characters")
    if not spec.cron or len(spec.cron) > CRON_CHARS_MAX:
        return Rejected("invalid", f"cron has 1 to {CRON_CHARS_MAX} characters")
    if spec.catchup not in CATCHUPS or spec.overlap not in OVERLAPS:
        return Rejected("invalid", "there is no such catchup or overlap")
    if not 0 <= spec.jitter_ms <= DURATION_MS_MAX:
        return Rejected("invalid", f"jitter_ms is 0 to {DURATION_MS_MAX}")
    if len(msgspec.msgpack.encode(cmd.parameters)) > JOB_SPEC_BYTES_MAX:
        return Rejected("too_large", f"parameters have at most {JOB_SPEC_BYTES_MAX} bytes")
    version = pipelines.find_version(state, cmd.pipeline, cmd.version)
    if isinstance(version, Rejected):
        return version
    return pipelines.why_not_given(cmd.pipeline, version, cmd.parameters)


@handles(DeleteSchedule)
def delete_schedule(state: State, cmd: DeleteSchedule, at: Stamp) -> Outcome:
    """Forget it. Answers whether it was there."""
    if state.schedules.pop(cmd.name, None) is None:
        return Applied(False)
    turn = Turn(state, at)
    turn.events.append(ScheduleChanged(cmd.name))
    return turn.done(True)


@handles(PauseSchedule)
def pause_schedule(state: State, cmd: PauseSchedule, at: Stamp) -> Outcome:
    """Rest or go on. Answers whether that changed anything."""
    schedule = state.schedules.get(cmd.name)
    if schedule is None:
        return _unknown(cmd.name)
    if schedule.is_paused == cmd.is_paused:
        return Applied(False)
    turn = Turn(state, at)
    schedule.is_paused = cmd.is_paused
    schedule.changed_ms = at.now_ms
    turn.events.append(ScheduleChanged(cmd.name))
    return turn.done(True)


@handles(TriggerSchedule)
def trigger_schedule(state: State, cmd: TriggerSchedule, at: Stamp) -> Outcome:
    """Start its pipeline now. Answers the outcome, the run's id, and why there is none."""
    schedule = state.schedules.get(cmd.name)
    if schedule is None:
        return _unknown(cmd.name)
    turn = Turn(state, at)
    firing = start(turn, schedule, nominal_ms=at.now_ms, kind="manual", owner=cmd.owner)
    turn.events.append(ScheduleChanged(cmd.name))
    return turn.done([firing.outcome, firing.run, firing.why])


@handles(BackfillSchedule)
def backfill_schedule(state: State, cmd: BackfillSchedule, at: Stamp) -> Outcome:
    """Ask for a range of nominal times again. One range at a time."""
    schedule = state.schedules.get(cmd.name)
    if schedule is None:
        return _unknown(cmd.name)
    if not 0 < cmd.from_ms < cmd.until_ms:
        return Rejected("invalid", "a range begins before it ends")
    if cmd.until_ms - cmd.from_ms > BACKFILL_SPAN_MS_MAX:
        return Rejected("too_large", f"a range spans at most {BACKFILL_SPAN_MS_MAX} ms")
    if schedule.backfill is not None:
        return Rejected("backfill_running", f"'{cmd.name}' is making up for another range")
    turn = Turn(state, at)
    schedule.backfill = Backfill(cmd.from_ms, cmd.until_ms, cmd.from_ms - 1)
    turn.events.append(ScheduleChanged(cmd.name))
    return turn.done(None)


def _unknown(name: str) -> Rejected:
    return Rejected("unknown_schedule", f"there is no schedule '{name[:200]}'")
