"""Schedules over HTTP: what fires when, what became of it, and setting them.

The calendar is this master's own time zone data; when something really fires is the leader's to say.
"""

from __future__ import annotations

import time
from itertools import islice, pairwise
from typing import Annotated, Final

import msgspec

from titan.errors import InvalidSpec, UserError
from titan.fsm.commands import (
    BackfillSchedule,
    ClientCommand,
    DeleteSchedule,
    PauseSchedule,
    SetSchedule,
    TriggerSchedule,
)
from titan.fsm.queries import GetSchedule, ListSchedules, ScheduleView
from titan.ids import RunId
from titan.limits import LIST_PAGE_MAX
from titan.master.http.api import Api, Done
from titan.master.http.runs import ReadQuery
from titan.master.http.table import Call, Endpoint, Page
from titan.spec.cron import Calendar
from titan.spec.inputs import scalars
from titan.spec.model import Scalar, ScheduleSpec
from titan.spec.schedules import schedule as read_spec

UPCOMING: Final = 10
RANGE_MAX: Final = 1000  # firings of a range that are counted; beyond it there are "more"
_MS_MAX: Final = 253_402_300_799_000  # the calendar ends in the year 9999
_Moment = Annotated[int, msgspec.Meta(ge=0, le=_MS_MAX)]


class SchedulesQuery(msgspec.Struct, frozen=True, kw_only=True):
    """A page of names; `after` is the cursor."""

    limit: int = LIST_PAGE_MAX
    after: str = ""
    consistent: bool = False


class CronQuery(msgspec.Struct, frozen=True, kw_only=True):
    """An expression in a zone. Times are later than `after_ms` (0: now), and earlier than `until_ms`."""

    cron: str
    timezone: str = "UTC"
    count: Annotated[int, msgspec.Meta(ge=1, le=RANGE_MAX)] = UPCOMING
    after_ms: _Moment = 0
    until_ms: _Moment = 0


class Nominal(msgspec.Struct, frozen=True):
    """A time at which something fires; `local`: in the zone's own time. `note` tells of a clock change."""

    at_ms: int
    local: str
    note: str


class Explained(msgspec.Struct, frozen=True):
    """An expression in words, and its next times. `count` firings lie before `until_ms`, if that was
    given; `more`: they were too many to count."""

    words: str
    firings: list[Nominal]
    count: int
    more: bool


class Scheduled(msgspec.Struct, frozen=True):
    """A schedule with its times. `next_ms` is null while it is paused, or when it never fires again."""

    schedule: ScheduleView
    words: str
    next_ms: int | None
    upcoming: list[Nominal]


class Timing(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a schedule is to be, as in YAML: `jitter` in seconds, `version` 0 for the latest at each
    firing. `paused` is how it begins; it changes nothing of a schedule that is there."""

    cron: str
    timezone: str = "UTC"
    catchup: str = "none"
    overlap: str = "allow"
    jitter: float = 0
    paused: bool = False
    pipeline: str = ""
    version: Annotated[int, msgspec.Meta(ge=0)] = 0
    parameters: dict[str, Scalar] = {}
    owner: str = ""


class Span(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The nominal times from `from_ms` on and before `until_ms`."""

    from_ms: _Moment
    until_ms: _Moment


class Effect(msgspec.Struct, frozen=True):
    """Whether it changed anything."""

    index: int
    changed: bool


class Revision(msgspec.Struct, frozen=True):
    """The schedule is as asked, as of this revision."""

    index: int
    revision: int


class Triggered(msgspec.Struct, frozen=True):
    """The run that was started."""

    index: int
    run: RunId


# --- reading --------------------------------------------------------------------------------------


async def list_schedules(api: Api, call: Call) -> Page[Scheduled]:
    """By name, each with its last firing and its next time."""
    query: SchedulesQuery = call.query
    limit = max(1, min(query.limit, LIST_PAGE_MAX))
    found: list[ScheduleView] = api.read(ListSchedules(limit=limit, after=query.after))
    items = [scheduled(one, count=1) for one in found]
    return Page(items, found[-1].name if len(found) == limit else None)


async def get_schedule(api: Api, call: Call) -> Scheduled:
    """With its newest firings and the next ten times."""
    return scheduled(api.read(GetSchedule(name=call.path["name"])), count=UPCOMING)


def scheduled(view: ScheduleView, *, count: int) -> Scheduled:
    """The schedule with its next times. A zone that this master does not know has none."""
    try:
        calendar = Calendar(view.spec.cron, timezone=view.spec.timezone)
    except ValueError as why:
        return Scheduled(view, str(why), None, [])
    after_ms = max(view.last_nominal_ms, _now_ms())
    times = _nominals(calendar, list(islice(calendar.firings(after_ms), count)))
    next_ms = times[0].at_ms if times and not view.is_paused else None
    return Scheduled(view, calendar.words(), next_ms, times)


async def explain(api: Api, call: Call) -> Explained:
    """Without a schedule: what an expression means. 422 says what is wrong with it."""
    query: CronQuery = call.query
    try:
        calendar = Calendar(query.cron, timezone=query.timezone)
    except ValueError as why:
        raise InvalidSpec(problems=(str(why),)) from None
    times = list(islice(calendar.firings(query.after_ms or _now_ms()), RANGE_MAX + 1))
    inside = [at for at in times if not query.until_ms or at < query.until_ms]
    return Explained(
        calendar.words(),
        _nominals(calendar, inside[: query.count]),
        min(len(inside), RANGE_MAX) if query.until_ms else 0,
        bool(query.until_ms) and len(inside) > RANGE_MAX,
    )


def _nominals(calendar: Calendar, times: list[int]) -> list[Nominal]:
    """With a note where the clocks change between two of them."""
    offsets = [calendar.offset(at) for at in times]
    notes = [""] + [
        f"clocks change: {before} → {now}" if before != now else ""
        for before, now in pairwise(offsets)
    ]
    return [Nominal(at, calendar.local(at), note) for at, note in zip(times, notes, strict=False)]


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


# --- changing -------------------------------------------------------------------------------------


async def set_schedule(api: Api, call: Call) -> Revision:
    """Declare or replace; what it has fired stays. Without a pipeline it is that of its name."""
    asked: Timing = call.body
    name = call.path["name"]
    command = SetSchedule(
        name=name,
        spec=_spec(asked),
        pipeline=asked.pipeline or name,
        version=asked.version,
        parameters=_parameters(asked),
        owner=asked.owner,
    )
    done = await _write(api, call, command)
    return Revision(done.index, done.value)


def _spec(asked: Timing) -> ScheduleSpec:
    names = ("cron", "timezone", "catchup", "overlap", "jitter", "paused")
    try:
        spec = read_spec({name: getattr(asked, name) for name in names})
    except ValueError as why:
        raise InvalidSpec(problems=tuple(str(why).split("; "))) from None
    assert spec is not None
    return spec


def _parameters(asked: Timing) -> dict[str, Scalar]:
    try:
        return scalars(asked.parameters)
    except ValueError as why:
        raise UserError(f"parameters: {why}") from None


async def pause(api: Api, call: Call) -> Effect:
    """It rests; runs go on."""
    return await _pause(api, call, is_paused=True)


async def resume(api: Api, call: Call) -> Effect:
    """It goes on; what it missed is treated as its `catchup` says."""
    return await _pause(api, call, is_paused=False)


async def _pause(api: Api, call: Call, *, is_paused: bool) -> Effect:
    done = await _write(api, call, PauseSchedule(name=call.path["name"], is_paused=is_paused))
    return Effect(done.index, bool(done.value))


async def run_now(api: Api, call: Call) -> Triggered:
    """Whatever is running, and whether it is paused or not. 422 when the pipeline cannot start."""
    done = await _write(api, call, TriggerSchedule(name=call.path["name"]))
    outcome, run, why = done.value
    if outcome != "started":
        raise InvalidSpec(problems=(str(why),))
    return Triggered(done.index, RunId(run))


async def backfill(api: Api, call: Call) -> Effect:
    """Oldest first, a few runs at a time. `GET /api/v1/cron` counts them beforehand."""
    span: Span = call.body
    command = BackfillSchedule(name=call.path["name"], from_ms=span.from_ms, until_ms=span.until_ms)
    done = await _write(api, call, command)
    return Effect(done.index, True)


async def delete(api: Api, call: Call) -> Effect:
    """Forget it; runs that it started go on."""
    done = await _write(api, call, DeleteSchedule(name=call.path["name"]))
    return Effect(done.index, bool(done.value))


async def _write(api: Api, call: Call, command: ClientCommand) -> Done:
    return await api.write(command, key=call.idempotency_key)


_ALL: Final = "/api/v1/schedules"
_ONE: Final = "/api/v1/schedules/{name}"
ENDPOINTS: Final[tuple[Endpoint, ...]] = (
    Endpoint("GET", _ALL, list_schedules, "Schedules", Page[Scheduled], SchedulesQuery),
    Endpoint("GET", _ONE, get_schedule, "One schedule", Scheduled, ReadQuery),
    Endpoint("PUT", _ONE, set_schedule, "Set a schedule", Revision, body=Timing),
    Endpoint("DELETE", _ONE, delete, "Forget a schedule", Effect),
    Endpoint("POST", f"{_ONE}/pause", pause, "Let a schedule rest", Effect),
    Endpoint("POST", f"{_ONE}/resume", resume, "Let a schedule go on", Effect),
    Endpoint("POST", f"{_ONE}/run", run_now, "Start its pipeline now", Triggered),
    Endpoint("POST", f"{_ONE}/backfill", backfill, "Make up for a range", Effect, body=Span),
    Endpoint("GET", "/api/v1/cron", explain, "What a cron expression means", Explained, CronQuery),
)
