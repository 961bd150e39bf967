"""Schedules, for code without asyncio: the twin of `schedules.py`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from titan.sdk.face import Face

if TYPE_CHECKING:
    from datetime import datetime

    from titan.fsm.queries import ScheduleView
    from titan.sdk.handles_face import RunHandle
    from titan.spec.model import Scalar


class SchedulesFace(Face):
    """Schedules of a client."""

    def set_schedule(
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

        `more`: timezone, catchup, overlap, jitter (seconds), paused. Answers its revision. Raises
        `InvalidSpec` with everything that is wrong, `NotFound` without such a pipeline.
        """
        work = self._here().set_schedule(
            name, cron, pipeline=pipeline, version=version, parameters=parameters, **more
        )
        return self._call(work)

    def list_schedules(self) -> list[ScheduleView]:
        """All schedules by name, without what they have fired."""
        return self._call(self._here().list_schedules())

    def get_schedule(self, name: str) -> ScheduleView:
        """One schedule, with what became of its newest firings. Raises `NotFound`."""
        return self._call(self._here().get_schedule(name))

    def pause_schedule(self, name: str) -> bool:
        """Let it rest; whether it did not before. Raises `NotFound`."""
        return self._call(self._here().pause_schedule(name))

    def resume_schedule(self, name: str) -> bool:
        """Let it go on; what it missed is treated as its `catchup` says. Raises `NotFound`."""
        return self._call(self._here().resume_schedule(name))

    def run_schedule(self, name: str) -> RunHandle:
        """Start its pipeline now, whatever is running. Raises `NotFound`, `InvalidSpec`."""
        return self._handle(self._here().run_schedule(name))

    def backfill_schedule(self, name: str, start: datetime, end: datetime) -> None:
        """Make up for the nominal times in [start, end), oldest first, a few runs at a time."""
        self._call(self._here().backfill_schedule(name, start, end))

    def delete_schedule(self, name: str) -> bool:
        """Forget it; whether it was there. Runs that it started go on."""
        return self._call(self._here().delete_schedule(name))
