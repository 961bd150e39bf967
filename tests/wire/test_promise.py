"""A promise tells its callbacks at once, and is a future in every other way."""

from __future__ import annotations

import asyncio

import pytest

from titan.wire.promise import Promise


async def test_callbacks_run_in_order_before_set_result_returns() -> None:
    told: list[object] = []
    promise: Promise[int] = Promise()
    promise.add_done_callback(lambda done: told.append(done.result()))
    promise.add_done_callback(lambda done: told.append(-done.result()))
    promise.set_result(7)
    assert told == [7, -7]


async def test_refusing_and_giving_up_are_told_as_well() -> None:
    told: list[Promise[int]] = []
    refused, given_up = Promise[int](), Promise[int]()
    for promise in (refused, given_up):
        promise.add_done_callback(told.append)
    refused.set_exception(ValueError())
    given_up.cancel()
    assert told == [refused, given_up]
    assert isinstance(refused.exception(), ValueError)
    assert given_up.cancelled()
    assert not given_up.cancel()


async def test_one_that_comes_late_is_told_by_the_loop() -> None:
    told: list[int] = []
    promise: Promise[int] = Promise()
    promise.set_result(7)
    promise.add_done_callback(lambda done: told.append(done.result()))
    assert told == []
    await asyncio.sleep(0)
    assert told == [7]


async def test_tasks_that_wait_are_woken_by_the_loop_and_may_give_up() -> None:
    promise: Promise[int] = Promise()

    async def wait() -> int:
        return await promise

    waiting = [asyncio.create_task(wait()) for _ in range(2)]
    await asyncio.sleep(0)
    promise.set_result(7)
    assert not waiting[0].done()
    assert await asyncio.gather(*waiting) == [7, 7]
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await Promise[int]()


async def test_what_a_callback_raises_is_reported_and_the_next_one_is_told() -> None:
    reported: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, what: reported.append(what))
    told: list[int] = []
    promise: Promise[int] = Promise()
    promise.add_done_callback(lambda _: 1 / 0)
    promise.add_done_callback(lambda done: told.append(done.result()))
    promise.set_result(7)
    assert told == [7]
    assert len(reported) == 1
