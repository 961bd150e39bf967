"""Orders about schedules. Handlers: `schedules.py`, `firings.py`."""

from __future__ import annotations

from typing import ClassVar

from titan.fsm.commands.base import ClientCommand, Command
from titan.spec.model import Scalar, ScheduleSpec


class SetSchedule(ClientCommand, frozen=True, kw_only=True, tag="schedule.set"):
    """Start a saved pipeline at certain times; replaces the schedule of that name and keeps its history.
    Answers the revision."""

    since: ClassVar[int] = 2

    name: str
    spec: ScheduleSpec
    pipeline: str
    version: int = 0  # 0: the latest at each firing
    parameters: dict[str, Scalar] = {}
    owner: str = ""


class DeleteSchedule(ClientCommand, frozen=True, kw_only=True, tag="schedule.delete"):
    """Forget a schedule. Runs that it started go on."""

    since: ClassVar[int] = 2

    name: str


class PauseSchedule(ClientCommand, frozen=True, kw_only=True, tag="schedule.pause"):
    """Let a schedule rest, or go on; what it missed meanwhile is treated as its `catchup` says."""

    since: ClassVar[int] = 2

    name: str
    is_paused: bool


class TriggerSchedule(ClientCommand, frozen=True, kw_only=True, tag="schedule.trigger"):
    """Start its pipeline now, whatever is running. Answers `[outcome, run, why]`."""

    since: ClassVar[int] = 2

    name: str
    owner: str = ""


class BackfillSchedule(ClientCommand, frozen=True, kw_only=True, tag="schedule.backfill"):
    """Make up for the nominal times in [from, until), oldest first, a few at a time."""

    since: ClassVar[int] = 2

    name: str
    from_ms: int
    until_ms: int


class FireSchedule(Command, frozen=True, kw_only=True, tag="schedule.fire"):
    """The leader: this nominal time has come. Accepted once for each.

    `kind`: due, missed (too late: it is only noted), queued (it waited for the run before it) or
    backfill. `missed` nominal times before it are passed over. `is_last` ends a backfill; then
    `nominal_ms` 0 fires nothing.
    """

    since: ClassVar[int] = 2

    name: str
    revision: int
    nominal_ms: int
    kind: str = "due"
    missed: int = 0
    is_last: bool = False
