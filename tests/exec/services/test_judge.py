"""From answers to health: thresholds, the start period, and when there is no hope."""

from __future__ import annotations

from titan.exec.services.judge import Judge
from titan.spec.service import HealthSpec, RestartSpec


def judge(*, unhealthy_ms: int = 5000, **health: int) -> Judge:
    return Judge(HealthSpec(**health), RestartSpec(unhealthy_ms=unhealthy_ms), now_ms=0)


def heard(one: Judge, answers: str, *, from_ms: int = 0, step_ms: int = 1000) -> list[str]:
    """The health after each answer: + is well, - is not."""
    seen = []
    for number, answer in enumerate(answers):
        one.hear(ok=answer == "+", now_ms=from_ms + number * step_ms)
        seen.append(one.health)
    return seen


def test_failures_in_the_start_period_do_not_count_and_one_success_does() -> None:
    assert heard(judge(start_period_ms=30_000), "-----+") == [""] * 5 + ["healthy"]


def test_after_the_start_period_failures_count() -> None:
    one = judge(start_period_ms=2000, unhealthy_after=2)
    assert heard(one, "----") == ["", "", "", "unhealthy"]


def test_once_it_was_healthy_failures_count_within_the_start_period_too() -> None:
    assert heard(judge(unhealthy_after=2), "+-+--+") == [
        *["healthy"] * 4,
        "unhealthy",
        "healthy",
    ]


def test_successes_in_a_row_may_be_demanded() -> None:
    assert heard(judge(healthy_after=2), "+-++") == ["", "", "", "healthy"]


def test_only_changes_are_told() -> None:
    one = judge()
    assert [one.hear(ok=True, now_ms=n) for n in range(3)] == [True, False, False]


def test_unhealthy_for_too_long_is_hopeless() -> None:
    one = judge(unhealthy_after=1, unhealthy_ms=5000)
    heard(one, "+-", step_ms=1000)
    assert not one.is_hopeless(now_ms=5999)
    assert one.is_hopeless(now_ms=6000)
    never = judge(unhealthy_after=1, unhealthy_ms=0)
    heard(never, "+-")
    assert not never.is_hopeless(now_ms=10**9)


def test_a_new_service_is_asked_often_and_then_at_the_interval() -> None:
    one = judge(interval_ms=2000, start_period_ms=10_000)
    waits = []
    for now_ms in range(8):
        waits.append(one.next_in_ms(now_ms=now_ms))
        one.hear(ok=False, now_ms=now_ms)
    assert waits == [25, 50, 100, 200, 400, 500, 500, 500]
    assert one.next_in_ms(now_ms=10_000) == 2000
    one.hear(ok=True, now_ms=10)
    assert one.next_in_ms(now_ms=11) == 2000
