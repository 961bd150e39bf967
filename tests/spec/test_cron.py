"""Firings of cron expressions, compared with an oracle that knows only dates and offsets."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from itertools import takewhile
from zoneinfo import ZoneInfo

import pytest

from titan.spec.cron import Calendar

ZONES = (
    "UTC", "Europe/Berlin", "Europe/London", "America/New_York", "America/Los_Angeles",
    "America/Sao_Paulo", "America/St_Johns", "America/Havana", "Asia/Tokyo", "Asia/Kolkata",
    "Asia/Tehran", "Asia/Beirut", "Asia/Gaza", "Australia/Sydney", "Australia/Lord_Howe",
    "Africa/Cairo", "Africa/Casablanca", "Pacific/Apia", "Pacific/Chatham", "Atlantic/Azores",
)  # fmt: skip
START, YEARS = datetime(2015, 1, 1, tzinfo=UTC), 10

# hour and minute sets of "fixed" expressions, with a test for the date
FIXED = {
    "0,30 2 * * *": ((2,), (0, 30), lambda day: True),
    "15 0,1 * * *": ((0, 1), (15,), lambda day: True),
    "15 3 * * SUN": ((3,), (15,), lambda day: day.weekday() == 6),
    "0 1 1 * *": ((1,), (0,), lambda day: day.day == 1),
    "59 23 29 2 *": ((23,), (59,), lambda day: (day.month, day.day) == (2, 29)),
}


def ms(moment: datetime) -> int:
    return round(moment.timestamp()) * 1000


def exists(naive: datetime, zone: ZoneInfo) -> bool:
    there = naive.replace(tzinfo=zone).astimezone(UTC).astimezone(zone)
    return there.replace(tzinfo=None) == naive


def fixed_oracle(expression: str, zone: ZoneInfo) -> Iterator[int]:
    """Times of day: the first of two; right after the change when the clock skipped it."""
    hours, minutes, on = FIXED[expression]
    day = date(2014, 12, 30)
    while day < date(2025, 1, 3):
        if on(day):
            for hour in hours:
                for minute in minutes:
                    naive = datetime(day.year, day.month, day.day, hour, minute)
                    while not exists(naive, zone):
                        naive += timedelta(minutes=1)
                    yield ms(naive.replace(tzinfo=zone, fold=0))
        day += timedelta(days=1)


def until(end_ms: int, firings: Iterator[int]) -> list[int]:
    return list(takewhile(lambda at: at < end_ms, firings))


def within(firings: Iterator[int]) -> list[int]:
    first, last = ms(START), ms(START.replace(year=START.year + YEARS))
    return list(takewhile(lambda at: at <= last, (at for at in firings if at > first)))


@pytest.mark.parametrize("name", ZONES)
def test_times_of_day_fire_once_each_through_ten_years_of_clock_changes(name: str) -> None:
    zone = ZoneInfo(name)
    for expression in FIXED:
        wanted = sorted(set(fixed_oracle(expression, zone)))
        found = within(Calendar(expression, timezone=name).firings(ms(START)))
        assert found == within(iter(wanted)), expression


@pytest.mark.parametrize("name", ZONES)
def test_what_a_star_says_goes_by_elapsed_time(name: str) -> None:
    """Around every change of the offset: each quarter hour of local time, as often as it comes."""
    zone = ZoneInfo(name)
    calendar = Calendar("*/15 * * * *", timezone=name)
    for change in changes(zone):
        start, end = change - timedelta(hours=6), change + timedelta(hours=6)
        wanted = [
            ms(start + timedelta(minutes=minute))
            for minute in range(1, 720)
            if (start + timedelta(minutes=minute)).astimezone(zone).minute % 15 == 0
        ]
        assert until(ms(end), calendar.firings(ms(start))) == wanted, change


def changes(zone: ZoneInfo) -> Iterator[datetime]:
    """The hours in which the zone's offset changes."""
    day = START
    while day.year < START.year + YEARS:
        hours = [day + timedelta(hours=hour) for hour in range(25)]
        if hours[0].astimezone(zone).utcoffset() != hours[24].astimezone(zone).utcoffset():
            offsets = [hour.astimezone(zone).utcoffset() for hour in hours]
            yield next(hours[n] for n in range(1, 25) if offsets[n] != offsets[n - 1])
        day = hours[24]


@pytest.mark.parametrize("name", ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe"])
def test_asking_again_from_any_moment_goes_on_with_the_same_firings(name: str) -> None:
    calendar = Calendar("0,30 0-3 * * *", timezone=name)
    zone = ZoneInfo(name)
    for change in changes(zone):
        start = ms(change - timedelta(hours=30))
        whole = list(
            takewhile(lambda at, last=start + 216_000_000: at < last, calendar.firings(start))
        )
        for after in range(start, start + 216_000_000, 600_000):
            first = next(at for at in (*whole, None) if at is None or at > after)
            if first is not None:
                assert calendar.next_after(after) == first


def test_an_expression_is_said_in_words() -> None:
    assert Calendar("30 2 * * 1-5").words() == "At 02:30 on Monday through Friday"
    assert Calendar("@daily").words() == "At 00:00 every day"


def test_seconds_and_nicknames() -> None:
    start = ms(datetime(2026, 1, 1, tzinfo=UTC))
    assert Calendar("*/20 * * * * *").next_after(start) == start + 20_000
    assert Calendar("@daily").next_after(start) == start + 86_400_000


@pytest.mark.parametrize(
    ("expression", "timezone", "words"),
    [
        ("61 * * * *", "UTC", "bad minute"),
        ("* * *", "UTC", "five fields"),
        ("0 0 30 2 *", "UTC", "not a cron expression"),
        ("@fortnightly", "UTC", "nicknames are @yearly"),
        ("", "UTC", "five fields"),
        ("0 0 * * *", "Europe/Berlim", "Europe/Berlin"),
        ("0 0 * * *", "../../etc/passwd", "no time zone"),
        ("0 0 * * *", "", "no time zone"),
    ],
)
def test_what_is_wrong_is_said(expression: str, timezone: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Calendar(expression, timezone=timezone)
