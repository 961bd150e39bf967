"""Deadlines refuse who has no answer, in order, and cost one timer however many wait."""

from __future__ import annotations

import asyncio

import pytest

from titan.errors import TimedOut
from titan.wire.deadlines import Deadlines


def deadlines() -> Deadlines:
    return Deadlines(
        asyncio.get_running_loop(), refusal=lambda seconds: TimedOut(f"not in {seconds:g} s")
    )


async def test_who_has_no_answer_is_refused_and_others_wait_on() -> None:
    watched, loop = deadlines(), asyncio.get_running_loop()
    late, soon, patient = loop.create_future(), loop.create_future(), loop.create_future()
    watched.set(patient, timeout_s=60)
    watched.set(late, timeout_s=0.02)
    watched.set(soon, timeout_s=0)
    with pytest.raises(TimedOut, match="not in 0 s"):
        await soon
    with pytest.raises(TimedOut, match=r"not in 0\.02 s"):
        await late
    assert not patient.done()
    watched.close()


async def test_who_was_answered_is_not_refused() -> None:
    watched, loop = deadlines(), asyncio.get_running_loop()
    answered, forgotten, last = (loop.create_future() for _ in range(3))
    for future in (answered, forgotten):
        watched.set(future, timeout_s=0.01)
    watched.set(last, timeout_s=0.02)
    answered.set_result(1)
    watched.forget(forgotten)
    with pytest.raises(TimedOut):
        await last
    assert answered.result() == 1
    assert not forgotten.done()


async def test_after_the_end_nobody_is_refused() -> None:
    watched, loop = deadlines(), asyncio.get_running_loop()
    future = loop.create_future()
    watched.set(future, timeout_s=0.01)
    watched.close()
    other, later = deadlines(), loop.create_future()
    other.set(later, timeout_s=0.02)
    with pytest.raises(TimedOut):
        await later
    assert not future.done()
