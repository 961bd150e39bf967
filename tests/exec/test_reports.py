from __future__ import annotations

import asyncio

import pytest

from tests.exec.support import CoreDriver, order
from titan import limits
from titan.exec.reports import Reports
from titan.ids import AttemptId
from titan.limits import PREFILL_PLENTY
from titan.wire.messages import AttemptEnded, Message


class Leader:
    def __init__(self) -> None:
        self.heard: list[int] = []

    def __call__(self, message: Message) -> bool:
        assert isinstance(message, AttemptEnded)
        self.heard.append(message.attempt)
        return True


def ended(number: int) -> AttemptEnded:
    return AttemptEnded(attempt=AttemptId(number), exit_code=0)


async def test_a_result_that_somebody_waits_for_is_told_at_once_with_all_before_it() -> None:
    leader = Leader()
    reports = Reports(leader)
    reports.add(ended(1), may_wait=True)
    reports.add(ended(2), may_wait=True)
    assert leader.heard == []
    reports.add(ended(3), may_wait=False)
    assert leader.heard == [1, 2, 3]


async def test_results_that_may_wait_are_told_together_soon_after(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limits, "RESULTS_WAIT_S", 0.001)
    leader = Leader()
    reports = Reports(leader)
    reports.add(ended(1), may_wait=True)
    reports.add(ended(2), may_wait=True)
    async with asyncio.timeout(5):
        while leader.heard != [1, 2]:
            assert leader.heard == []
            await asyncio.sleep(0)
    reports.add(ended(3), may_wait=True)
    async with asyncio.timeout(5):
        while leader.heard != [1, 2, 3]:
            await asyncio.sleep(0)


async def test_no_more_than_a_bounded_number_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "RESULTS_TOGETHER_MAX", 3)
    leader = Leader()
    reports = Reports(leader)
    for number in range(1, 5):
        reports.add(ended(number), may_wait=True)
    assert leader.heard == [1, 2, 3]


async def test_what_is_told_in_another_way_is_not_told_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limits, "RESULTS_WAIT_S", 0.0)
    leader = Leader()
    reports = Reports(leader)
    reports.add(ended(1), may_wait=True)
    reports.forget()
    later = asyncio.Event()
    asyncio.get_running_loop().call_later(0.0, later.set)  # after what was to send it
    await later.wait()
    reports.send_now()
    assert leader.heard == []


def test_a_worker_has_plenty_only_while_many_attempts_wait_for_each_slot() -> None:
    driver = CoreDriver(slots=2)
    for number in range(1, 3 + 2 * PREFILL_PLENTY):
        driver(order(number))
    assert driver.core.has_plenty
    driver.started(1)
    driver.ended(1)
    assert not driver.core.has_plenty
