"""The leader's time goes on, whatever the wall clocks do."""

from __future__ import annotations

from titan.master.clock import LeaderClock

HOUR_MS = 3_600_000


class Clocks:
    def __init__(self) -> None:
        self.wall_ms, self.monotonic_s, self.committed_ms = 10 * HOUR_MS, 5.0, 0
        self.clock = LeaderClock(
            wall_ms=lambda: self.wall_ms,
            monotonic_s=lambda: self.monotonic_s,
            committed_ms=lambda: self.committed_ms,
        )

    def pass_ms(self, ms: int) -> None:
        self.wall_ms += ms
        self.monotonic_s += ms / 1000


def test_it_is_the_wall_clock_when_nothing_is_wrong() -> None:
    clocks = Clocks()
    assert clocks.clock.now_ms() == clocks.wall_ms
    clocks.pass_ms(1500)
    assert clocks.clock.now_ms() == clocks.wall_ms


def test_time_goes_on_after_a_leader_whose_clock_was_ahead() -> None:
    clocks = Clocks()
    clocks.committed_ms = clocks.wall_ms + HOUR_MS
    began = clocks.clock.now_ms()
    clocks.pass_ms(1000)
    assert clocks.clock.now_ms() == began + 1000 > clocks.committed_ms


def test_time_goes_on_when_the_wall_clock_is_set_back() -> None:
    clocks = Clocks()
    began = clocks.clock.now_ms()
    clocks.wall_ms -= HOUR_MS
    clocks.pass_ms(1000)
    assert clocks.clock.now_ms() == began + 1000


def test_a_wall_clock_set_forward_is_followed() -> None:
    clocks = Clocks()
    clocks.clock.now_ms()
    clocks.wall_ms += HOUR_MS
    assert clocks.clock.now_ms() == clocks.wall_ms
