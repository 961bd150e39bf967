"""When a schedule fires: cron expressions on the calendar of a time zone, clock changes included.

The arithmetic is cronsim's, which follows Debian's cron: a time of day that a clock change skips is made up
for right after the change, one that comes twice counts the first time, and what is said by a star (`*/10`,
`*`) goes by elapsed time. Expressions have five fields, or six with seconds in front, or are `@hourly` and
the like. Time zone data differs between machines, so only the leader asks; its answers enter the log.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from cronsim import CronSim, CronSimError

from titan.limits import CRON_CHARS_MAX
from titan.spec.problems import did_you_mean

NICKNAMES: Final = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_TRIES: Final = 200  # times of day that one clock change may hide; there are far fewer


class Calendar:
    """The firings of one expression in one time zone, as milliseconds since 1970."""

    def __init__(self, expression: str, *, timezone: str = "UTC") -> None:
        """Raises `ValueError` that says what is wrong with either."""
        self._fields = _checked(expression)
        self._zone = zone_of(timezone)

    def next_after(self, after_ms: int) -> int | None:
        """The first firing later than `after_ms`; None when there is none within 50 years."""
        return next(self.firings(after_ms), None)

    def firings(self, after_ms: int) -> Iterator[int]:
        """All firings later than `after_ms`, each once, in order."""
        last_ms = after_ms
        stale = 0
        for at_ms in self._raw(after_ms):
            # What a clock change skipped or repeats can come out early or twice.
            if at_ms > last_ms:
                last_ms, stale = at_ms, 0
                yield at_ms
            else:
                stale += 1
                if stale > _TRIES:
                    return

    def _raw(self, after_ms: int) -> Iterator[int]:
        start = datetime.fromtimestamp(after_ms // 1000, UTC).astimezone(self._zone)
        try:
            for moment in CronSim(self._fields, start):
                yield round(moment.timestamp()) * 1000
        except OverflowError:  # the calendar ends in the year 9999
            return

    def words(self) -> str:
        """The expression in words, for people."""
        return CronSim(self._fields, datetime(2024, 1, 1, tzinfo=UTC)).explain()

    def offset(self, at_ms: int) -> str:
        """How far the zone's clocks are from UTC at that moment, as "+0200"."""
        return datetime.fromtimestamp(at_ms / 1000, UTC).astimezone(self._zone).strftime("%z")

    def local(self, at_ms: int) -> str:
        """The moment in the zone's own time, with its offset."""
        moment = datetime.fromtimestamp(at_ms / 1000, UTC).astimezone(self._zone)
        return moment.strftime("%a %Y-%m-%d %H:%M:%S %Z (%z)")


def zone_of(name: str) -> ZoneInfo:
    """The time zone. Raises `ValueError` with the nearest name."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        near = did_you_mean(name, available_timezones())
        raise ValueError(f"there is no time zone {name!r}{near}") from None


def _checked(expression: str) -> str:
    text = expression.strip()
    fields = NICKNAMES.get(text.lower(), text)
    if len(text) > CRON_CHARS_MAX or fields.startswith("@"):
        known = ", ".join(NICKNAMES)
        raise ValueError(f"not a cron expression: {text[:60]!r}; nicknames are {known}")
    try:
        simulation = CronSim(fields, datetime(2024, 1, 1, tzinfo=UTC))
        if next(simulation, None) is None:
            raise CronSimError("It never fires")
    except CronSimError as error:
        raise ValueError(
            f"{text!r} is not a cron expression ({str(error).lower()}); "
            "five fields: minute hour day-of-month month day-of-week, six with seconds in front"
        ) from None
    return fields
