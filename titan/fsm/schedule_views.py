"""What people see of schedules."""

from __future__ import annotations

import msgspec

from titan.errors import NotFound
from titan.fsm.firings import is_live
from titan.fsm.queries import FiringView, GetSchedule, ListSchedules, ScheduleView
from titan.fsm.records.schedules import Firing, Schedule
from titan.fsm.state import State
from titan.limits import LIST_PAGE_MAX


def schedule_view(state: State, schedule: Schedule, *, with_firings: bool) -> ScheduleView:
    """A schedule as people see it."""
    asked = schedule.backfill
    return ScheduleView(
        name=schedule.name,
        spec=schedule.spec,
        pipeline=schedule.pipeline,
        version=schedule.version,
        parameters=schedule.parameters,
        owner=schedule.owner,
        is_paused=schedule.is_paused,
        last_nominal_ms=schedule.last_nominal_ms,
        queued=schedule.queue,
        live=tuple([run for run in schedule.live if is_live(state, run)]),
        backfill_until_ms=asked.until_ms if asked else 0,
        backfill_done_ms=asked.done_ms if asked else 0,
        firings=tuple([_firing(each) for each in schedule.firings] if with_firings else []),
        last=_firing(schedule.firings[-1]) if schedule.firings else None,
    )


def _firing(firing: Firing) -> FiringView:
    return FiringView(**msgspec.structs.asdict(firing))


def list_schedules(state: State, query: ListSchedules) -> list[ScheduleView]:
    """Answers `ListSchedules`."""
    names = sorted(name for name in state.schedules if name > query.after)
    page = names[: max(1, min(query.limit, LIST_PAGE_MAX))]
    return [schedule_view(state, state.schedules[name], with_firings=False) for name in page]


def get_schedule(state: State, query: GetSchedule) -> ScheduleView:
    """Answers `GetSchedule`."""
    schedule = state.schedules.get(query.name)
    if schedule is None:
        raise NotFound(f"there is no schedule '{query.name}'")
    return schedule_view(state, schedule, with_firings=True)
