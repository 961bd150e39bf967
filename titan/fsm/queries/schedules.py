"""Questions about schedules, and the shapes of their answers."""

from __future__ import annotations

import msgspec

from titan.fsm.queries.base import Query
from titan.ids import RunId
from titan.spec.model import Scalar, ScheduleSpec


class ListSchedules(Query, frozen=True, kw_only=True, tag="schedules"):
    """Schedules by name → list[ScheduleView] without their firings."""

    limit: int = 1000
    after: str = ""  # the last name of the page before


class GetSchedule(Query, frozen=True, kw_only=True, tag="schedule"):
    """One schedule → ScheduleView."""

    name: str


class FiringView(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one nominal time. `outcome`: started, queued, skipped, missed or failed."""

    nominal_ms: int
    at_ms: int
    outcome: str
    run: RunId
    kind: str  # due | backfill | manual
    why: str
    missed: int  # nominal times before it that were passed over


class ScheduleView(msgspec.Struct, frozen=True, kw_only=True):
    """A schedule. When it fires next is for the reader's calendar to say: see `titan.spec.cron`."""

    name: str
    spec: ScheduleSpec
    pipeline: str
    version: int
    parameters: dict[str, Scalar]
    owner: str
    is_paused: bool
    last_nominal_ms: int  # firings are later than this
    queued: tuple[int, ...]
    live: tuple[RunId, ...]
    backfill_until_ms: int  # 0 when no range is being made up for
    backfill_done_ms: int
    firings: tuple[FiringView, ...] = ()  # the newest last
    last: FiringView | None = None  # the newest, in a list too
