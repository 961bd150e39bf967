"""Schedules: saved pipelines that start by themselves."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from titan.errors import InvalidSpec
from titan.fsm.commands import (
    BackfillSchedule,
    DeleteSchedule,
    PauseSchedule,
    SetSchedule,
    TriggerSchedule,
)
from titan.fsm.queries import GetSchedule, ListSchedules, ScheduleView
from titan.limits import LIST_PAGE_MAX
from titan.sdk.given import owner
from titan.sdk.handles import AsyncRunHandle
from titan.sdk.pipelines import PipelinesApi
from titan.spec.inputs import scalars
from titan.spec.model import Scalar, ScheduleSpec


class SchedulesApi(PipelinesApi):
    """Schedules of a client."""

    async def set_schedule(
        self,
        name: str,
        cron: str | Mapping[str, Any],
        *,
        pipeline: str | None = None,
        version: int | None = None,
        parameters: Mapping[str, Scalar] | None = None,
        **more: Any,
    ) -> int:
        """Start a saved pipeline, by default the one of that name, whenever `cron` says.

        `cron`: an expression, or a mapping as in YAML; `more`: timezone, catchup, overlap, jitter
        (seconds), paused. Replaces a schedule of the same name. Answers its revision. Raises
        `InvalidSpec` with everything that is wrong, `NotFound` without such a pipeline.
        """
        spec = read_schedule({"cron": cron, **more} if isinstance(cron, str) else {**cron, **more})
        return int(
            await self._write(
                SetSchedule(
                    name=name,
                    spec=spec,
                    pipeline=pipeline or name,
                    version=version or 0,
                    parameters=scalars(parameters or {}),
                    owner=owner(),
                )
            )
        )

    async def list_schedules(self) -> list[ScheduleView]:
        """All schedules by name, without what they have fired."""
        found: list[ScheduleView] = []
        while True:
            after = found[-1].name if found else ""
            page = await self._read(ListSchedules(after=after), list[ScheduleView])
            found += page
            if len(page) < LIST_PAGE_MAX:
                return found

    async def get_schedule(self, name: str) -> ScheduleView:
        """One schedule, with what became of its newest firings. Raises `NotFound`."""
        return await self._read(GetSchedule(name=name), ScheduleView)

    async def pause_schedule(self, name: str) -> bool:
        """Let it rest; whether it did not before. Raises `NotFound`."""
        return bool(await self._write(PauseSchedule(name=name, is_paused=True)))

    async def resume_schedule(self, name: str) -> bool:
        """Let it go on; what it missed is treated as its `catchup` says. Raises `NotFound`."""
        return bool(await self._write(PauseSchedule(name=name, is_paused=False)))

    async def run_schedule(self, name: str) -> AsyncRunHandle:
        """Start its pipeline now, whatever is running. Raises `NotFound`, `InvalidSpec`."""
        outcome, run, why = await self._write(TriggerSchedule(name=name, owner=owner()))
        if outcome != "started":
            raise InvalidSpec(why)
        return AsyncRunHandle(self, run)

    async def backfill_schedule(self, name: str, start: datetime, end: datetime) -> None:
        """Make up for the nominal times in [start, end), oldest first, four runs at a time.

        Times without a zone are UTC. Raises `NotFound`, and `Conflict` while another range is on.
        """
        command = BackfillSchedule(name=name, from_ms=_ms(start), until_ms=_ms(end))
        await self._write(command)

    async def delete_schedule(self, name: str) -> bool:
        """Forget it; whether it was there. Runs that it started go on."""
        return bool(await self._write(DeleteSchedule(name=name)))


def read_schedule(given: Mapping[str, Any]) -> ScheduleSpec:
    """The schedule that the mapping declares. Raises `InvalidSpec` with everything that is wrong."""
    from titan.spec.schedules import schedule

    try:
        spec = schedule(given)
    except ValueError as error:
        raise InvalidSpec(f"schedule: {error}") from None
    assert spec is not None
    return spec


def _ms(moment: datetime) -> int:
    there = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    return round(there.timestamp() * 1000)
